"""One move of one item as SQL: the status, what the event brings along, and its row in `events`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from batch_runner.errors import IllegalTransition, JournalError
from batch_runner.lifecycle import TRANSITIONS, Event, ItemStatus, advance, sources

if TYPE_CHECKING:
    import sqlite3

    from batch_runner.models import PlacedFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happened to an item. Only the fields that belong to the event are written."""

    key: str
    event: Event
    task_id: str | None = None
    reason: str | None = None  # short word for grouping
    message: str | None = None  # one sentence for people
    not_before: float | None = None  # wall clock
    files: tuple[PlacedFile, ...] = ()


#: What each event sets besides the status; `attempt` counts creates that may have cost money.
_SETS: dict[Event, str] = {
    Event.SUBMIT_STARTED: (
        "attempt = attempt + 1, task_id = NULL, started_at = :at, submitted_at = NULL, "
        "completed_at = NULL, not_before = NULL, reason = NULL, message = NULL"
    ),
    Event.SUBMIT_CONFIRMED: "task_id = :task_id, submitted_at = :at",
    Event.SUBMIT_UNSENT: (
        "attempt = attempt - 1, not_before = :not_before, reason = :reason, message = :message"
    ),
    Event.SUBMIT_REFUSED: (
        "attempt = attempt - 1, reason = :reason, message = :message, completed_at = :at"
    ),
    Event.SUBMIT_UNANSWERED: "reason = :reason, message = :message",
    Event.SUBMIT_INTERRUPTED: "reason = :reason, message = :message",
    Event.TASK_COMPLETED: "completed_at = :at, reason = NULL, message = NULL",
    Event.TASK_FAILED: "completed_at = :at, reason = :reason, message = :message",
    Event.TASK_UNKNOWN: "reason = :reason, message = :message",
    Event.FETCH_FAILED: "reason = :reason, message = :message",
    Event.FETCH_INTERRUPTED: "reason = :reason, message = :message",
    Event.FETCH_RESUMED: "reason = reason",
    Event.PLACED: "files = :files, done_at = :at, reason = :reason, message = :message",
    Event.FILE_MISSING: "reason = :reason, message = :message",
    Event.RETRIED: "not_before = NULL",
    Event.ATTACHED: "task_id = :task_id, submitted_at = :at, reason = NULL, message = NULL",
    Event.RESUBMITTED: "not_before = NULL",
    Event.DROPPED: "reason = :reason, message = :message, completed_at = :at",
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

_INSERT_EVENT = (
    "INSERT INTO events (at, key, event, attempt, task_id, reason, message) "
    "SELECT :at, key, :event, attempt, task_id, :reason, :message FROM items WHERE key = :key"
)


def apply(connection: sqlite3.Connection, change: Change, at: float) -> None:
    """Move one item and append its event, inside the caller's transaction.

    Raises:
        IllegalTransition: the item does not stand where this event may find it.
        JournalError: no such item, or the task id belongs to another item.
    """
    values = {
        "key": change.key,
        "event": change.event.value,
        "at": at,
        "task_id": change.task_id,
        "reason": change.reason,
        "message": change.message,
        "not_before": change.not_before,
        "files": _files(change.files),
    }
    if change.task_id is not None:
        _refuse_second_owner(connection, change.key, change.task_id)
    if connection.execute(_UPDATES[change.event], values).rowcount != 1:
        _explain(connection, change)
    connection.execute(_INSERT_EVENT, values)


def _files(files: tuple[PlacedFile, ...]) -> str:
    return json.dumps([asdict(file) for file in files], ensure_ascii=False) if files else "[]"


def _refuse_second_owner(connection: sqlite3.Connection, key: str, task_id: str) -> None:
    row = connection.execute(
        "SELECT id FROM items WHERE task_id = ? AND key <> ?", (task_id, key)
    ).fetchone()
    if row is not None:
        raise TaskIdTaken(f"task id {task_id} already belongs to item {row[0]}")


def _explain(connection: sqlite3.Connection, change: Change) -> None:
    row = connection.execute("SELECT status FROM items WHERE key = ?", (change.key,)).fetchone()
    if row is None:
        raise JournalError(f"the journal has no item {change.key}")
    advance(ItemStatus(row[0]), change.event)
    raise IllegalTransition(f"{change.event.value} changed nothing for item {change.key}")


class TaskIdTaken(JournalError):
    """The service gave one task id to two items."""
