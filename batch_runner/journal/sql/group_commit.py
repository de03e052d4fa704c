"""Group commit: one thread owns the connection, and operations that wait together share a commit.

While one batch is being committed the next one gathers, and for some milliseconds more: a commit
costs as much processor time as dozens of changes, so larger batches save most. An operation that
comes alone, with no commit just before it, is committed at once. Nobody waits for a deferrable
operation: it shares the commit of the next other one, or is committed after a moment.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from batch_runner.errors import IllegalTransition, JournalError
from batch_runner.journal.sql.connection import Connection
from batch_runner.util.text import error_reason

Operation = Callable[[Connection], Any]

T = TypeVar("T")

#: At most this many operations share a transaction, so that every wait ends.
LARGEST_BATCH = 512
#: Least seconds from the end of a commit to the next one. At full speed 5 ms save a sixth of the
#: processor time of an item and cost no throughput; 8 ms begin to cost some.
PAUSE = 0.005
#: Seconds that a deferrable operation waits for another one.
DEFER_SECONDS = 0.5


class Committer(Protocol):
    """Executes operations in durable transactions, in the order they were submitted."""

    def submit(
        self, operation: Callable[[Connection], T], *, deferrable: bool = False
    ) -> asyncio.Future[T]:
        """Queue `operation`; the future is done when its transaction is on the disk.

        A `deferrable` one may wait a moment to share the commit of another.
        """
        ...

    @property
    def busy(self) -> bool:
        """Return whether something is being committed."""
        ...

    def close(self) -> None:
        """Commit what is queued, then stop."""
        ...


class PendingOperation:
    """An operation, its outcome, and the future that waits for it."""

    __slots__ = ("error", "future", "operation", "result")

    def __init__(self, operation: Operation, future: asyncio.Future[Any]) -> None:
        self.operation = operation
        self.future = future
        self.result: Any = None
        self.error: Exception | None = None

    def complete(self) -> None:
        """Complete the future, unless it was cancelled."""
        if self.future.cancelled():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def execute_each(connection: Connection, group: Iterable[PendingOperation]) -> None:
    """Execute the operations and store each outcome; the others are not affected by an error."""
    for pending in group:
        try:
            pending.result = pending.operation(connection)
        except (IllegalTransition, JournalError) as error:
            pending.error = error


def fail_all(batch: list[PendingOperation], error: BaseException) -> None:
    """Store in each operation that the journal has stopped because of `error`."""
    for pending in batch:
        pending.error = JournalError(f"the journal stopped: {error_reason(error)}")


class GroupCommit:
    """The committer with a thread, which owns the connection during a run.

    Create it inside the running event loop. `commit` executes a batch and stores each outcome in
    it; `after_commit` is called after each batch, before its futures are completed; both in the
    thread. `pause` is in seconds.
    """

    def __init__(
        self,
        commit: Callable[[list[PendingOperation]], None],
        after_commit: Callable[[], None] = lambda: None,
        *,
        pause: float = PAUSE,
    ) -> None:
        self._commit = commit
        self._after_commit = after_commit
        self._pause = pause
        self._loop = asyncio.get_running_loop()
        self._queue: deque[PendingOperation] = deque()
        self._wake = threading.Event()
        self._will_wake = False  # in this iteration of the loop
        self._closing = threading.Event()
        self._uncommitted = 0
        self._deferred: list[PendingOperation] = []  # not queued yet
        self._timer: asyncio.TimerHandle | None = None  # that queues them
        self._broken: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Return whether something is being committed; deferred operations are not yet."""
        return self._uncommitted > 0

    def submit(
        self, operation: Callable[[Connection], T], *, deferrable: bool = False
    ) -> asyncio.Future[T]:
        """Queue `operation`; the future is done when its transaction is on the disk.

        A `deferrable` one is committed with the next other one, or after `DEFER_SECONDS`.

        Raises (through the future):
            JournalError: the batch could not be committed.
            IllegalTransition: the operation asked for an illegal move; it changed nothing.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._deferred.append(PendingOperation(operation, future))
        if not deferrable:
            self._queue_all()
        elif self._timer is None:
            self._timer = self._loop.call_later(DEFER_SECONDS, self._queue_all)
        return future

    def _queue_all(self) -> None:
        self._queue_deferred()
        if not self._will_wake:  # what this iteration still submits shares the commit
            self._will_wake = True
            self._loop.call_soon(self._wake_thread)

    def _queue_deferred(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._uncommitted += len(self._deferred)
        self._queue.extend(self._deferred)
        self._deferred.clear()

    def _wake_thread(self) -> None:
        # Also when the thread seems to be working: it may just have seen an empty queue.
        self._will_wake = False
        self._wake.set()

    def close(self) -> None:
        """Commit what is queued, then stop the thread. Blocks; nothing may be submitted after."""
        self._queue_deferred()
        self._closing.set()  # first: the thread checks it after each wake
        self._wake.set()
        self._thread.join()

    def _work(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._queue:
                self._run_batch()
                self._closing.wait(self._pause)
            if self._closing.is_set() and not self._queue:
                return

    def _run_batch(self) -> None:
        size = min(len(self._queue), LARGEST_BATCH)
        batch = [self._queue.popleft() for _ in range(size)]
        try:
            if self._broken is None:
                self._commit(batch)
                self._after_commit()
            else:
                fail_all(batch, self._broken)
        except Exception as error:  # noqa: BLE001  the thread goes on, to fail later operations
            self._broken = error
        finally:
            self._loop.call_soon_threadsafe(self._complete, batch)

    def _complete(self, batch: list[PendingOperation]) -> None:
        self._uncommitted -= len(batch)
        for pending in batch:
            pending.complete()
