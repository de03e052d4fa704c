"""Execute a batch of operations: each statement is committed by itself.

A client that is stopped inside a transaction would keep its locks, and every other host would wait.
So all moves of a batch are one call of a function in the database (`apply_moves` in `schema.sql`),
which undoes what is illegal, and everything else is a single statement.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, cast

from batch_runner.errors import IllegalTransition, JournalError
from batch_runner.journal.base import LeaseLost
from batch_runner.journal.postgres.connection import (
    Deadlocked,
    Mark,
    PostgresConnection,
    storable,
)
from batch_runner.journal.sql.group_commit import PendingOperation, execute_each, fail_all
from batch_runner.journal.sql.transitions import (
    MOVING,
    VALUES,
    Move,
    Moves,
    explain,
    group_update,
    refuse_second_owner,
    values_of,
)
from batch_runner.lifecycle import Event
from batch_runner.util.text import json_text

_VALUES = {**VALUES, "lease": "BIGINT"}
_COLUMNS = ", ".join(f"{name} AS new_{name}" for name in _VALUES)
_TYPES = ", ".join(f"{name} {kind}" for name, kind in _VALUES.items())
_ROWS = f"(SELECT {_COLUMNS} FROM json_to_recordset($1) AS row ({_TYPES})) AS new"  # noqa: S608

#: What may have been paid is recorded whoever holds the lease of the item's shard. Any other event
#: only its holder may write: another worker may be submitting the item, or storing its files.
_ALWAYS = frozenset({Event.SUBMIT_CONFIRMED, Event.SUBMIT_UNANSWERED, Event.ATTACHED})
_HOLDS_LEASE = (
    "(new_lease IS NULL OR EXISTS (SELECT 1 FROM shards "
    "WHERE shards.shard = items.shard AND shards.lease = new_lease))"
)


def _statement(event: Event) -> str:
    changes, condition = group_update(event)
    if event not in _ALWAYS:
        condition = f"{condition} AND {_HOLDS_LEASE}"
    return f"""
        WITH moved AS (
            {changes} FROM {_ROWS} WHERE {condition}
            RETURNING key, attempt, task_id, new_at, new_reason, new_message
        )
        INSERT INTO events (at, key, event, attempt, task_id, reason, message)
        SELECT new_at, key, '{event.value}', attempt, task_id, new_reason, new_message FROM moved
    """  # noqa: S608  names and words of ours


_STATEMENTS: dict[Event, str] = {event: _statement(event) for event in MOVING}
#: As JSON, because to escape each quote for an array of PostgreSQL costs more than all the rest.
_CALL = """
SELECT * FROM apply_moves(
    ARRAY(SELECT json_array_elements_text(?::json)), ARRAY(SELECT json_array_elements(?::json)),
    ?::integer[]
)
"""
#: In JSON: a character that has to be written otherwise; see `connection.storable`.
_UNSTORABLE = re.compile(r"\\u00(00|1a)")


def commit_batch(connection: PostgresConnection, batch: list[PendingOperation]) -> None:
    """Execute every operation of `batch` and store each outcome in it.

    An operation that raises `IllegalTransition` or `JournalError` has changed nothing, and the
    others are kept; but with `ConnectionLost`, it may have been executed. After the connection was
    lost, the rest of the batch fails without having been tried.
    """
    lost: JournalError | None = None
    try:
        for operations in _in_order(batch):
            if lost is None:
                lost = _execute(connection, operations)
            else:
                for pending in operations:
                    pending.error = JournalError(str(lost))
    except BaseException as error:
        fail_all(batch, error)
        raise


def _in_order(batch: list[PendingOperation]) -> Iterator[list[PendingOperation]]:
    """Yield moves that follow each other as one list, and each other operation as one."""
    for moves, group in groupby(batch, lambda one: isinstance(one.operation, Move | Moves)):
        operations = list(group)
        if moves:
            yield operations
        else:
            yield from ([one] for one in operations)


def _execute(
    connection: PostgresConnection, operations: list[PendingOperation]
) -> JournalError | None:
    """Execute one list of `_in_order`; return the error if there is no connection any more."""
    try:
        if isinstance(operations[0].operation, Move | Moves):
            _make_moves(connection, operations)
        else:
            execute_each(connection, operations)
    except JournalError as problem:
        for pending in operations:
            pending.error = problem
    error = operations[-1].error
    return error if isinstance(error, JournalError) and not connection.connected else None


def _make_moves(connection: PostgresConnection, group: list[PendingOperation]) -> None:
    operations = [_moves_of(cast("Move | Moves", pending.operation)) for pending in group]
    for pending, error in zip(group, apply_all(connection, operations), strict=True):
        pending.error = error


def _moves_of(operation: Move | Moves) -> tuple[Move, ...]:
    return operation.moves if isinstance(operation, Moves) else (operation,)


def apply_all(
    connection: PostgresConnection, operations: Sequence[tuple[Move, ...]]
) -> list[Exception | None]:
    """Make moves, all or none of each operation; return the error of each, None if legal.

    The operations on one item are made in their order.
    """
    errors: list[Exception | None] = [None] * len(operations)
    groups = _kinds(operations)
    made = _call(connection, [[operations[number] for number in group] for group in groups])
    numbers = [number for group in groups for number in group]
    for number, done in zip(numbers, made, strict=True):
        if not done:
            errors[number] = _error_of(connection, operations[number])
    return errors


def _kinds(operations: Sequence[tuple[Move, ...]]) -> list[list[int]]:
    """Group the indices of operations with the same events; an item's later ones are later.

    In a group they are ordered by key, so that hosts lock the same items in the same order.
    """
    stages: Counter[str] = Counter()
    groups: dict[tuple[int, tuple[Event, ...]], list[int]] = {}
    for number, moves in enumerate(operations):
        stage = max(stages[move.change.key] for move in moves)
        for move in moves:
            stages[move.change.key] = stage + 1
        kind = tuple(move.change.event for move in moves)
        groups.setdefault((stage, kind), []).append(number)
    for group in groups.values():
        group.sort(key=lambda number: operations[number][0].change.key)
    return [groups[key] for key in sorted(groups)]


def _call(
    connection: PostgresConnection, groups: Sequence[Sequence[tuple[Move, ...]]]
) -> list[bool]:
    """Make groups of operations with the same events; return whether each operation was made."""
    statements, moves = [], []
    for group in groups:
        for same in zip(*group, strict=True):
            statements.append(_STATEMENTS[same[0].change.event])
            moves.append(_rows(same))
    lengths = [len(group[0]) for group in groups]
    values = (json_text(statements), f"[{','.join(moves)}]", lengths)
    while True:
        try:
            row = connection.execute(_CALL, values).fetchone()
        except Deadlocked:  # nothing was changed, and the other statement ends
            continue
        if row["last_event"] is not None:
            connection.see(Mark(row["last_event"], row["last_at"]))
        return cast("list[bool]", row["made"])


def _rows(moves: Iterable[Move]) -> str:
    rows = [{**values_of(move.change, move.at), "lease": move.lease} for move in moves]
    text = json_text(rows)
    return json_text([_storable(row) for row in rows]) if _UNSTORABLE.search(text) else text


def _storable(row: dict[str, Any]) -> dict[str, Any]:
    return {name: storable(one) if isinstance(one, str) else one for name, one in row.items()}


def _error_of(connection: PostgresConnection, moves: tuple[Move, ...]) -> Exception:
    changes = [move.change for move in moves]
    try:
        for change in changes:
            refuse_second_owner(connection, change)
        lease, key = moves[0].lease, moves[0].change.key
        leased = lease is not None and any(change.event not in _ALWAYS for change in changes)
        if leased and not _is_held(connection, key, lease):
            return LeaseLost("another worker has taken this shard of the job")
        explain(connection, *changes)
    except (IllegalTransition, JournalError) as error:
        return error


def _is_held(connection: PostgresConnection, key: str, lease: int | None) -> bool:
    query = "SELECT lease FROM shards JOIN items USING (shard) WHERE key = ?"
    row = connection.execute(query, (key,)).fetchone()
    return row is not None and row[0] == lease
