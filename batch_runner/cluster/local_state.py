"""What a worker keeps of a job on its own host, for when the database fails.

::

    STATE/cluster/SCHEMA/last-event      the last event that the journal is known to have
    STATE/cluster/SCHEMA/fallback/NAME   outcomes of submissions that the journal could not store;
                                         NAME has the shard and the number of the lease

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
from batch_runner.journal.postgres.connection import NO_MARK, Mark
from batch_runner.journal.postgres.shards import Lease
from batch_runner.util.fs import replace_file, sync_folder, try_to_lock


@dataclass(frozen=True, slots=True)
class LogPath:
    """The path of a fallback log; there is none of an earlier version."""

    fallback_log: Path

    @property
    def old_fallback_log(self) -> Path:
        return self.fallback_log.with_suffix(".old")


@dataclass(frozen=True, slots=True)
class AbandonedLog:
    """A fallback log that a process left behind, and under which lease it submitted."""

    shard: int
    lease: int
    entries: FallbackLog


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
    def new_log(self, lease: Lease) -> Iterator[FallbackLog]:
        """Yield a fallback log that can be written on a full disk; it is kept if it has entries.

        Raises:
            OSError: it cannot be created.
        """
        name = f"{lease.shard}-{lease.number}-{secrets.token_hex(8)}.jsonl"
        path = LogPath(self._logs / name)
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

    @property
    def has_abandoned_logs(self) -> bool:
        return next(self.abandoned_logs(), None) is not None

    def abandoned_logs(self) -> Iterator[AbandonedLog]:
        """Yield the logs that no process has locked; each is locked until the next is asked for."""
        for path in sorted(self._logs.glob("*.jsonl")):
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                if try_to_lock(descriptor):
                    shard, lease, _ = path.stem.split("-")
                    yield AbandonedLog(int(shard), int(lease), FallbackLog(LogPath(path)))
            finally:
                os.close(descriptor)

    def read_mark(self) -> tuple[Mark, int]:
        """Return the last event that the journal had, and the number of approvals at that time."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            mark = json.loads(self._mark.read_bytes())
            return Mark(int(mark["event"]), float(mark["at"])), int(mark["approvals"])
        return NO_MARK, 0

    def write_mark(self, mark: Mark, approvals: int) -> None:
        """Store the last event that the journal has; after a power cut the file may be older."""
        text = json.dumps({**mark._asdict(), "approvals": approvals})
        with suppress(OSError), replace_file(self._mark) as file:
            file.write(text.encode())


def schemas_with_outcomes(state: Path) -> list[str]:
    """Return the schemas of the jobs of which outcomes were left behind on this host."""
    names = [folder.name for folder in sorted((state / "cluster").glob("*"))]
    return [name for name in names if LocalState(state, name).has_abandoned_logs]
