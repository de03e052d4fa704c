"""What happened to each item: the newest events, found by item, a page of items at a time.

Streamed: which events are an item's stands in a table in a temporary file of SQLite's own, made
when first wanted; the journal has no index for it, and a run pays nothing for one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from batch_runner.journal.records import EventRow, event_of

#: Events copied together: a short read transaction.
PAGE = 20_000


class EventHistory:
    """The newest `limit` events of a journal; what a run adds meanwhile is not among them."""

    def __init__(self, read: Callable[..., list[sqlite3.Row]], limit: int) -> None:
        """`read` runs one statement in a transaction of its own and returns its rows."""
        self._read = read
        read("DROP TABLE IF EXISTS temp.courses")
        read("CREATE TEMP TABLE courses (key, seq)")
        last = int(read("SELECT ifnull(max(seq), 0) AS last FROM events")[0]["last"])
        for seq in range(max(0, last - limit), last, PAGE):
            read(_COPY, (seq, min(seq + PAGE, last)))
        read("CREATE INDEX temp.courses_by_key ON courses (key, seq)")

    def of(self, keys: Sequence[str]) -> dict[str, list[EventRow]]:
        """Return the events of these items by key, oldest first; an item without any is left out.

        There may be no more keys than a statement has parameters: some hundreds.
        """
        query = f"{_OF} ({', '.join('?' * len(keys))}) ORDER BY e.seq"
        courses: dict[str, list[EventRow]] = {}
        for row in self._read(query, tuple(keys)):
            courses.setdefault(row["key"], []).append(event_of(row))
        return courses


_COPY = "INSERT INTO temp.courses SELECT key, seq FROM events WHERE seq > ? AND seq <= ?"
_OF = (
    "SELECT e.seq, e.at, e.key, e.event, e.attempt, e.task_id, e.reason, e.message "
    "FROM temp.courses c CROSS JOIN events e ON e.seq = c.seq WHERE c.key IN"
)
