"""How many submissions must be assumed paid, by workflow and by day."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from batch_runner.journal.records import PaidSubmissions
from batch_runner.journal.sql.connection import Connection

_BY_WORKFLOW = """
SELECT workflow, sum(attempt) AS count FROM items WHERE attempt > 0 GROUP BY workflow
"""
_PENDING_WORKFLOWS = """
SELECT position, key, workflow FROM items
WHERE status = 'pending' AND import_number = (SELECT import_number FROM job) ORDER BY position
"""
# An attempt that was rejected or not sent does not count in items.attempt; its number is used
# again, and the last start with a number is the one that counts.
_STARTS = """
WITH starts AS (
    SELECT key, attempt, max(at) AS at FROM events
    WHERE event = 'submit_started' GROUP BY key, attempt
)
"""
#: Seconds; local days begin and end on quarters of an hour.
_QUARTER = 900
# Rounded down, in words of both databases; right but for the last 0.1 ms of a quarter.
_BY_QUARTER = f"""
{_STARTS}
SELECT round(s.at / {_QUARTER} - 0.4999999) AS quarter, i.workflow, count(*) AS count
FROM starts s JOIN items i USING (key) WHERE s.attempt <= i.attempt
GROUP BY quarter, i.workflow
"""  # noqa: S608  constants
_HELD = f"""
{_STARTS}
SELECT s.at, i.workflow, i.id
FROM starts s JOIN items i USING (key) WHERE s.attempt = i.attempt AND i.status = 'held'
ORDER BY i.position
"""  # noqa: S608  constants


def spent_by_workflow(connection: Connection) -> dict[str, int]:
    """Return how many submissions of each workflow must be assumed paid."""
    return {row[0]: int(row[1]) for row in connection.execute(_BY_WORKFLOW)}


def pending_workflows(connection: Connection) -> Iterator[tuple[int, str, str]]:
    """Yield position, key and workflow of each listed pending item, in the order of submission."""
    for row in connection.execute(_PENDING_WORKFLOWS):
        yield row["position"], row["key"], row["workflow"]


def paid_submissions(connection: Connection) -> list[PaidSubmissions]:
    """Return the submissions that must be assumed paid, by day and workflow."""
    held: dict[tuple[str, str], list[str]] = {}
    for at, workflow, item in connection.execute(_HELD):
        held.setdefault((_local_day(at), workflow), []).append(item)
    counts: Counter[tuple[str, str]] = Counter()
    for quarter, workflow, count in connection.execute(_BY_QUARTER):
        counts[_local_day(quarter * _QUARTER), workflow] += count
    return [
        PaidSubmissions(
            day=day, workflow=workflow, count=count, held=tuple(held.get((day, workflow), ()))
        )
        for (day, workflow), count in sorted(counts.items())
    ]


def _local_day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at))
