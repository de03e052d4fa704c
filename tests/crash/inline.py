"""The work of a run's threads, done in the event loop, so that the seed decides its order too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from batch_runner.errors import JournalError
from batch_runner.journal.sql.connection import Connection
from batch_runner.journal.sql.group_commit import DEFER_SECONDS, PendingOperation
from tests.crash.crash import CrashPoint

T = TypeVar("T")

#: Seconds that a commit takes; operations that come meanwhile form the next batch.
SYNC = 0.002


class InlineCommitter:
    """A `Committer` without a thread. It may be killed before, during or after each commit.

    From batch number `full_from` on, the disk is full; None: it never is.
    """

    def __init__(
        self,
        commit: Callable[[list[PendingOperation]], None],
        after_commit: Callable[[], None],
        *,
        crash: CrashPoint,
        full_from: int | None,
    ) -> None:
        self._commit_batch = commit
        self._after_commit = after_commit
        self._crash = crash
        self._full_from = full_from
        self._queue: list[PendingOperation] = []
        self._batches = 0
        self._committing = False

    @property
    def busy(self) -> bool:
        """Return whether something is being committed."""
        return bool(self._queue) or self._committing

    def submit(
        self, operation: Callable[[Connection], T], *, deferrable: bool = False
    ) -> asyncio.Future[T]:
        """Queue `operation` for the next batch, which a deferrable one alone begins later."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.append(PendingOperation(operation, future))
        if not self._committing:
            self._committing = not deferrable
            loop.call_later(DEFER_SECONDS if deferrable else SYNC, self._next_batch)
        return future

    def close(self) -> None:
        """Commit what is queued."""
        while self._queue and not self._crash.killed:
            self._commit()

    def _next_batch(self) -> None:
        if self._crash.killed or not self._queue:
            return
        self._commit()
        self._committing = bool(self._queue)
        if self._committing:
            asyncio.get_running_loop().call_later(SYNC, self._next_batch)

    def _commit(self) -> None:
        batch, self._queue = self._queue, []
        self._batches += 1
        self._crash.step(f"before commit {self._batches}")
        if self._full_from is not None and self._batches >= self._full_from:
            for waiting in batch:
                waiting.error = JournalError("the journal cannot be written: disk is full")
        else:
            self._commit_batch(batch)
            self._crash.step(f"after commit {self._batches}, the marker not raised")
            self._after_commit()
            self._crash.step(f"after commit {self._batches}, waiters not notified")
        for waiting in batch:
            waiting.complete()


class InlineOffload:
    """Runs blocking work at once; the process may be killed before or after it."""

    def __init__(self, crash: CrashPoint) -> None:
        self._crash = crash

    async def __call__(self, work: Callable[..., T], *arguments: Any) -> T:
        await self._crash.arrive("before a file is placed")
        result = work(*arguments)
        await self._crash.arrive("a file is placed")
        return result
