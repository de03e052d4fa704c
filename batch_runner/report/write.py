"""The report on the disk: `index.html` in the output folder, the rest in `.batch/report/`.

Order: thumbnails and data first, the page last, by renaming. Data files carry a hash of their
content in their names, so until that moment the old page finds its own data untouched, and a page
that is open stays whole. Only then is the data of older pages removed.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from batch_runner.journal import JournalReader, open_reader
from batch_runner.report.files import write_script
from batch_runner.report.items import detail_data, item_data
from batch_runner.report.overview import Overview
from batch_runner.report.page import page_html
from batch_runner.report.thumbnails import Thumbnails
from batch_runner.util.fs import replace_file

#: Items whose details are loaded together when one is opened, and that are worked on together.
DETAILS_A_SHARD = 500
#: Items in one data file, a multiple of it: the first is shown while the others load.
ITEMS_A_SHARD = 2000
#: The newest; what happened before, in a huge job, is not shown.
EVENTS_SHOWN = 400_000

#: What our page says of itself.
GENERATOR = b'<meta name="generator" content="batch-runner">'
JOURNAL = ".batch/journal.sqlite"
REPORT = ".batch/report"


def write_report(
    folder: Path,
    *,
    language: str | None = None,
    now: float | None = None,
    seconds: float = math.inf,
) -> Path:
    """Write the report of the job in `folder` and return the path of its page.

    Reads the journal and the pictures, writes neither; safe beside a run. `language` is a tag such
    as "zh-CN", None lets the reader's browser choose; `now` is wall clock, None the present. New
    thumbnails are made for `seconds`, the others another time.

    Raises:
        JournalUnreadable: there is no journal in `folder`, or it cannot be read.
        OSError: the report could not be written; an older one is still whole.
    """
    report = folder / REPORT
    with (
        _uncollected(),
        open_reader(folder / JOURNAL) as reader,  # first: without a journal nothing is made
        Thumbnails(folder, report / "thumbnails", seconds=seconds) as thumbnails,
    ):
        overview = Overview(reader, now=time.time() if now is None else now)
        shards = _write_items(reader, overview, thumbnails, report)
    head = overview.data(folder) | {"folder": REPORT, "detailsAShard": DETAILS_A_SHARD, **shards}
    head_script = write_script(report, "head", head)
    html = page_html(
        title=overview.job.name,
        verdict=overview.verdict(language or "en"),
        data_script=f"{REPORT}/{head_script}",
        language=language,
    )
    page = _place_of_page(folder)
    with replace_file(page, through=report) as out:
        out.write(html.encode("utf-8", "replace"))
    _remove_older_data(report, keep={head_script, *chain.from_iterable(shards.values())})
    return page


def _place_of_page(folder: Path) -> Path:
    """Return where the page goes: `index.html`, unless that is somebody else's."""
    names = ("index.html", *(f"batch-report{number}.html" for number in ("", *range(2, 100))))
    return next((folder / name for name in names if _is_free(folder / name)), folder / names[-1])


def _is_free(page: Path) -> bool:
    """Say whether a page may be written there: there is none, or one of ours."""
    try:
        with page.open("rb") as file:
            return GENERATOR in file.read(4096)
    except OSError:  # if it is no file, writing will tell
        return True


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector from the rows of a long job: no cycles, a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _write_items(
    reader: JournalReader, overview: Overview, thumbnails: Thumbnails, report: Path
) -> dict[str, list[str]]:
    """Write what the page needs of the items, and sum them up; return the names of the files."""
    courses = reader.history(EVENTS_SHOWN)
    # A line that was taken out of the manifest before it cost anything is not worth a place.
    shown = (item for item in reader.items() if item.listed or item.attempt or item.files)
    sheet, details = Shards(report, "items"), Shards(report, "details")
    while page := list(islice(shown, DETAILS_A_SHARD)):
        events = courses.of([item.key for item in page])
        pictures = thumbnails.of(file for item in page for file in item.files)
        for item in page:
            course = events.get(item.key, ())
            was = overview.take(item, course)
            sheet.rows.append(item_data(item, overview.variables, pictures, was))
            details.rows.append(detail_data(item, course))
        details.write()
        if len(sheet.rows) >= ITEMS_A_SHARD:
            sheet.write()
    sheet.write()
    return {"shards": sheet.names, "details": details.names}


class Shards:
    """Rows that go to one file after the other."""

    def __init__(self, report: Path, word: str) -> None:
        self._report, self._word = report, word
        self.names: list[str] = []
        self.rows: list[dict[str, Any]] = []

    def write(self) -> None:
        """Write the rows so far, if any, to the next file."""
        if self.rows:
            name = f"{self._word}-{len(self.names)}"
            self.names.append(write_script(self._report, name, self.rows))
            self.rows = []


def _remove_older_data(report: Path, *, keep: set[str]) -> None:
    for path in report.glob("*-*.js"):
        if path.name not in keep:
            path.unlink(missing_ok=True)
