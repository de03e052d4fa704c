"""The report on the disk: `index.html` in the output folder, the rest in `.batch/report/`.

Order: thumbnails and data first, the page last, by renaming. Data files carry a hash of their
content in their names, so until that moment the old page finds its own data untouched, and a page
that is open stays whole. Only then is the data of older pages removed.
"""

from __future__ import annotations

import gc
import math
import time
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from batch_runner.journal import JournalReader
from batch_runner.report.files import replace_file, write_script
from batch_runner.report.page import page_html
from batch_runner.report.snapshot import (
    Snapshot,
    detail_data,
    head_data,
    item_data,
    read_snapshot,
    statuses_before,
    variable_names,
    verdict_of,
)
from batch_runner.report.thumbnails import make_thumbnails

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Items in one data file: the first is shown while the others load.
ITEMS_A_SHARD = 2000
#: Items whose details are loaded together when one is opened.
DETAILS_A_SHARD = 500

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
    report.mkdir(parents=True, exist_ok=True)
    with _uncollected():
        with JournalReader(folder / JOURNAL) as reader:
            snapshot = read_snapshot(reader, now=time.time() if now is None else now)
        data = _write_data(snapshot, folder, report, seconds)
    html = page_html(
        title=snapshot.job.name,
        verdict=verdict_of(snapshot, language or "en"),
        data_script=f"{REPORT}/{data[-1]}",
        language=language,
    )
    page = folder / "index.html"
    with replace_file(page, through=report) as out:
        out.write(html.encode("utf-8", "replace"))
    _remove_older_data(report, keep=set(data))
    return page


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


def _write_data(snapshot: Snapshot, folder: Path, report: Path, seconds: float) -> list[str]:
    names, before = variable_names(snapshot.items), statuses_before(snapshot)
    thumbnails = make_thumbnails(
        (file for item in snapshot.items for file in item.files),
        folder=folder,
        thumbnails=report / "thumbnails",
        seconds=seconds,
    )
    items = (item_data(item, names, thumbnails, before.get(item.key)) for item in snapshot.items)
    details = (detail_data(item, snapshot.events.get(item.key, ())) for item in snapshot.items)
    shards = _write_shards(report, "items", items, ITEMS_A_SHARD)
    detail_shards = _write_shards(report, "details", details, DETAILS_A_SHARD)
    head = head_data(snapshot, folder) | {
        "folder": REPORT,
        "shards": shards,
        "details": detail_shards,
        "detailsAShard": DETAILS_A_SHARD,
    }
    return [*shards, *detail_shards, write_script(report, "head", head)]


def _write_shards(report: Path, word: str, rows: Iterator[dict[str, Any]], size: int) -> list[str]:
    names: list[str] = []
    while shard := list(islice(rows, size)):
        names.append(write_script(report, f"{word}-{len(names)}", shard))
    return names


def _remove_older_data(report: Path, *, keep: set[str]) -> None:
    for path in report.glob("*-*.js"):
        if path.name not in keep:
            path.unlink(missing_ok=True)
