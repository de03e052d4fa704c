"""What only the journal in PostgreSQL has: several hosts, and a connection that can be lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from batch_runner.errors import IllegalTransition, JournalError
from batch_runner.journal import Change, Journal
from batch_runner.journal.base import ConnectionLost
from batch_runner.journal.postgres.commit import apply_all
from batch_runner.journal.postgres.connection import PostgresConnection, Transaction
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.journal.postgres.reader import open_reader
from batch_runner.journal.sql.connection import Connection
from batch_runner.journal.sql.transitions import Move
from batch_runner.journal.sqlite.connection import connect as connect_sqlite
from batch_runner.lifecycle import Event, ItemStatus
from tests.harness import an_item, some_items
from tests.harness.postgres import PostgresServer, create_journal, new_schema
from tests.integration.journal.test_transitions import ITEMS, a_change

pytestmark = pytest.mark.anyio


@pytest.fixture
def journal(server: PostgresServer, schema: str) -> Iterator[PostgresJournal]:
    """Return the journal of a job with three items."""
    with closing(create_journal(server, schema)) as journal:
        journal.import_items(some_items(3))
        yield journal


def key(number: int) -> str:
    return an_item(number).key


def started(number: int, **more: Any) -> Change:
    return Change(key=key(number), event=Event.SUBMIT_STARTED, **more)


# Several jobs and hosts.


def test_jobs_in_one_database_are_separate(
    server: PostgresServer, journal: PostgresJournal, schema: str
) -> None:
    other = new_schema()
    with closing(create_journal(server, other)) as second:
        second.import_items(some_items(1))
        second.apply(started(0))

    with open_reader(server.dsn, schema) as reader:
        assert [row.status for row in reader.items()] == [ItemStatus.PENDING] * 3
    with open_reader(server.dsn, other) as reader:
        assert [row.status for row in reader.items()] == [ItemStatus.SUBMITTING]


def test_new_items_are_assigned_to_shards_of_500(
    server: PostgresServer, journal: PostgresJournal, schema: str
) -> None:
    journal.import_items(some_items(1100))

    with closing(PostgresConnection(server.dsn, schema)) as connection:
        query = "SELECT shard, count(*), min(position) FROM items GROUP BY shard ORDER BY shard"
        found = [tuple(row) for row in connection.execute(query)]

    assert found == [(0, 500, 0), (1, 500, 500), (2, 100, 1000)]


async def test_only_one_of_two_hosts_gets_an_item(
    server: PostgresServer, journal: PostgresJournal, schema: str
) -> None:
    with closing(PostgresJournal.open(server.dsn, schema)) as other:
        journal.start()
        other.start()

        outcomes = await asyncio.gather(
            *(host.record(started(number)) for number in range(3) for host in (journal, other)),
            return_exceptions=True,
        )

    assert sorted(map(type, outcomes), key=str) == [type(None)] * 3 + [IllegalTransition] * 3
    with open_reader(server.dsn, schema) as reader:
        assert [row.attempt for row in reader.items()] == [1, 1, 1]
        assert len(reader.events(key(0))) == 2


# A connection that is lost.


async def test_changes_after_a_lost_connection_are_recorded(
    server: PostgresServer, journal: PostgresJournal, schema: str
) -> None:
    journal.start()
    await journal.record(started(0))
    server.end_sessions()

    with pytest.raises(ConnectionLost):
        await journal.record(started(1))
    await journal.record(started(2))

    with open_reader(server.dsn, schema) as reader:
        assert [row.status for row in reader.items(ItemStatus.PENDING)] == [ItemStatus.PENDING]


async def test_recorded_changes_survive_a_crash_of_the_database(
    server: PostgresServer, journal: PostgresJournal, schema: str
) -> None:
    journal.start()
    await journal.record(started(0))
    server.stop()
    try:
        outcomes = await asyncio.gather(
            journal.record(started(1)),
            journal.pending_items(-1, 10),
            journal.record(started(2)),
            return_exceptions=True,
        )
    finally:
        server.start()

    assert all(isinstance(outcome, JournalError) for outcome in outcomes)
    assert [item.id for item in await journal.pending_items(-1, 10)] == ["item-1", "item-2"]


def test_import_that_loses_its_connection_changes_nothing(
    server: PostgresServer, journal: PostgresJournal
) -> None:
    def specs() -> Iterator[Any]:
        yield from some_items(600)
        server.end_sessions()
        yield from some_items(1200)[600:]

    with pytest.raises(ConnectionLost):
        journal.import_items(specs())

    assert journal.counts_now()[ItemStatus.PENDING] == 3
    assert journal.import_items(some_items(1200)).new == 1197


def test_transaction_does_not_continue_on_another_connection(
    server: PostgresServer, journal: PostgresJournal, schema: str
) -> None:
    with closing(PostgresConnection(server.dsn, schema)) as connection:

        def hold(number: int) -> None:
            connection.execute("UPDATE items SET status = 'held' WHERE key = ?", (key(number),))

        def work() -> None:
            with Transaction(connection):
                hold(0)
                server.end_sessions()
                for number in (1, 2):
                    with suppress(ConnectionLost):
                        hold(number)

        with pytest.raises(ConnectionLost):
            work()
        held = connection.execute("SELECT count(*) FROM items WHERE status = 'held'").fetchone()[0]

    assert held == 0


# Moves and values.


@pytest.mark.parametrize("seed", range(5))
def test_grouped_moves_equal_those_in_sqlite_one_by_one(
    server: PostgresServer, schema: str, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    with closing(create_journal(server, schema)) as journal:
        journal.import_items(some_items(ITEMS))
    path = tmp_path / "journal"
    with closing(Journal.create(path, job="j", provider="p", origin="o")) as alone:
        alone.import_items(some_items(ITEMS))

    with (
        closing(connect_sqlite(path)) as sqlite,
        closing(PostgresConnection(server.dsn, schema)) as database,
    ):
        for round_ in range(12):
            changes = [a_change(dice, round_ * 100 + n) for n in range(40)]
            moves = [Move(change, 10.0 + n) for n, change in enumerate(changes)]
            moves = [*(Move(started(n), 5.0) for n in range(8)), *moves]
            wanted = [_error_of(sqlite, move) for move in moves]
            errors = apply_all(database, [(move,) for move in moves])

            assert sorted(map(str, map(type, errors))) == sorted(map(str, wanted))
            assert _contents(database) == _contents(sqlite)


def _error_of(connection: Connection, move: Move) -> type[Exception | None]:
    try:
        move(connection)
    except (IllegalTransition, JournalError) as error:
        return type(error)
    return type(None)


def _contents(connection: Connection) -> list[Any]:
    items = connection.execute(
        "SELECT key, status, attempt, task_id, reason, message, not_before, files, started_at, "
        "submitted_at, completed_at, done_at, reused_from, free FROM items ORDER BY key"
    ).fetchall()
    events = connection.execute(
        "SELECT key, event, attempt, task_id, reason, message FROM events "
        "WHERE event <> 'listed' ORDER BY key, seq"
    ).fetchall()
    return [tuple(row) for row in (*items, *events)]


async def test_operations_of_one_batch_keep_their_order(journal: PostgresJournal) -> None:
    """Together or alone, with several changes or one, and with reads between them."""
    rejected = Change(key=key(0), event=Event.SUBMIT_REJECTED, reason="r")
    journal.start()

    first = journal.record(started(0), rejected)
    retried = journal.record(Change(key=key(0), event=Event.RETRIED))
    pending = journal.pending_items(-1, 10)
    again = journal.record(started(0))
    illegal = journal.record(started(1), Change(key=key(1), event=Event.PLACED))
    left = journal.pending_items(-1, 10)
    await asyncio.gather(first, retried, again)

    assert [item.id for item in await pending] == ["item-0", "item-1", "item-2"]
    assert [item.id for item in await left] == ["item-1", "item-2"]
    with pytest.raises(IllegalTransition, match="from submitting by placed"):
        await illegal


@pytest.mark.parametrize("together", [1, 3])
async def test_text_that_postgresql_cannot_store_is_kept(
    journal: PostgresJournal, server: PostgresServer, schema: str, together: int
) -> None:
    message = "\x00 a \x1a0 \x1a1 \x1a \\u0000 \\ 马 %s ?"
    failed = [
        Change(key=key(n), event=Event.UPLOAD_FAILED, reason=message, message=message)
        for n in range(together)
    ]
    journal.apply(failed[0])
    journal.start()

    await asyncio.gather(*map(journal.record, failed))

    with open_reader(server.dsn, schema) as reader:
        (*_, event) = reader.events(key(together - 1))
        row = reader.item(key(0))
    assert row is not None
    assert (row.message, row.reason, event.message) == (message, message, message)


# Hosts that write at the same time.


def test_hosts_that_move_the_same_items_do_not_deadlock(
    server: PostgresServer, journal: PostgresJournal, schema: str
) -> None:
    journal.import_items(some_items(100))

    def write(seed: int) -> list[Exception]:
        dice, errors = random.Random(seed), list[Exception | None]()
        with closing(PostgresConnection(server.dsn, schema)) as database:
            for _ in range(60):
                numbers = dice.sample(range(100), 100)
                changes = [Change(key=key(one), event=Event.UPLOAD_FAILED) for one in numbers]
                errors += apply_all(database, [(Move(change, 1.0),) for change in changes])
        return [error for error in errors if error]

    with ThreadPoolExecutor() as threads:
        assert list(threads.map(write, range(4))) == [[]] * 4


async def test_moves_that_deadlock_are_made_again(
    server: PostgresServer, journal: PostgresJournal, schema: str
) -> None:
    journal.start()
    lock = f'SELECT FROM "{schema}".items WHERE key = %s FOR UPDATE'
    with (
        psycopg.connect(server.dsn) as first,
        psycopg.connect(server.dsn, options="-c deadlock_timeout=1h") as other,
        ThreadPoolExecutor() as threads,
    ):
        first.execute(lock, (key(1),))
        other.execute(lock, (key(2),))
        recorded = journal.record(started(0), started(1), started(2))
        await server.wait_for_blocked(1)
        waiting = threads.submit(other.execute, lock, (key(0),))
        await server.wait_for_blocked(2)
        first.rollback()
        waiting.result()
        other.rollback()
        await recorded

    with open_reader(server.dsn, schema) as reader:
        assert [row.attempt for row in reader.items()] == [1, 1, 1]


async def test_last_result_of_an_upload_and_last_figures_stay(
    server: PostgresServer, journal: PostgresJournal, schema: str
) -> None:
    with closing(PostgresJournal.open(server.dsn, schema)) as other:
        first, second = (one.begin_run(pid=1, host="h") for one in (journal, other))
        for one, state in ((journal, "old"), (other, "new")):
            one.keep_learned({"cards": state, state: ""})
        journal.start()
        other.start()
        await journal.remember_upload("a", "old")
        await other.remember_upload("a", "new")
        value = await journal.upload_value("a", 0)

    with open_reader(server.dsn, schema) as reader:
        assert (first, second, value) == (1, 2, "new")
        assert [run.run for run in reader.runs()] == [1, 2]
        assert reader.learned() == {"cards": "new", "old": "", "new": ""}
