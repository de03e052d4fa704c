"""Events as SQL: the item's new status, the columns that the event sets, and its row in `events`.

One at a time, each event costs several statements, and each statement hands over the interpreter
lock. So several events of one kind are written by one statement, with their values as JSON; if one
of them is illegal, it is undone and they are written one by one, each with its own outcome.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from batch_runner.errors import IllegalTransition, JournalError
from batch_runner.journal.base import Change, TaskIdTaken
from batch_runner.lifecycle import TRANSITIONS, Event, ItemStatus, advance, sources
from batch_runner.models import PlacedFile
from batch_runner.util.text import json_text

_FILE_FIELDS = tuple(field.name for field in fields(PlacedFile))


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
        "attempt = max(0, attempt - 1), request_id = NULL, not_before = NULL, "
        "reason = :reason, message = :message"
    ),
    Event.NOT_SETTLED: "message = :message",
    Event.TASK_LOST: (
        "attempt = max(0, attempt - 1), task_id = NULL, submitted_at = NULL, request_id = NULL, "
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
        "result_urls = iif(length(result_urls) > 65536, '[]', result_urls)"
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

_INSERT_EVENT = (
    "INSERT INTO events (at, key, event, attempt, task_id, reason, message) "
    "SELECT :at, key, :event, attempt, task_id, :reason, :message FROM items WHERE key = :key"
)


_ROWS = """(
    SELECT
        json_extract(value, '$.key') AS new_key,
        json_extract(value, '$.at') AS new_at,
        json_extract(value, '$.task_id') AS new_task_id,
        json_extract(value, '$.reason') AS new_reason,
        json_extract(value, '$.message') AS new_message,
        json_extract(value, '$.not_before') AS new_not_before,
        json_extract(value, '$.files') AS new_files,
        json_extract(value, '$.reused_from') AS new_reused_from,
        json_extract(value, '$.request_id') AS new_request_id,
        json_extract(value, '$.request_digest') AS new_request_digest,
        json_extract(value, '$.urls') AS new_urls,
        json_extract(value, '$.free') AS new_free
    FROM json_each(:rows)
)"""


def _group_statement(event: Event) -> str:
    # The plus keeps SQLite from scanning all items of a status instead of looking up keys.
    alone = _statement(event).replace("AND status", "AND +status")
    changes, condition = re.sub(r":(\w+)", r"new_\1", alone).split(" WHERE ")
    return f"{changes} FROM {_ROWS} WHERE {condition}"


_GROUP_UPDATES: dict[Event, str] = {event: _group_statement(event) for event in _SETS}
_GROUP_INSERT = f"""
INSERT INTO events (at, key, event, attempt, task_id, reason, message)
SELECT new_at, key, :event, attempt, task_id, new_reason, new_message
FROM {_ROWS} CROSS JOIN items ON key = new_key
"""  # noqa: S608  names of ours
#: Fewer moves of a kind than this are written one by one.
_FEW = 3


@dataclass(frozen=True, slots=True)
class Move:
    """A change and its time (wall clock), as an operation of the committer."""

    change: Change
    at: float

    def __call__(self, connection: sqlite3.Connection) -> None:
        apply(connection, self.change, self.at)


@dataclass(frozen=True, slots=True)
class Moves:
    """Moves that are all made, or none of them."""

    moves: tuple[Move, ...]

    def __call__(self, connection: sqlite3.Connection) -> None:
        connection.execute("SAVEPOINT together")
        try:
            for move in self.moves:
                move(connection)
        except (IllegalTransition, JournalError):
            connection.execute("ROLLBACK TO together")
            raise
        finally:
            connection.execute("RELEASE together")


def apply_all(connection: sqlite3.Connection, moves: Sequence[Move]) -> list[Exception | None]:
    """Make many moves inside the caller's transaction; return the error of each, None if legal.

    The moves of one item are made in their order. An illegal one changes nothing.
    """
    errors: list[Exception | None] = [None] * len(moves)
    for event, numbers in _kinds(moves):
        if len(numbers) < _FEW or not _apply_group(connection, event, [moves[n] for n in numbers]):
            for number in numbers:
                errors[number] = _error_of(connection, moves[number])
    return errors


def _kinds(moves: Sequence[Move]) -> Iterable[tuple[Event, list[int]]]:
    """Return the indices of the moves by event; an item's later moves are in later groups."""
    earlier: Counter[str] = Counter()
    groups: dict[tuple[int, Event], list[int]] = {}
    for number, move in enumerate(moves):
        key = move.change.key
        groups.setdefault((earlier[key], move.change.event), []).append(number)
        earlier[key] += 1
    return ((event, groups[stage, event]) for stage, event in sorted(groups))


def _apply_group(connection: sqlite3.Connection, event: Event, moves: list[Move]) -> bool:
    """Make moves of one kind at once; return False, and change nothing, if one is illegal."""
    rows = json_text([_values(move.change, move.at) for move in moves])
    values = {"rows": rows, "event": event.value}
    connection.execute("SAVEPOINT kind")
    try:
        complete = connection.execute(_GROUP_UPDATES[event], values).rowcount == len(moves)
        if complete:
            connection.execute(_GROUP_INSERT, values)
    except sqlite3.IntegrityError:  # a task id that belongs to another item
        complete = False
    if not complete:
        connection.execute("ROLLBACK TO kind")
    connection.execute("RELEASE kind")
    return complete


def _error_of(connection: sqlite3.Connection, move: Move) -> Exception | None:
    try:
        move(connection)
    except (IllegalTransition, JournalError) as error:
        return error
    return None


def apply(connection: sqlite3.Connection, change: Change, at: float) -> None:
    """Move one item and append its event, inside the caller's transaction.

    Raises:
        IllegalTransition: the item's status does not allow the event.
        TaskIdTaken: the task id belongs to another item.
        JournalError: there is no such item.
    """
    values = {"event": change.event.value, **_values(change, at)}
    if change.task_id is not None:
        _refuse_second_owner(connection, change.key, change.task_id)
    if connection.execute(_UPDATES[change.event], values).rowcount != 1:
        _explain(connection, change)
    connection.execute(_INSERT_EVENT, values)


def _values(change: Change, at: float) -> dict[str, Any]:
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
