"""Execute a batch of operations in one transaction.

One at a time, each event costs several statements, and each statement hands over the interpreter
lock. So several events of one kind are written by one statement, with their values as JSON; if one
of them is illegal, it is undone and they are written one by one, each with its own outcome.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import cast

from batch_runner.errors import IllegalTransition, JournalError
from batch_runner.journal.sql.group_commit import PendingOperation, execute_each, fail_all
from batch_runner.journal.sql.transitions import MOVING, VALUES, Move, group_update, values_of
from batch_runner.journal.sqlite.connection import write_failed
from batch_runner.lifecycle import Event
from batch_runner.util.text import json_text

_COLUMNS = ", ".join(f"json_extract(value, '$.{name}') AS new_{name}" for name in VALUES)
_ROWS = f"(SELECT {_COLUMNS} FROM json_each(:rows))"  # noqa: S608  names of ours


def _group_statement(event: Event) -> str:
    changes, condition = group_update(event)
    # The plus keeps SQLite from scanning all items of a status instead of looking up keys.
    return f"{changes} FROM {_ROWS} WHERE {condition.replace('AND status', 'AND +status')}"


_GROUP_UPDATES: dict[Event, str] = {event: _group_statement(event) for event in MOVING}
_GROUP_INSERT = f"""
INSERT INTO events (at, key, event, attempt, task_id, reason, message)
SELECT new_at, key, :event, attempt, task_id, new_reason, new_message
FROM {_ROWS} CROSS JOIN items ON key = new_key
"""  # noqa: S608  names of ours
#: Fewer moves of a kind than this are written one by one.
_FEW = 3


def commit_batch(connection: sqlite3.Connection, batch: list[PendingOperation]) -> None:
    """Execute every operation of `batch` in one transaction and store each outcome in it.

    An operation that raises `IllegalTransition` or `JournalError` has changed nothing, and the
    others are kept. An error of SQLite fails the whole batch: nothing of it is kept.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        for moves, group in groupby(batch, lambda one: isinstance(one.operation, Move)):
            if moves:
                _apply_moves(connection, list(group))
            else:
                execute_each(connection, group)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        _roll_back(connection)
        for pending in batch:
            pending.error = write_failed(error)
    except BaseException as error:
        _roll_back(connection)
        fail_all(batch, error)
        raise


def _apply_moves(connection: sqlite3.Connection, group: list[PendingOperation]) -> None:
    errors = apply_all(connection, [cast("Move", pending.operation) for pending in group])
    for pending, error in zip(group, errors, strict=True):
        pending.error = error


def _roll_back(connection: sqlite3.Connection) -> None:
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error:
        pass  # the next opening rolls the file back


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
    rows = json_text([values_of(move.change, move.at) for move in moves])
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
