"""A journal in PostgreSQL is opened only where commits are durable; its password is not shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batch_runner.errors import JournalError, JournalUnreadable
from batch_runner.journal import Journal
from batch_runner.journal.postgres.connection import PostgresConnection
from batch_runner.journal.postgres.journal import PostgresJournal, journal_exists
from batch_runner.journal.postgres.reader import open_reader
from batch_runner.journal.sqlite.connection import connect
from tests.harness.postgres import PostgresServer, create_journal


@pytest.fixture
def journal(server: PostgresServer, schema: str) -> Iterator[PostgresJournal]:
    with closing(create_journal(server, schema)) as journal:
        yield journal


def test_database_that_may_forget_commits_is_refused(
    server: PostgresServer, journal: PostgresJournal, schema: str
) -> None:
    server.set("fsync", "off")
    try:
        with pytest.raises(JournalError, match="fsync = off"):
            PostgresJournal.open(server.dsn, schema)
    finally:
        server.set("fsync", "on")


@pytest.mark.parametrize(("configured", "used"), [("off", "on"), ("remote_apply", "remote_apply")])
def test_commits_wait_for_the_disk_whatever_is_configured(
    server: PostgresServer, journal: PostgresJournal, schema: str, configured: str, used: str
) -> None:
    server.set("synchronous_commit", configured)
    try:
        with closing(PostgresConnection(server.dsn, schema)) as connection:
            found = connection.execute("SHOW synchronous_commit").fetchone()[0]
    finally:
        server.set("synchronous_commit", "on")

    assert found == used


def test_sessions_give_up_locks_of_stopped_clients(server: PostgresServer, schema: str) -> None:
    with closing(PostgresConnection(server.dsn, schema)) as connection:
        found = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]
            for name in ("idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout")
        }

    assert found == {
        "idle_in_transaction_session_timeout": "1min",
        "lock_timeout": "30s",
        "statement_timeout": "5min",
    }


@pytest.mark.parametrize(
    ("dsn", "message"),
    [
        ("host=/nowhere-at-all password=hidden", "cannot be reached"),
        ("postgresql://user:hidden@[", "not valid"),
        ("hidden", "not valid"),
    ],
)
def test_wrong_connection_string_is_not_shown(dsn: str, message: str) -> None:
    with pytest.raises(JournalError, match=message) as caught:
        PostgresJournal.open(dsn, "cards")

    assert "hidden" not in str(caught.value)


def test_schema_without_a_journal_is_refused(server: PostgresServer, schema: str) -> None:
    with pytest.raises(JournalUnreadable, match=f"no job {schema}"):
        PostgresJournal.open(server.dsn, schema)
    with pytest.raises(JournalUnreadable, match=f"no job {schema}"):
        open_reader(server.dsn, schema)
    with pytest.raises(JournalError, match="cannot be the name of a schema"):
        create_journal(server, 'a"; DROP TABLE b; --')
    assert not journal_exists(server.dsn, schema)


def test_second_journal_in_a_schema_is_refused(
    server: PostgresServer, journal: PostgresJournal, schema: str
) -> None:
    with pytest.raises(JournalError, match="already exists"):
        create_journal(server, schema)

    assert journal.most_attempts() == 1


#: Table and column that only one database has.
ONLY_SQLITE = {("job", "inode")}
ONLY_POSTGRESQL = {("job", "version"), ("items", "rowid"), ("items", "shard")}
#: Tables by which the hosts of a cluster divide the items.
ONLY_CLUSTER = {"shards", "workers", "worker_figures", "run_orders", "contents"}


def test_tables_have_the_columns_of_those_in_sqlite(
    server: PostgresServer, journal: PostgresJournal, schema: str, tmp_path: Path
) -> None:
    path = tmp_path / "journal.sqlite"
    Journal.create(path, job="cards", provider="baicai", origin="x").close()
    query = (
        "SELECT tables.name, columns.name FROM sqlite_schema AS tables, "
        "pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'"
    )
    with closing(connect(path)) as sqlite:
        expected = {tuple(row) for row in sqlite.execute(query)}
    query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = ?"
    with closing(PostgresConnection(server.dsn, schema)) as connection:
        found = {tuple(row) for row in connection.execute(query, (schema,))}
        found = {(table, column) for table, column in found if table not in ONLY_CLUSTER}

    assert expected - found == ONLY_SQLITE
    assert found - expected == ONLY_POSTGRESQL
