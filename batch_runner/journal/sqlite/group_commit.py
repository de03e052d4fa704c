"""Group commit: one thread owns the connection, and what waits together is committed together.

While one batch is on its way to the disk the next one gathers, and for a few milliseconds more: a
commit costs its process as much as dozens of changes do, so at full pace larger batches save most.
A change that comes alone, with no commit just before it, is as fast as the disk allows. What nobody
waits for is patient: it goes with the next change that is not, and soon by itself.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any, Protocol, TypeVar, cast

from batch_runner.errors import IllegalTransition, JournalError
from batch_runner.journal.sqlite.transitions import Move, apply_all

Operation = Callable[[sqlite3.Connection], Any]

T = TypeVar("T")

#: At most this many operations share a transaction, so that no waiter waits for ever.
LARGEST_BATCH = 512
#: Seconds from the end of a commit to the next one, at least. At full pace 5 ms took a sixth off
#: the processor time of an item, and nothing off the pace; 8 ms began to slow it.
PAUSE = 0.005
#: Seconds that a patient operation waits for others to go with.
PATIENCE = 0.5


class Committer(Protocol):
    """Runs operations in durable transactions, in the order they came."""

    def submit(
        self, operation: Callable[[sqlite3.Connection], T], *, patient: bool = False
    ) -> asyncio.Future[T]:
        """Queue `operation`; the future is done when its transaction is on the disk.

        A `patient` one may wait a moment, to go with the next one that is not.
        """
        ...

    @property
    def busy(self) -> bool:
        """Say whether something is on its way to the disk."""
        ...

    def close(self) -> None:
        """Finish what is queued, then stop."""
        ...


class PendingOperation:
    """One operation and the future that tells its outcome."""

    __slots__ = ("error", "future", "operation", "result")

    def __init__(self, operation: Operation, future: asyncio.Future[Any]) -> None:
        self.operation = operation
        self.future = future
        self.result: Any = None
        self.error: Exception | None = None

    def settle(self) -> None:
        """Tell the waiter, unless it has gone."""
        if self.future.cancelled():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def commit_batch(connection: sqlite3.Connection, batch: list[PendingOperation]) -> None:
    """Run every operation of `batch` in one transaction and note each outcome.

    An operation that raises `IllegalTransition` or `JournalError` has changed nothing and does not
    disturb its neighbours. A failure of SQLite itself fails the whole batch: nothing of it is kept.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        for moves, group in groupby(batch, lambda queued: isinstance(queued.operation, Move)):
            if moves:
                _move(connection, list(group))
            else:
                _operate(connection, group)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        _roll_back(connection)
        for queued in batch:
            queued.error = JournalError(f"the journal cannot be written: {error}")
    except BaseException as error:
        _roll_back(connection)
        _refuse(batch, error)
        raise


def _move(connection: sqlite3.Connection, group: list[PendingOperation]) -> None:
    errors = apply_all(connection, [cast("Move", queued.operation) for queued in group])
    for queued, error in zip(group, errors, strict=True):
        queued.error = error


def _operate(connection: sqlite3.Connection, group: Iterable[PendingOperation]) -> None:
    for queued in group:
        try:
            queued.result = queued.operation(connection)
        except (IllegalTransition, JournalError) as error:
            queued.error = error


def _refuse(batch: list[PendingOperation], error: BaseException) -> None:
    for queued in batch:
        queued.error = JournalError(f"the journal stopped: {error!r}")


def _roll_back(connection: sqlite3.Connection) -> None:
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error:
        pass  # the next opening rolls the file back


class GroupCommit:
    """The thread that owns the connection during a run.

    Made inside the running event loop. `after_commit` runs in the thread after each transaction
    that is on the disk and before its waiters are told. `pause` is in seconds.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        after_commit: Callable[[], None] = lambda: None,
        *,
        pause: float = PAUSE,
    ) -> None:
        self._connection = connection
        self._after_commit = after_commit
        self._pause = pause
        self._loop = asyncio.get_running_loop()
        self._queue: deque[PendingOperation] = deque()
        self._wake = threading.Event()
        self._will_wake = False  # at the end of this round of the loop
        self._closing = threading.Event()
        self._unsettled = 0
        self._patient: list[PendingOperation] = []  # not queued yet
        self._alarm: asyncio.TimerHandle | None = None  # when they will be
        self._broken: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Say whether something is on its way to the disk; what waits patiently is not yet."""
        return self._unsettled > 0

    def submit(
        self, operation: Callable[[sqlite3.Connection], T], *, patient: bool = False
    ) -> asyncio.Future[T]:
        """Queue `operation`; the future is done when its transaction is on the disk.

        A `patient` one goes with what comes next, or after `PATIENCE`.

        Raises (through the future):
            JournalError: SQLite could not commit; nothing of the batch was kept.
            IllegalTransition: the operation asked for an illegal move; it changed nothing.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._patient.append(PendingOperation(operation, future))
        if not patient:
            self._send_off()
        elif self._alarm is None:
            self._alarm = self._loop.call_later(PATIENCE, self._send_off)
        return future

    def _send_off(self) -> None:
        """Queue all that has waited, in its order, and wake the thread."""
        self._line_up()
        if not self._will_wake:  # what else comes in this round of the loop goes with it
            self._will_wake = True
            self._loop.call_soon(self._rouse)

    def _line_up(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._unsettled += len(self._patient)
        self._queue.extend(self._patient)
        self._patient.clear()

    def _rouse(self) -> None:
        # Always, also when it seems to be at work: it may just have seen the queue empty.
        self._will_wake = False
        self._wake.set()

    def close(self) -> None:
        """Finish what is queued, then stop the thread. Blocks; nothing may be submitted after."""
        self._line_up()
        self._closing.set()  # before the wake: the thread looks at it after each
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
                commit_batch(self._connection, batch)
                self._after_commit()
            else:
                _refuse(batch, self._broken)
        except Exception as error:  # noqa: BLE001  the thread lives on, to tell those who come later
            self._broken = error
        finally:
            self._loop.call_soon_threadsafe(self._settle, batch)

    def _settle(self, batch: list[PendingOperation]) -> None:
        self._unsettled -= len(batch)
        for queued in batch:
            queued.settle()
