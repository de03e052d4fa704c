"""The statements of `delivery_log.DeliveryLog`; the committer executes them."""

from __future__ import annotations

from batch_runner.journal.delivery_log import EndedItem
from batch_runner.journal.sql.connection import Connection
from batch_runner.journal.sql.rows import ITEM_COLUMNS, item_of
from batch_runner.lifecycle import FINAL, TRANSITIONS, ItemStatus

#: A dropped item was given up by the user, who need not be told.
_ENDS = FINAL - {ItemStatus.DROPPED}
_STATUS_AFTER = {
    event.value: target.value
    for origin, moves in TRANSITIONS.items()
    for event, target in moves.items()
    if target in _ENDS and target is not origin
}
_CASES = " ".join(f"WHEN '{event}' THEN '{status}'" for event, status in _STATUS_AFTER.items())
# From the events to the items: the former are read from a number on, the latter found by key. An
# item that has been submitted again since has another number of attempts.
_UNDELIVERED = f"""
FROM (
    SELECT seq AS end_event, at AS end_at, key AS end_key, attempt AS end_attempt,
        CASE event {_CASES} END AS end_status
    FROM events
    WHERE seq > :after AND event IN ({", ".join(f"'{event}'" for event in _STATUS_AFTER)})
        AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.event = seq)
) AS ends CROSS JOIN items
WHERE key = end_key AND status = end_status AND attempt = end_attempt
"""  # noqa: S608  enum values
_PAGE = f"""
SELECT end_event, end_at, {ITEM_COLUMNS.replace("rowid", "items.rowid")},
    (SELECT import_number FROM job) AS listed_number
{_UNDELIVERED} AND end_event <= :up_to ORDER BY end_event LIMIT :limit
"""  # noqa: S608  constants
_COUNT = f"SELECT status, count(*) {_UNDELIVERED} GROUP BY status"
_START = "UPDATE job SET deliver_after = coalesce(deliver_after, ?) RETURNING deliver_after"
_RECORD = """
INSERT INTO deliveries (event, at, exit_status) VALUES (?, ?, ?)
ON CONFLICT (event) DO UPDATE SET at = excluded.at, exit_status = excluded.exit_status
"""
_ADVANCE = "UPDATE job SET deliver_after = ? WHERE deliver_after < ?"


def start_deliveries(connection: Connection, up_to: int) -> int:
    """Return the number of the event after which ended items are to be delivered.

    The first time it is `up_to`.
    """
    return int(connection.execute(_START, (up_to,)).fetchone()[0])


def ended_items(connection: Connection, after: int, up_to: int, limit: int) -> list[EndedItem]:
    """Return up to `limit` undelivered items that an event beyond `after`, up to `up_to`, ended."""
    values = {"after": after, "up_to": up_to, "limit": limit}
    rows = connection.execute(_PAGE, values).fetchall()
    return [
        EndedItem(event=row["end_event"], at=row["end_at"], item=item_of(row, row["listed_number"]))
        for row in rows
    ]


def undelivered(connection: Connection, after: int) -> dict[str, int]:
    """Return the number of undelivered items that an event beyond `after` ended, by status."""
    return {row[0]: row[1] for row in connection.execute(_COUNT, {"after": after}).fetchall()}


def record_delivery(
    connection: Connection, event: int, at: float, exit_status: int | None, up_to: int
) -> None:
    """Record one delivery, and that none is missing up to event number `up_to`."""
    connection.execute(_RECORD, (event, at, exit_status))
    connection.execute(_ADVANCE, (up_to, up_to))
