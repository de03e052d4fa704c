"""The statements of a run except item events; the committer executes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from batch_runner.errors import JournalUnreadable
from batch_runner.journal.records import PendingItem, ReusableItem, UnsettledItem
from batch_runner.journal.sql.connection import Connection, Row
from batch_runner.journal.sql.rows import inputs_of
from batch_runner.lifecycle import DUPLICATE_TASK_ID, PAID_BEFORE, ItemStatus
from batch_runner.models import InFlight, JobFacts
from batch_runner.util.locale import tr

#: The number of the last event, 0 if there is none.
LAST_EVENT = "SELECT coalesce(max(seq), 0) FROM events"
_COLUMNS = """
SELECT key, position, id, name, workflow, params, inputs, attempt, attempts, not_before, started_at,
    import_number = (SELECT import_number FROM job) AS listed
"""
_PENDING = f"{_COLUMNS} FROM items WHERE"
_PAGE = f"""
{_PENDING} status = 'pending' AND position > ?
    AND import_number = (SELECT import_number FROM job) {{of_shard}}
ORDER BY position LIMIT ?
"""  # noqa: S608  constants
_REUSABLE = f"""
SELECT key, position, name, status, reason FROM items
WHERE status IN ('pending', 'held') AND position > ? AND attempt = 0
    AND (status = 'pending' AND reused_from = '' OR status = 'held' AND reason = '{PAID_BEFORE}')
    AND import_number = (SELECT import_number FROM job)
ORDER BY position LIMIT ?
"""  # noqa: S608  constants
_ONE = f"{_PENDING} key = ?"
_UNSETTLED = f"""
{_COLUMNS}, request_id, request_digest, free, message FROM items
WHERE status = 'held' AND request_id IS NOT NULL AND coalesce(reason, '') <> '{DUPLICATE_TASK_ID}'
    AND key > ? {{of_shard}} ORDER BY key LIMIT ?
"""
# An unlisted item gets no further attempt, nor does one that another job has submitted.
_IN_FLIGHT = """
SELECT key, task_id, workflow, name, attempt, submitted_at,
    CASE WHEN reused_from = '' AND import_number = (SELECT import_number FROM job)
        THEN attempts ELSE attempt END AS attempts,
    reused_from <> '' AS reused, result_urls <> '[]' AS has_result, free
FROM items WHERE status = 'submitted' AND key > ? {of_shard} ORDER BY key LIMIT ?
"""
_FIGURES = """
submissions = :submissions, polls = :polls, limited = :limited, retries = :retries,
    samples = :samples
"""
_KEEP_FIGURES = f"UPDATE runs SET {_FIGURES} WHERE run = :run"  # noqa: S608  constants
_END_RUN = f"""
UPDATE runs SET ended_at = :ended_at, exit_code = :exit_code, message = :message, {_FIGURES}
WHERE run = :run
"""  # noqa: S608  constants
_LATEST_TIME = """
SELECT max(at) FROM (
    SELECT max(at) AS at FROM events
    UNION ALL SELECT max(started_at) FROM runs
    UNION ALL SELECT max(ended_at) FROM runs
) AS times
"""
_REMEMBER_UPLOAD = """
INSERT INTO uploads (sha256, value, at) VALUES (?, ?, ?)
ON CONFLICT (sha256) DO UPDATE SET value = excluded.value, at = excluded.at
"""


def pending_items(
    connection: Connection, after: int, limit: int, shard: int | None = None
) -> list[PendingItem]:
    """Return up to `limit` listed pending items at positions beyond `after`.

    `shard`: only of this one; None: of all.
    """
    return [_pending_item(row) for row in _page(connection, _PAGE, after, limit, shard)]


def _page(
    connection: Connection, statement: str, after: int | str, limit: int, shard: int | None
) -> list[Row]:
    if shard is None:
        return connection.execute(statement.format(of_shard=""), (after, limit)).fetchall()
    of_shard = statement.format(of_shard="AND shard = ?")
    return connection.execute(of_shard, (after, shard, limit)).fetchall()


def reusable_items(connection: Connection, after: int, limit: int) -> list[ReusableItem]:
    """Return up to `limit` listed items that another job may have submitted, beyond `after`."""
    rows = connection.execute(_REUSABLE, (after, limit)).fetchall()
    return [ReusableItem(**{**dict(row), "status": ItemStatus(row["status"])}) for row in rows]


def pending_item(connection: Connection, key: str) -> PendingItem:
    return _pending_item(connection.execute(_ONE, (key,)).fetchone())


def in_flight(
    connection: Connection, after: str, limit: int, shard: int | None = None
) -> list[InFlight]:
    """Return up to `limit` submitted items with keys beyond `after`.

    `shard`: only of this one; None: of all.
    """
    rows = _page(connection, _IN_FLIGHT, after, limit, shard)
    flags = ("reused", "has_result", "free")
    return [InFlight(**dict(row) | {name: bool(row[name]) for name in flags}) for row in rows]


def result_urls(connection: Connection, key: str) -> tuple[str, ...]:
    """Return the URLs of files that the response to an item's submission had."""
    row = connection.execute("SELECT result_urls FROM items WHERE key = ?", (key,)).fetchone()
    return tuple(json.loads(row[0]))


