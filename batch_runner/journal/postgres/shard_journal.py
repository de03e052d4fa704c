"""What a worker sees of a job's journal while it processes one shard."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.journal.postgres.shards import Lease
from batch_runner.journal.records import ListedItem, PendingItem, ReusableItem, UnsettledItem
from batch_runner.journal.sql import queries
from batch_runner.journal.sql.connection import Connection
from batch_runner.lifecycle import RECOVERY, Event, ItemStatus
from batch_runner.models import InFlight

_PENDING = """
SELECT workflow, count(*) FROM items WHERE shard = ? AND status = 'pending'
    AND import_number = (SELECT import_number FROM job) GROUP BY workflow
"""
_LISTED = """
SELECT position, key, id, name, status FROM items
WHERE shard = ? AND import_number = (SELECT import_number FROM job)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardStart:
    """What a run needs to know of a shard before it begins."""

    counts: dict[ItemStatus, int]
    spent: dict[str, int]  # submissions that must be assumed paid, by workflow
    pending: dict[str, int]  # listed items, by workflow
    listed: list[ListedItem]
    most_attempts: int
    learned: dict[str, str]
    late: int  # as in the table of shards
    given_up: bool  # by a worker that could not reach the service


class ShardJournal(PostgresJournal):
    """The calls of `RunJournal`, for the items of one shard, through the journal of the worker.

    All shards of a worker share its connection and its committer. Of the calls between runs, only
    those work that are defined here: they return what `start` found.
    """

    def __init__(
        self,
        journal: PostgresJournal,
        lease: Lease,
        start: ShardStart,
        uploads: dict[str, str] | None = None,
    ) -> None:
        """`uploads`: those that only this worker can use, by SHA-256; None: all workers can."""
        self._wall_clock = journal._wall_clock
        self._committer = journal._committer
        self._lease = lease.number
        self._shard = lease.shard
        self._start = start
        self._uploads = uploads

    def pending_items(self, after: int, limit: int) -> asyncio.Future[list[PendingItem]]:
        shard = self._shard
        return self._queue(
            lambda connection: queries.pending_items(connection, after, limit, shard)
        )

    def in_flight(self, after: str, limit: int) -> asyncio.Future[list[InFlight]]:
        shard = self._shard
        return self._queue(lambda connection: queries.in_flight(connection, after, limit, shard))

    def unsettled_items(self, after: str, limit: int) -> asyncio.Future[list[UnsettledItem]]:
        shard = self._shard
        return self._queue(
            lambda connection: queries.unsettled_items(connection, after, limit, shard)
        )

    def reusable_items(self, after: int, limit: int) -> asyncio.Future[list[ReusableItem]]:
        """Return none: `run` takes the results of other jobs over before shards are processed."""
        return self._queue(lambda _: [])

    def upload_value(self, sha256: str, since: float) -> asyncio.Future[str | None]:
        if (uploads := self._uploads) is not None:
            return self._queue(lambda _: uploads.get(sha256))
        return super().upload_value(sha256, since)

    def remember_upload(self, sha256: str, value: str) -> asyncio.Future[None]:
        if self._uploads is not None:
            self._uploads[sha256] = value
            return self._queue(lambda _: None)
        return super().remember_upload(sha256, value)

    def counts_now(self) -> dict[ItemStatus, int]:
        return dict(self._start.counts)

    def spent_by_workflow_now(self) -> dict[str, int]:
        return dict(self._start.spent)

    def listed(self) -> Iterator[ListedItem]:
        yield from self._start.listed

    def most_attempts(self) -> int:
        return self._start.most_attempts

    def learned(self) -> dict[str, str]:
        return dict(self._start.learned)

    @property
    def _connection(self) -> NoReturn:  # type: ignore[override]
        raise RuntimeError("the connection belongs to the committer of the worker")


def read_start(connection: Connection, shard: int) -> ShardStart:
    """Return what a run needs to know of a shard."""
    query = "SELECT late, stop_reason FROM shards WHERE shard = ?"  # first, for what comes late
    late, reason = connection.execute(query, (shard,)).fetchone()
    counts = dict.fromkeys(ItemStatus, 0)
    query = "SELECT status, count(*) FROM items WHERE shard = ? GROUP BY status"
    counts |= {ItemStatus(row[0]): row[1] for row in connection.execute(query, (shard,))}
    query = "SELECT workflow, sum(attempt) FROM items WHERE shard = ? GROUP BY workflow"
    spent = {row[0]: int(row[1]) for row in connection.execute(query, (shard,))}
    query = "SELECT coalesce(max(attempts), 1) FROM items WHERE shard = ?"
    most_attempts = int(connection.execute(query, (shard,)).fetchone()[0])
    learned = {row[0]: row[1] for row in connection.execute("SELECT workflow, state FROM learned")}
    listed = [
        ListedItem(row[0], row[1], row[2], row[3], ItemStatus(row[4]))
        for row in connection.execute(_LISTED, (shard,))
    ]
    return ShardStart(
        counts=counts,
        spent={name: count for name, count in spent.items() if count},
        pending={row[0]: row[1] for row in connection.execute(_PENDING, (shard,))},
        listed=listed,
        most_attempts=most_attempts,
        learned=learned,
        late=int(late),
        given_up=reason is not None,
    )


def interrupted_items(connection: Connection, shard: int) -> list[tuple[str, Event]]:
    """Return the items of a shard that a worker left in the middle of something, by key."""
    found = []
    for status, event in RECOVERY.items():
        if event is not None:
            query = "SELECT key FROM items WHERE shard = ? AND status = ? ORDER BY position"
            rows = connection.execute(query, (shard, status.value)).fetchall()
            found += [(str(row[0]), event) for row in rows]
    return found
