"""What a worker keeps of a job on its own host, for when the database fails.

::

    STATE/cluster/SCHEMA/last-event       number of the last event that the journal is known to have
    STATE/cluster/SCHEMA/fallback/NAME    outcomes of submissions that the journal could not store

A fallback log is locked by the process that writes it. One that nobody has locked was left behind:
the next worker of this host that processes the job moves its outcomes into the journal.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from batch_runner.jobdir.fallback_log import FallbackLog
from batch_runner.util.fs import replace_file, sync_folder, try_to_lock


@dataclass(frozen=True, slots=True)
class LogPath:
    """The path of a fallback log; there is none of an earlier version."""

    fallback_log: Path

    @property
    def old_fallback_log(self) -> Path:
        return self.fallback_log.with_suffix(".old")


class LocalState:
    """The files of one job in the state folder of this user on this host."""

    def __init__(self, state: Path, schema: str) -> None:
        self._root = state / "cluster" / schema
        self._logs = self._root / "fallback"
        self._mark = self._root / "last-event"

    def prepare(self) -> None:
        """Create the folders.

        Raises:
            OSError: they cannot be created.
        """
        self._logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        sync_folder(self._logs)

    @contextmanager
    def new_log(self) -> Iterator[FallbackLog]:
        """Yield a fallback log that can be written on a full disk; it is kept if it has entries.

        Raises:
            OSError: it cannot be created.
        """
        path = LogPath(self._logs / f"{secrets.token_hex(8)}.jsonl")
        descriptor = os.open(path.fallback_log, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        log = FallbackLog(path)
        try:
            try_to_lock(descriptor)
            log.reserve()
            yield log
        finally:
            log.close()
            if next(log.entries(), None) is None:
                path.fallback_log.unlink(missing_ok=True)
            os.close(descriptor)

    def abandoned_logs(self) -> Iterator[FallbackLog]:
        """Yield the logs that no process has locked; each is locked until the next is asked for."""
        for path in sorted(self._logs.glob("*.jsonl")):
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                if try_to_lock(descriptor):
                    yield FallbackLog(LogPath(path))
            finally:
                os.close(descriptor)

    def read_mark(self) -> tuple[int, int]:
        """Return the last event that the journal had, and the number of approvals at that time."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            mark = json.loads(self._mark.read_bytes())
            return int(mark["event"]), int(mark["approvals"])
        return 0, 0

    def write_mark(self, event: int, approvals: int) -> None:
        """Store the last event that the journal has; after a power cut the file may be older."""
        text = json.dumps({"event": event, "approvals": approvals})
        with suppress(OSError), replace_file(self._mark) as file:
            file.write(text.encode())
