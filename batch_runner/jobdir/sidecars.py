"""Sidecars: a JSON file beside each result that says how it was made.

They hold only what the journal has, so they are written after it, and again when one is missing.
Neither the key nor a path of this machine is among it.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from batch_runner.errors import FolderRefused, JournalError
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import Results, results_of
from batch_runner.journal import ItemRow, JobRow, JournalReader, open_reader
from batch_runner.lifecycle import ItemStatus
from batch_runner.models import ItemOutcome, PlacedFile, placed_files
from batch_runner.util.text import error_reason

ENDING = ".json"

log = logging.getLogger(__name__)


def sidecar_of(name: str) -> str:
    """Return the name of a file's sidecar: `ink/card.json` of `ink/card.png`."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.rpartition('.')[0] or last}{ENDING}"


def is_sidecar(results: Results, name: str, key: str) -> bool:
    """Return whether the file `name` is a sidecar of the item with this key."""
    return _digest_in(results.read(name), key) is not None


class Sidecars:
    """The sidecars of one job. Not used by two threads at once."""

    def __init__(self, folder: JobFolder) -> None:
        self._folder = folder
        self._results = results_of(folder)
        self._last = 0  # the event up to which all were seen
        self._told: set[str] = set()  # what was warned about

    def sync(self) -> int:
        """Write what is missing of the items done since the last call; return how many. Blocks.

        Never raises: the next run writes what could not be written.
        """
        written = 0
        try:
            with open_reader(self._folder.journal) as reader:
                last = reader.committed_up_to
                for outcome in reader.outcomes(self._last):
                    if outcome.status == ItemStatus.DONE:
                        written += self._write_missing(reader, outcome)
                self._last = last
        except (JournalError, FolderRefused, OSError) as error:
            self._warn(f"sidecars could not be written: {error_reason(error)}")
        return written

    def _write_missing(self, reader: JournalReader, outcome: ItemOutcome) -> int:
        files = placed_files(outcome.files)
        missing = [file for file in files if self._is_wanted(file, outcome.key)]
        item = reader.item(outcome.key) if missing else None
        if item is None or item.status is not ItemStatus.DONE:
            return 0
        job = reader.job()
        for file in missing:
            text = json.dumps(_content(job, item, file), ensure_ascii=False, indent=2)
            content = f"{text}\n".encode("utf-8", "backslashreplace")
            try:
                self._results.write(sidecar_of(file.name), content)
            except FileExistsError:  # written by another host meanwhile
                if self._is_wanted(file, item.key):
                    self._results.write(sidecar_of(file.name), content)
        return len(missing)

    def _is_wanted(self, file: PlacedFile, key: str) -> bool:
        """Return whether the sidecar of a file is missing, or that of an earlier one."""
        name = sidecar_of(file.name)
        if not self._results.has(file):
            return False
        if (content := self._results.read(name)) is None:
            return True
        digest = _digest_in(content, key)
        if digest is None:
            self._warn(f"{file.name} gets no sidecar: {name} is another file, and is kept")
        return digest is not None and digest != file.sha256

    def _warn(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            log.warning("%s", text)


def _digest_in(sidecar: bytes | None, key: str) -> str | None:
    """Return the hash that a sidecar has of its file; None: it is not of this item."""
    try:
        content = json.loads(sidecar or b"")
        return str(content["sha256"]) if content["key"] == key else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _content(job: JobRow, item: ItemRow, file: PlacedFile) -> dict[str, Any]:
    return {
        "file": file.name.rpartition("/")[2],
        "id": item.id,
        "key": item.key,
        "job": job.name,
        "provider": job.provider,
        "workflow": item.workflow,
        "prompt": item.prompt,
        "params": item.params,
        "variables": item.variables,
        "inputs": [{"name": one.path.name, "sha256": one.sha256} for one in item.inputs],
        "task_id": item.task_id,
        "attempt": item.attempt,
        "submitted_at": _time(item.submitted_at),
        "completed_at": _time(item.completed_at),
        "done_at": _time(item.done_at),
        "media_type": file.media_type,
        "size": file.size,
        "sha256": file.sha256,
    }


def _time(moment: float | None) -> str | None:
    """Return a time in UTC as ISO 8601 has it."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
