"""What the last report was made from: while nothing of it has changed, the report stays.

Kept in `.batch/report/written.json`: a hash of what the journal and the program say, one of the
result files and thumbnails, and the size and time of each file of the report. Nothing is kept of a
report that is not final: a run is working, or thumbnails are still to be made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from batch_runner import __version__
from batch_runner.journal import JournalReader
from batch_runner.manifest.job_args import job_arguments
from batch_runner.models import REHEARSAL
from batch_runner.report.item_history import did_something, total_seconds
from batch_runner.report.page import page_html
from batch_runner.util.fs import replace_file
from batch_runner.util.paths import list_files, list_names, utf8_text

NAME = "written.json"


class LastWritten:
    """The report that was written last, and what it depends on now."""

    def __init__(
        self, folder: Path, report: Path, *, page: Path, language: str | None, now: float
    ) -> None:
        """`page` is where the report would be written now."""
        self._folder, self._report, self._page = folder, report, page
        self._language, self._now = language, now

    def is_current(self, reader: JournalReader, taken_back: Iterable[str]) -> bool:
        """Return whether the last report is complete and shows what a new one would."""
        try:
            kept = json.loads((self._report / NAME).read_bytes())
            return bool(
                kept["content"] == self._content(reader, taken_back)
                and kept["written"] == self._states(kept["written"])
                and kept["files"] == self._files(kept["folders"])
                and kept["thumbnails"] == self._thumbnails()
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False  # it is missing, or not one of ours

    def made_from(self, reader: JournalReader, taken_back: Iterable[str]) -> dict[str, Any] | None:
        """Return what a report is made from, for `keep`; None if it cannot be final.

        To be called before it is begun, so that a change meanwhile is noticed by the next one.
        """
        if (content := self._content(reader, taken_back)) is None:
            return None
        folders = reader.result_folders()
        return {"content": content, "folders": folders, "files": self._files(folders)}

    def keep(self, made_from: dict[str, Any] | None, names: list[str]) -> None:
        """Note a report that was written; `names` are those of its data files."""
        path = self._report / NAME
        if made_from is None:
            path.unlink(missing_ok=True)
            return
        written = self._states([self._page.name, *names])
        kept = made_from | {"thumbnails": self._thumbnails(), "written": written}
        with replace_file(path, durable=False, mode=0o600) as out:
            out.write(json.dumps(kept).encode())

    def _content(self, reader: JournalReader, taken_back: Iterable[str]) -> str | None:
        """Return a hash of everything in the report but files; None while it is changing."""
        runs = reader.runs()
        if runs and runs[-1].ended_at is None:
            return None
        if (items := reader.items_mark()) is None:
            return None
        job = reader.job()
        parts = [
            __version__,
            self._language,
            page_html(title=job.name, summary="", data_script="", language=self._language),
            utf8_text(self._folder.absolute()),
            [job.id, job.name, job.provider, job.origin, job.manifest, job.price],
            job_arguments(job.manifest, self._folder, rehearsal=job.origin == REHEARSAL),
            [asdict(run) for run in runs if did_something(run)],
            total_seconds(runs, self._now),
            sorted(taken_back),
            items,
        ]
        return _hash(parts)

    def _files(self, folders: Iterable[str]) -> str:
        """Return a hash of the names, sizes and times of the files in these result folders."""
        return _hash((name, _listing(self._folder / name, self._page.name)) for name in folders)

    def _states(self, names: Iterable[str]) -> dict[str, list[int]]:
        paths = {name: self._report / name for name in names}
        paths[self._page.name] = self._page
        states = {name: path.stat() for name, path in paths.items()}
        return {name: [state.st_size, state.st_mtime_ns] for name, state in states.items()}

    def _thumbnails(self) -> str:
        return _hash(sorted(list_names(self._report / "thumbnails")))


def _listing(folder: Path, page: str) -> list[str]:
    """Return name, size and time of each file in a folder, without hidden ones and the page."""
    try:
        return sorted(
            f"{name}/{state.st_size}/{state.st_mtime_ns}"
            for name, state in list_files(folder)
            if name != page and not name.startswith(".")
        )
    except OSError:
        return []


def _hash(values: Iterable[object]) -> str:
    digest = sha256()
    for value in values:
        digest.update(f"{value!r}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
