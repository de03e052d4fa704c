"""Moves that share a statement have the outcome that each would have alone."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batch_runner.errors import IllegalTransition, JournalError
from batch_runner.journal import Change, Journal
from batch_runner.journal.base import TaskIdTaken
from batch_runner.journal.sql.transitions import Move, Moves
from batch_runner.journal.sqlite.commit import apply_all
from batch_runner.journal.sqlite.connection import connect
from batch_runner.lifecycle import TRANSITIONS, Event
from batch_runner.models import PlacedFile
from tests.harness import an_item, some_items

ITEMS = 12


def a_journal(path: Path) -> sqlite3.Connection:
    made = Journal.create(path, job="j", provider="p", origin="o", wall_clock=lambda: 1.0)
    with closing(made) as journal:
        journal.import_items(some_items(ITEMS))
    return connect(path)


def key(number: int) -> str:
    return an_item(number).key


def a_change(dice: random.Random, number: int) -> Change:
    moving = [event for moves in TRANSITIONS.values() for event in moves]
    event = dice.choice(moving)
    has_id = event in (Event.SUBMIT_CONFIRMED, Event.ATTACHED)
    return Change(
        key=key(dice.randrange(ITEMS + 1)),  # one of them is unknown
        event=event,
        task_id=f"{number:032x}" if has_id else None,
        reason=dice.choice([None, "why", "马"]),
        message=dice.choice([None, 'it\'s "so"', "\U0001f40e" * 50]),
        not_before=dice.choice([None, 1.5]),
        files=(PlacedFile(name="a.png", size=1, sha256="0" * 64, media_type="image/png"),),
    )


def found_in(connection: sqlite3.Connection) -> list[Any]:
    items = connection.execute("SELECT * FROM items ORDER BY key").fetchall()
    events = connection.execute(
        "SELECT key, at, event, attempt, task_id, reason, message FROM events ORDER BY key, seq"
    ).fetchall()
    return [tuple(row) for row in (*items, *events)]


@pytest.mark.parametrize("seed", range(20))
def test_grouped_moves_equal_moves_one_by_one(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    alone, together = a_journal(tmp_path / "alone"), a_journal(tmp_path / "together")
    with closing(alone), closing(together):
        for round_ in range(12):
            moves = [Move(a_change(dice, round_ * 100 + n), 10.0 + n) for n in range(40)]
            started = [Move(Change(key=key(n), event=Event.SUBMIT_STARTED), 5.0) for n in range(8)]
            moves = [*started, *moves]
            wanted = [wrong for move in moves if (wrong := error_of(alone, move))]
            errors = [type(error) for error in apply_all(together, moves) if error]
            # The order between items may differ, the errors of each item do not.
            assert sorted(map(str, errors)) == sorted(map(str, wanted))
            assert found_in(together) == found_in(alone)


def error_of(connection: sqlite3.Connection, move: Move) -> type[Exception] | None:
    try:
        move(connection)
    except (IllegalTransition, JournalError) as error:
        return type(error)
    return None


def test_grouped_moves_to_done_leave_the_same_history(tmp_path: Path) -> None:
    alone, together = a_journal(tmp_path / "alone"), a_journal(tmp_path / "together")
    life = (Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED, Event.TASK_COMPLETED, Event.PLACED)
    with closing(alone), closing(together):
        moves = [
            Move(Change(key=key(n), event=event, task_id=f"{n:032x}" if at == 1 else None), at)
            for at, event in enumerate(life)
            for n in range(ITEMS)
        ]
        for move in moves:
            move(alone)

        assert apply_all(together, moves) == [None] * len(moves)
        assert found_in(together) == found_in(alone)
        placed = together.execute("SELECT task_id FROM events WHERE event = 'placed'").fetchall()
        assert {row[0] for row in placed} == {f"{n:032x}" for n in range(ITEMS)}


def test_illegal_move_in_a_group_changes_nothing(tmp_path: Path) -> None:
    with closing(a_journal(tmp_path / "journal")) as connection:
        start = [Move(Change(key=key(n), event=Event.SUBMIT_STARTED), 1.0) for n in range(5)]
        assert apply_all(connection, start) == [None] * 5

        again = apply_all(connection, start[:2] + [
            Move(Change(key=key(n), event=Event.SUBMIT_STARTED), 2.0) for n in range(5, 8)
        ])  # fmt: skip

        assert [type(error) for error in again[:2]] == [IllegalTransition] * 2
        assert again[2:] == [None] * 3
        attempts = connection.execute("SELECT sum(attempt) FROM items").fetchone()[0]
        assert attempts == 8


@pytest.mark.parametrize("later", [key(1), "no-such-item"])
def test_moves_together_are_all_made_or_none(tmp_path: Path, later: str) -> None:
    first = Move(Change(key=key(0), event=Event.SUBMIT_STARTED), 1.0)
    wrong = Move(Change(key=later, event=Event.PLACED), 1.0)
    right = Move(Change(key=key(0), event=Event.SUBMIT_REJECTED), 1.0)
    with closing(a_journal(tmp_path / "journal")) as connection:
        before = found_in(connection)
        with pytest.raises((IllegalTransition, JournalError)):
            Moves((first, wrong))(connection)
        assert found_in(connection) == before

        Moves((first, right))(connection)
        row = connection.execute("SELECT status, attempt FROM items WHERE key = ?", (key(0),))
        assert tuple(row.fetchone()) == ("rejected", 0)


def test_task_id_twice_in_a_group_goes_to_the_first_item(tmp_path: Path) -> None:
    with closing(a_journal(tmp_path / "journal")) as connection:
        apply_all(connection, [Move(Change(key=key(n), event=Event.SUBMIT_STARTED), 1.0)
                               for n in range(4)])  # fmt: skip
        ids = ["a" * 32, "b" * 32, "a" * 32, "c" * 32]

        errors = apply_all(connection, [
            Move(Change(key=key(n), event=Event.SUBMIT_CONFIRMED, task_id=ids[n]), 2.0)
            for n in range(4)
        ])  # fmt: skip

        assert [type(error) for error in errors if error] == [TaskIdTaken]
        rows = connection.execute("SELECT task_id FROM items ORDER BY key LIMIT 4").fetchall()
        assert [row[0] for row in rows] == ["a" * 32, "b" * 32, None, "c" * 32]
