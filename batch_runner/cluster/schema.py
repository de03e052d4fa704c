"""The schema `batch_runner` of the database: what all jobs of a cluster share, and its version."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from importlib.resources import files as package_files
from typing import Any

import psycopg

from batch_runner.errors import JournalError, UsageError
from batch_runner.journal.postgres.connection import connect
from batch_runner.ratelimit.postgres import create_rates
from batch_runner.util.locale import tr
from batch_runner.util.postgres import reason_of

#: To be raised, with a step in `_migrate`, when `schema.sql` or `rates.sql` is changed.
VERSION = 1
_SCHEMA = "batch_runner"
#: Held while the tables are made or migrated.
_ADVISORY_LOCK = 0x62617463685F636C


class Outcome(Enum):
    """What `init_cluster` did."""

    MADE, MIGRATED, UNCHANGED = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """What is worth knowing of the database of a cluster."""

    host: str  # name, address or folder of its socket
    version: str  # of PostgreSQL
    max_connections: int
    connections: int  # in use
    clock_ahead: float  # of this host's clock, seconds
    clock_error: float  # of `clock_ahead`, seconds

    @property
    def round_trip(self) -> float:
        """Return the seconds that an answer of the database takes."""
        return 2 * self.clock_error


def init_cluster(dsn: str) -> tuple[Outcome, Database]:
    """Make what is missing in the database, or migrate what is older; may be repeated.

    Raises:
        UsageError: the database cannot be used, or a newer program has migrated it.
    """
    with _connected(dsn) as connection:
        _check_encoding(connection)
        connection.execute("SELECT pg_advisory_lock(%s)", (_ADVISORY_LOCK,))
        before = _stored_version(connection)
        _refuse_newer(before)
        outcome = Outcome.UNCHANGED
        if before is None or before < VERSION:
            outcome = Outcome.MADE if before is None else Outcome.MIGRATED
            create_rates(dsn)
            _migrate(connection)
        return outcome, _examine(connection)


def check_cluster(connection: psycopg.Connection[Any]) -> None:
    """Check that the database has what this program needs.

    Raises:
        UsageError: `cluster init` has to be used first, or a newer program has migrated it.
    """
    found = _stored_version(connection)
    _refuse_newer(found)
    if found is None:
        raise UsageError(
            tr("the database is not set up for a cluster; `batch-runner cluster init` does that")
        )
    if found < VERSION:
        raise UsageError(
            tr(
                "the database of the cluster has version {found}, and this program needs version "
                "{needed}; stop all workers, and use `batch-runner cluster init`",
                found=found,
                needed=VERSION,
            )
        )


def check_database(dsn: str) -> None:
    """Check that the user's database is set up for a cluster; raises as `check_cluster`."""
    with _connected(dsn) as connection:
        check_cluster(connection)


def examine_database(dsn: str) -> Database:
    """Return what is worth knowing of the database; raises as `check_cluster`."""
    with _connected(dsn) as connection:
        check_cluster(connection)
        return _examine(connection)


@contextmanager
def _connected(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection whose commits are durable; raise UsageError for its errors."""
    try:
        with closing(connect(dsn, _SCHEMA)) as connection:
            yield connection
    except JournalError as error:
        raise UsageError(str(error)) from error
    except psycopg.Error as error:
        raise UsageError(
            tr("the database of the cluster cannot be used: {error}", error=reason_of(error))
        ) from error


def _check_encoding(connection: psycopg.Connection[Any]) -> None:
    encoding = _value(connection, "SELECT current_setting('server_encoding')")
    if encoding != "UTF8":
        raise UsageError(
            tr(
                "the database has the encoding {encoding}, which cannot store every prompt; "
                "create one with ENCODING 'UTF8'",
                encoding=encoding,
            )
        )


def _stored_version(connection: psycopg.Connection[Any]) -> int | None:
    """Return the version of the tables, None if there are none."""
    if _value(connection, "SELECT to_regclass('batch_runner.version')") is None:
        return None
    found = _value(connection, "SELECT max(version) FROM batch_runner.version")
    return None if found is None else int(found)


def _refuse_newer(found: int | None) -> None:
    if found is not None and found > VERSION:
        raise UsageError(
            tr(
                "the database of the cluster has version {found}, which a newer program has made; "
                "this one knows version {known}: update it",
                found=found,
                known=VERSION,
            )
        )


def _migrate(connection: psycopg.Connection[Any]) -> None:
    statements = package_files(__package__).joinpath("schema.sql").read_bytes()
    with connection.transaction():
        connection.execute(statements)
        connection.execute("DELETE FROM batch_runner.version")
        connection.execute("INSERT INTO batch_runner.version VALUES (%s)", (VERSION,))


def _examine(connection: psycopg.Connection[Any]) -> Database:
    ahead, error = min((_clock(connection) for _ in range(3)), key=lambda one: one[1])
    used = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    return Database(
        host=connection.info.host,
        version=str(_value(connection, "SELECT current_setting('server_version')")),
        max_connections=int(_value(connection, "SELECT current_setting('max_connections')")),
        connections=int(_value(connection, used)),
        clock_ahead=ahead,
        clock_error=error,
    )


def _clock(connection: psycopg.Connection[Any]) -> tuple[float, float]:
    """Return how far the database's clock is ahead of this host's, and the largest error."""
    wall, start = time.time(), time.monotonic()
    there = _value(connection, "SELECT extract(epoch FROM clock_timestamp())::float8")
    half = (time.monotonic() - start) / 2
    return float(there) - wall - half, half


def _value(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    return None if row is None else row[0]
