"""The marker file: the id of the folder's job, and the last event of its journal.

While a marker is there, a journal that is missing, older, or another job's is refused: a new one
would pay for everything again. The marker is written after the journal's first commit and before
the first submission.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass

from batch_runner.errors import JournalUnreadable
from batch_runner.jobdir.paths import JobFolder
from batch_runner.util.fs import replace_file, sync_folder
from batch_runner.util.locale import tr

_EVENT_DIGITS = 15  # a fixed width, so that the number can be overwritten in place


@dataclass(frozen=True, slots=True)
class MarkerRecord:
    """The contents of a marker."""

    job_id: str
    last_event: int  # number of an event that the journal is known to hold


class Marker:
    """The marker of a job folder."""

    def __init__(self, folder: JobFolder) -> None:
        self._path = folder.marker
        self._parts = folder.parts
        self._descriptor: int | None = None
        self._offset = 0

    def read(self) -> MarkerRecord | None:
        """Return the contents of the marker, None if there is none.

        Raises:
            JournalUnreadable: the marker is damaged.
        """
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            marker = json.loads(text)
            return MarkerRecord(str(marker["job"]), int(marker["events"]))
        except (ValueError, KeyError, TypeError) as error:
            raise JournalUnreadable(
                tr(
                    "{path} is damaged, so the journal cannot be checked against it; "
                    "if you are sure that it is the right journal, remove this file",
                    path=self._path,
                )
            ) from error

    def write(self, job_id: str, name: str) -> None:
        """Write a new marker, which is on the disk when this returns."""
        text = json.dumps({"job": job_id, "name": name, "events": "0" * _EVENT_DIGITS}) + "\n"
        with replace_file(self._path, through=self._parts, mode=0o600) as out:
            out.write(text.encode())
        sync_folder(self._path.parent)

    def set_last_event(self, number: int) -> None:
        """Record the number of the journal's last event, after its commit.

        Not synced: after a power cut the marker may be behind the journal, but never ahead of it.
        """
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            match = re.search(rb'"events": "', os.pread(self._descriptor, 4096, 0))
            self._offset = match.end() if match else -1
        if self._offset >= 0:
            os.pwrite(self._descriptor, f"{number:0{_EVENT_DIGITS}d}".encode(), self._offset)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
