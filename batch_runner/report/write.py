"""Writes the report: `index.html` in the output folder, the rest in `.batch/report/`.

Order: thumbnails and data first, then the page, by renaming. The names of data files contain a hash
of their content, so the old page finds its own data until it is replaced, and an open page goes on
working. Only then are the data files of older pages removed. A report that would show what the last
one shows need not be written (`last_written`).
"""

from __future__ import annotations

import math
import time
from itertools import chain, islice
from pathlib import Path
from typing import Any

from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import results_of
from batch_runner.jobdir.reuse import taken_back
from batch_runner.journal import JournalReader, open_reader
from batch_runner.report.files import write_script
from batch_runner.report.items import detail_data, item_data
from batch_runner.report.last_written import LastWritten
from batch_runner.report.page import page_html
from batch_runner.report.page_data import PageData
from batch_runner.report.thumbnails import Thumbnails
from batch_runner.util.fs import replace_file
from batch_runner.util.paths import Utf8Path
from batch_runner.util.xdg import state_folder

#: Items whose details are in one file, loaded when one of them is opened.
DETAILS_PER_SHARD = 500
#: Items in one data file, a multiple of it: the first file is shown while the others load.
ITEMS_PER_SHARD = 2000
#: No browser shows more; those that are not done come first.
MAX_ITEMS = 100_000
#: The newest events are loaded; the older ones of a huge job are not shown.
MAX_EVENTS = 400_000

#: Marks a page as ours.
GENERATOR = b'<meta name="generator" content="batch-runner">'
JOURNAL = ".batch/journal.sqlite"
REPORT = ".batch/report"


def write_report(
    folder: Path,
    *,
    language: str | None = None,
    now: float | None = None,
    seconds: float = math.inf,
    if_changed: bool = False,
) -> Path:
    """Write the report of the job in `folder` and return the path of its page.

    Only reads the journal and the images; safe during a run. `language` is a tag such as "zh-CN",
    None lets the browser choose; `now` is wall clock, None the present. New thumbnails are made for
    `seconds`; the next report makes the others. With `if_changed`, the last report stays if it is
    complete and nothing that it shows has changed.

    Raises:
        JournalUnreadable: there is no journal in `folder`, or it cannot be read.
        OSError: the report could not be written; an older one stays complete.
    """
    folder = Utf8Path(folder)
    report, page = folder / REPORT, _page_path(folder)
    results = results_of(JobFolder(folder))
    now = time.time() if now is None else now
    with open_reader(folder / JOURNAL) as reader:  # first: without a journal nothing is written
        taken = {item.key for item in taken_back(reader, state_folder())}
        last = LastWritten(folder, report, page=page, language=language, now=now)
        if if_changed and last.is_current(reader, taken):
            return page
        made_from = last.made_from(reader, taken)
        with Thumbnails(results, report / "thumbnails", seconds=seconds) as thumbnails:
            data = PageData(reader, now=now, taken_back=taken)
            shards = _write_items(reader, data, thumbnails, report)
    head = data.head(folder) | {"folder": REPORT, "detailsPerShard": DETAILS_PER_SHARD, **shards}
    head_script = write_script(report, "head", head)
    html = page_html(
        title=data.job.name,
        summary=data.summary("zh" if (language or "").lower().startswith("zh") else "en"),
        data_script=f"{REPORT}/{head_script}",
        language=language,
    )
    with replace_file(page, through=report) as out:
        out.write(html.encode("utf-8", "replace"))
    names = [head_script, *chain.from_iterable(shards.values())]
    _remove_older_data(report, keep=set(names))
    last.keep(made_from if thumbnails.finished else None, names)
    return page


def _page_path(folder: Path) -> Path:
    """Return the path of the page: `index.html`, unless a file that is not ours has that name."""
    names = ("index.html", *(f"batch-report{number}.html" for number in ("", *range(2, 100))))
    paths = (folder / name for name in names)
    return next((path for path in paths if has_generator(path, GENERATOR)), folder / names[-1])


def has_generator(page: Path, generator: bytes) -> bool:
    """Return whether there is no file at `page`, or one with this mark of ours."""
    try:
        with page.open("rb") as file:
            return generator in file.read(4096)
    except (FileNotFoundError, IsADirectoryError):  # writing to a folder will fail
        return True
    except OSError:
        return False


def _write_items(
    reader: JournalReader, data: PageData, thumbnails: Thumbnails, report: Path
) -> dict[str, list[str]]:
    """Write the data of the items, adding them to `data`; return the names of the files."""
    histories = reader.history(MAX_EVENTS)
    shown, written = reader.reported_items(MAX_ITEMS), 0
    sheet, details = Shards(report, "items"), Shards(report, "details")
    while chunk := list(islice(shown, DETAILS_PER_SHARD)):
        events = histories.of([item.key for item in chunk])
        pictures = thumbnails.of(file for item in chunk for file in item.files)
        for item in chunk:
            history = events.get(item.key, ())
            was = data.add(item, history)
            sheet.rows.append(item_data(item, data.variables, pictures, was))
            details.rows.append(detail_data(item, history))
        details.write()
        written += len(chunk)
        if len(sheet.rows) >= ITEMS_PER_SHARD:
            sheet.write()
    sheet.write()
    if written == MAX_ITEMS:
        data.set_counts(reader.reported_counts())
    return {"shards": sheet.names, "details": details.names}


class Shards:
    """Rows that are written to one file after the other."""

    def __init__(self, report: Path, prefix: str) -> None:
        self._report, self._prefix = report, prefix
        self.names: list[str] = []
        self.rows: list[dict[str, Any]] = []

    def write(self) -> None:
        """Write the rows collected so far, if any, to the next file."""
        if self.rows:
            name = f"{self._prefix}-{len(self.names)}"
            self.names.append(write_script(self._report, name, self.rows))
            self.rows = []


def _remove_older_data(report: Path, *, keep: set[str]) -> None:
    for path in report.glob("*-*.js"):
        if path.name not in keep:
            path.unlink(missing_ok=True)
