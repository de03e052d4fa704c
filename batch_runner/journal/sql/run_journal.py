"""The calls of a run: operations for the committer, each with a future."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from batch_runner.errors import JournalError
from batch_runner.journal.base import Change
from batch_runner.journal.delivery_log import EndedItem
from batch_runner.journal.records import PendingItem, ReusableItem, UnsettledItem
from batch_runner.journal.sql import deliveries, queries
from batch_runner.journal.sql.connection import Connection
from batch_runner.journal.sql.group_commit import Committer, GroupCommit, PendingOperation
from batch_runner.journal.sql.transitions import Move, Moves
from batch_runner.models import InFlight


class SqlRunJournal:
    """See `RunJournal` and `DeliveryLog`; `start` and `stop` are begin and end of a run."""

    _connection: Connection
    _lease: int | None = None  # under which a worker makes moves
    #: See `SqlReader._COMMITTED_UP_TO`.
    _COMMITTED_UP_TO = queries.LAST_EVENT

    def _commit(self, batch: list[PendingOperation]) -> None:
        """Execute every operation of `batch` durably and store each outcome in it."""
        raise NotImplementedError

    def _reading(self) -> AbstractContextManager[None]:
        """Return a context that raises JournalError for the errors of the database."""
        return nullcontext()

    def __init__(
        self, connection: Connection, *, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._connection = connection
        self._wall_clock = wall_clock
        self._committer: Committer | None = None
        self._on_last_event: Callable[[int], None] | None = None
        self._reported = 0

    def start(self, committer: Callable[..., Committer] = GroupCommit) -> None:
        self._committer = committer(self._commit, self.report_last_event)

    def stop(self) -> None:
        if self._committer is not None:
            self._committer.close()
            self._committer = None

    @property
    def busy(self) -> bool:
        """Return whether a change is being committed."""
        return self._committer is not None and self._committer.busy

    def follow_last_event(self, callback: Callable[[int], None]) -> None:
        self._on_last_event = callback
        self.report_last_event()

    def report_last_event(self) -> None:
        if self._on_last_event is None or self._connection.in_transaction:
            return
        # Read, not counted: what was counted may have been rolled back.
        if (last := self.last_event) != self._reported:
            self._on_last_event(last)
            self._reported = last

    @property
    def last_event(self) -> int:
        with self._reading():
            row = self._connection.execute(queries.LAST_EVENT).fetchone()
        return int(row[0])

    def record(
        self, change: Change, *further: Change, deferrable: bool = False
    ) -> asyncio.Future[None]:
        at, lease = self._wall_clock(), self._lease
        first = Move(change, at, lease)
        together = Moves((first, *(Move(one, at, lease) for one in further))) if further else first
        return self._queue(together, deferrable=deferrable)

    def pending_items(self, after: int, limit: int) -> asyncio.Future[list[PendingItem]]:
        return self._queue(lambda connection: queries.pending_items(connection, after, limit))

    def reusable_items(self, after: int, limit: int) -> asyncio.Future[list[ReusableItem]]:
        return self._queue(lambda connection: queries.reusable_items(connection, after, limit))

    def pending_item(self, key: str) -> asyncio.Future[PendingItem]:
        return self._queue(lambda connection: queries.pending_item(connection, key))

    def in_flight(self, after: str, limit: int) -> asyncio.Future[list[InFlight]]:
        return self._queue(lambda connection: queries.in_flight(connection, after, limit))

    def result_urls(self, key: str) -> asyncio.Future[tuple[str, ...]]:
        return self._queue(lambda connection: queries.result_urls(connection, key))

    def unsettled_items(self, after: str, limit: int) -> asyncio.Future[list[UnsettledItem]]:
        return self._queue(lambda connection: queries.unsettled_items(connection, after, limit))

    def latest_time(self) -> asyncio.Future[float]:
        return self._queue(queries.latest_time)

    def upload_value(self, sha256: str, since: float) -> asyncio.Future[str | None]:
        now = self._wall_clock()
        return self._queue(lambda connection: queries.upload_value(connection, sha256, since, now))

    def remember_upload(self, sha256: str, value: str) -> asyncio.Future[None]:
        at = self._wall_clock()
        return self._queue(
            lambda connection: queries.remember_upload(connection, sha256, value, at)
        )

    def keep_figures(self, run: int, figures: dict[str, Any]) -> asyncio.Future[None]:
        kept = {**figures, "samples": list(figures["samples"])}  # the run adds to its own list
        return self._queue(lambda connection: queries.keep_figures(connection, run, kept))

    def start_deliveries(self) -> asyncio.Future[int]:
        return self._queue(
            lambda connection: deliveries.start_deliveries(connection, self._up_to(connection))
        )

    def ended_items(self, after: int, limit: int) -> asyncio.Future[list[EndedItem]]:
        return self._queue(
            lambda connection: deliveries.ended_items(
                connection, after, self._up_to(connection), limit
            )
        )

    def undelivered(self, after: int) -> asyncio.Future[dict[str, int]]:
        return self._queue(lambda connection: deliveries.undelivered(connection, after))

    def record_delivery(
        self, event: int, exit_status: int | None, *, up_to: int
    ) -> asyncio.Future[None]:
        at = self._wall_clock()
        return self._queue(
            lambda connection: deliveries.record_delivery(
                connection, event, at, exit_status, up_to
            ),
            deferrable=True,
        )

    def _up_to(self, connection: Connection) -> int:
        return int(connection.execute(self._COMMITTED_UP_TO).fetchone()[0])

    def _queue(
        self, operation: Callable[[Connection], Any], *, deferrable: bool = False
    ) -> asyncio.Future[Any]:
        if self._committer is None:
            raise JournalError("the journal has not been started")
        return self._committer.submit(operation, deferrable=deferrable)