def unsettled_items(
    connection: Connection, after: str, limit: int, shard: int | None = None
) -> list[UnsettledItem]:
    """Return up to `limit` held items with a request id and keys beyond `after`, as `in_flight`."""
    found = []
    for row in _page(connection, _UNSETTLED, after, limit, shard):
        values = dict(row)
        own = {name: values.pop(name) for name in ("request_id", "request_digest", "message")}
        free = bool(values.pop("free"))
        found.append(UnsettledItem(item=_pending_item(values), free=free, **own))
    return found


def latest_time(connection: Connection) -> float:
    """Return the latest time of any event or run, 0 if there is none."""
    return float(connection.execute(_LATEST_TIME).fetchone()[0] or 0)


def upload_value(connection: Connection, sha256: str, since: float, now: float) -> str | None:
    """Return the upload result for a file of this content; None: missing or older than `since`.

    A result from after `now` was stored when the clock was ahead, and counts as missing.
    """
    query = "SELECT value FROM uploads WHERE sha256 = ? AND at BETWEEN ? AND ?"
    row = connection.execute(query, (sha256, since, now)).fetchone()
    return None if row is None else str(row[0])


def remember_upload(connection: Connection, sha256: str, value: str, at: float) -> None:
    connection.execute(_REMEMBER_UPLOAD, (sha256, value, at))


def facts(connection: Connection) -> JobFacts:
    job = connection.execute("SELECT today FROM job").fetchone()
    if job is None:
        raise JournalUnreadable(tr("the journal names no job"))
    redone: dict[str, tuple[int, ...]] = {}
    for key, n in connection.execute("SELECT key, n FROM redone ORDER BY key, n"):
        redone[key] = (*redone.get(key, ()), n)
    return JobFacts(today=job["today"], redone=redone)


def keep_figures(connection: Connection, run: int, figures: dict[str, Any]) -> None:
    connection.execute(_KEEP_FIGURES, _figures(run, figures))


def end_run(connection: Connection, run: int, figures: dict[str, Any], **end: Any) -> None:
    """Keep the figures of a run; `end` is `ended_at`, `exit_code` and `message`."""
    connection.execute(_END_RUN, {**_figures(run, figures), **end})


def _figures(run: int, figures: dict[str, Any]) -> dict[str, Any]:
    return {**figures, "samples": json.dumps(figures["samples"]), "run": run}


def keep_learned(connection: Connection, learned: Mapping[str, str]) -> None:
    """Keep learned durations, by one statement that locks the rows in the order of the names."""
    rows = sorted(learned.items())
    places = ", ".join(["(?, ?)"] * len(rows))
    query = (
        f"INSERT INTO learned (workflow, state) VALUES {places} "  # noqa: S608  placeholders
        "ON CONFLICT (workflow) DO UPDATE SET state = excluded.state"
    )
    if rows:
        connection.execute(query, [value for row in rows for value in row])


def _pending_item(row: Row | dict[str, Any]) -> PendingItem:
    values = dict(row)
    values["listed"] = bool(row["listed"])
    values["params"] = json.loads(row["params"])
    values["inputs"] = inputs_of(row["inputs"])
    return PendingItem(**values)
