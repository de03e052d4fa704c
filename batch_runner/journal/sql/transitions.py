"""Events as SQL: the item's new status, the columns that the event sets, and its row in `events`.

Here they are written one by one. During a run the committer of each database also writes several
events of one kind by one statement.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from typing import Any, NoReturn

from batch_runner.errors import IllegalTransition, JournalError
from batch_runner.journal.base import Change, TaskIdTaken
from batch_runner.journal.sql.connection import Connection
from batch_runner.lifecycle import TRANSITIONS, Event, ItemStatus, advance, sources
from batch_runner.models import PlacedFile
from batch_runner.util.text import json_text

_FILE_FIELDS = tuple(field.name for field in fields(PlacedFile))

_ONE_LESS = "CASE WHEN attempt > 0 THEN attempt - 1 ELSE 0 END"

#: What each event sets besides the status; `attempt` counts submissions that may cost money.
_SETS: dict[Event, str] = {
    Event.UPLOAD_FAILED: "reason = :reason, message = :message",
    Event.UPLOAD_REJECTED: "reason = :reason, message = :message, completed_at = :at",
    Event.REUSED: (
        "task_id = :task_id, files = :files, done_at = :at, reason = NULL, message = NULL, "
        "reused_from = :reused_from"
    ),
    Event.TASK_REUSED: (
        "task_id = :task_id, submitted_at = :at, reason = NULL, message = NULL, "
        "reused_from = :reused_from"
    ),
    Event.FAILED_BEFORE: (
        "reason = :reason, message = :message, completed_at = :at, reused_from = :reused_from"
    ),
    Event.PAID_BEFORE: (
        "reason = :reason, message = :message, request_id = NULL, "
        "reused_from = CASE :reused_from WHEN '' THEN reused_from ELSE :reused_from END"
    ),
    Event.UNFINISHED_ELSEWHERE: "reason = :reason, message = :message",
    Event.SUBMIT_STARTED: (
        "attempt = attempt + 1, task_id = NULL, started_at = :at, submitted_at = NULL, "
        "completed_at = NULL, not_before = NULL, reason = NULL, message = NULL, "
        "request_id = :request_id, request_digest = :request_digest, result_urls = '[]', "
        "free = :free"
    ),
    # Only now: what was not sent or not accepted keeps the user's approval to pay again.
    Event.SUBMIT_CONFIRMED: (
        "task_id = :task_id, submitted_at = :at, reused_from = '', result_urls = :urls, "
        "reason = NULL, message = NULL"
    ),
    Event.SUBMIT_UNSENT: (
        "attempt = attempt - 1, not_before = :not_before, reason = :reason, message = :message"
    ),
    Event.SUBMIT_REJECTED: (
        "attempt = attempt - 1, reason = :reason, message = :message, completed_at = :at"
    ),
    Event.SUBMIT_UNANSWERED: "reason = :reason, message = :message, reused_from = ''",
    Event.SUBMIT_INTERRUPTED: "reason = :reason, message = :message, reused_from = ''",
    # `started_at` stays: the request id protects from paying again for a time from then on.
    Event.SUBMIT_REPEATED: "reason = reason",
    Event.NOT_SUBMITTED: (
        f"attempt = {_ONE_LESS}, request_id = NULL, not_before = NULL, "
        "reason = :reason, message = :message"
    ),
    Event.NOT_SETTLED: "message = :message",
    Event.TASK_LOST: (
        f"attempt = {_ONE_LESS}, task_id = NULL, submitted_at = NULL, request_id = NULL, "
        "result_urls = '[]', not_before = NULL, reason = :reason, message = :message"
    ),
    Event.TASK_COMPLETED: "completed_at = :at, reason = NULL, message = NULL",
    Event.TASK_FAILED: "completed_at = :at, reason = :reason, message = :message",
    Event.TASK_UNKNOWN: "reason = :reason, message = :message",
    # Of several files, those that were stored are kept.
    Event.DOWNLOAD_FAILED: (
        "reason = :reason, message = :message, "
        "files = CASE :files WHEN '[]' THEN files ELSE :files END"
    ),
    Event.DOWNLOAD_INTERRUPTED: "reason = :reason, message = :message",
    Event.DOWNLOAD_RESUMED: "reason = reason",
    # A file that the response itself held is too large to be kept beside the placed one.
    Event.PLACED: (
        "files = :files, done_at = :at, reason = :reason, message = :message, "
        "result_urls = CASE WHEN length(result_urls) > 65536 THEN '[]' ELSE result_urls END"
    ),
    Event.FILE_MISSING: "reason = :reason, message = :message",
    Event.RETRIED: "not_before = NULL",
    Event.ATTACHED: (
        "task_id = :task_id, submitted_at = :at, reason = NULL, message = NULL, result_urls = :urls"
    ),
    Event.CORRECTED: (
        "task_id = :task_id, submitted_at = :at, reason = NULL, message = NULL, result_urls = :urls"
    ),
    Event.RESUBMITTED: "not_before = NULL",
    Event.DROPPED: "reason = :reason, message = :message, completed_at = :at",
    # Without its task id, which may belong to another item.
    Event.REOPENED: (
        "task_id = NULL, files = '[]', reason = :reason, message = :message, request_id = NULL, "
        "result_urls = '[]'"
    ),
}


def _statement(event: Event) -> str:
    origins = sources(event)
    target = TRANSITIONS[origins[0]][event]
    words = ", ".join(f"'{status.value}'" for status in origins)
    return (
        f"UPDATE items SET status = '{target.value}', {_SETS[event]} "  # noqa: S608  enum values
        f"WHERE key = :key AND status IN ({words})"
    )


_UPDATES: dict[Event, str] = {event: _statement(event) for event in _SETS}
#: The events that move an item.
MOVING = tuple(_UPDATES)

_INSERT_EVENT = (
    "INSERT INTO events (at, key, event, attempt, task_id, reason, message) "
    "SELECT :at, key, :event, attempt, task_id, :reason, :message FROM items WHERE key = :key"
)

#: The values of a move that statements use, and their types.
VALUES = {
    "key": "TEXT",
    "at": "DOUBLE PRECISION",
    "task_id": "TEXT",
    "reason": "TEXT",
    "message": "TEXT",
    "not_before": "DOUBLE PRECISION",
    "files": "TEXT",
    "reused_from": "TEXT",
    "request_id": "TEXT",
    "request_digest": "TEXT",
    "urls": "TEXT",
    "free": "INTEGER",
}


def group_update(event: Event) -> tuple[str, str]:
    """Return the update for several moves of one kind: what precedes FROM, and the condition.

    The values of the moves are columns: `new_key`, `new_at`, …
    """
    changes, condition = re.sub(r":(\w+)", r"new_\1", _UPDATES[event]).split(" WHERE ")
    return changes, condition


@dataclass(frozen=True, slots=True)
class Move:
    """A change and its time (wall clock), as an operation of the committer.

    `lease` is the number of the lease under which a worker makes it; None: no worker does.
    """

    change: Change
    at: float
    lease: int | None = None

    def __call__(self, connection: Connection) -> None:
        apply(connection, self.change, self.at)


@dataclass(frozen=True, slots=True)
class Moves:
    """Moves that are all made, or none of them."""

    moves: tuple[Move, ...]

    def __call__(self, connection: Connection) -> None:
        connection.execute("SAVEPOINT together")
        try:
            for move in self.moves:
                move(connection)
        except (IllegalTransition, JournalError):
            connection.execute("ROLLBACK TO together")
            raise
        finally:
            connection.execute("RELEASE together")


def apply(connection: Connection, change: Change, at: float) -> None:
    """Move one item and append its event, inside the caller's transaction.

    Raises:
        IllegalTransition: the item's status does not allow the event.
        TaskIdTaken: the task id belongs to another item.
        JournalError: there is no such item.
    """
    values = {"event": change.event.value, **values_of(change, at)}
    refuse_second_owner(connection, change)
    if connection.execute(_UPDATES[change.event], values).rowcount != 1:
        explain(connection, change)
    connection.execute(_INSERT_EVENT, values)


def values_of(change: Change, at: float) -> dict[str, Any]:
    return {
        "key": change.key,
        "at": at,
        "task_id": change.task_id,
        "reason": change.reason,
        "message": change.message,
        "not_before": change.not_before,
        "files": _files(change.files),
        "reused_from": json_text(asdict(change.reused_from)) if change.reused_from else "",
        "request_id": change.request_id,
        "request_digest": change.request_digest,
        "urls": json_text(list(change.urls)) if change.urls else "[]",
        "free": int(change.free),
    }


def _files(files: tuple[PlacedFile, ...]) -> str:
    if not files:
        return "[]"
    return json_text([{name: getattr(file, name) for name in _FILE_FIELDS} for file in files])


def refuse_second_owner(connection: Connection, change: Change) -> None:
    """Raise TaskIdTaken if the task id of a change belongs to another item."""
    if change.task_id is None:
        return
    query = "SELECT id FROM items WHERE task_id = ? AND key <> ?"
    row = connection.execute(query, (change.task_id, change.key)).fetchone()
    if row is not None:
        raise TaskIdTaken(f"task id {change.task_id} already belongs to item {row[0]}")


def explain(connection: Connection, *changes: Change) -> NoReturn:
    """Raise the error of changes, one after the other, of which one is illegal."""
    statuses: dict[str, ItemStatus] = {}
    for change in changes:
        key = change.key
        if key not in statuses:
            row = connection.execute("SELECT status FROM items WHERE key = ?", (key,)).fetchone()
            if row is None:
                raise JournalError(f"the journal has no item {key}")
            statuses[key] = ItemStatus(row[0])
        statuses[key] = advance(statuses[key], change.event)
    raise IllegalTransition(f"{change.event.value} changed nothing for item {change.key}")
