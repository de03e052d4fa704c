"""The newest events of a journal, found by item.

Their numbers are copied by item to a temporary table: an index in the journal would slow every run
down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from batch_runner.journal.records import EventRow
from batch_runner.journal.sql.connection import Row
from batch_runner.journal.sql.queries import LAST_EVENT
from batch_runner.journal.sql.rows import event_of

#: Events copied in one short read transaction.
PAGE = 20_000


class SqlEventHistory:
    """The newest `limit` events when it was made; see `base.EventHistory`."""

    def __init__(self, read: Callable[..., list[Row]], limit: int) -> None:
        """`read(query, values)` returns the rows of one statement."""
        self._read = read
        read("DROP TABLE IF EXISTS history")
        read("CREATE TEMP TABLE history (key TEXT, seq BIGINT)")
        last = int(read(LAST_EVENT)[0][0])
        for seq in range(max(0, last - limit), last, PAGE):
            read(_COPY, (seq, min(seq + PAGE, last)))
        read("CREATE INDEX history_by_key ON history (key, seq)")

    def of(self, keys: Sequence[str]) -> dict[str, list[EventRow]]:
        query = f"{_OF} ({', '.join('?' * len(keys))}) ORDER BY e.seq"
        found: dict[str, list[EventRow]] = {}
        for row in self._read(query, tuple(keys)):
            found.setdefault(row["key"], []).append(event_of(row))
        return found


_COPY = "INSERT INTO history SELECT key, seq FROM events WHERE seq > ? AND seq <= ?"
_OF = (
    "SELECT e.seq, e.at, e.key, e.event, e.attempt, e.task_id, e.reason, e.message "
    "FROM history c CROSS JOIN events e WHERE e.seq = c.seq AND c.key IN"
)
