"""Create and open a journal in a database."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from importlib.resources import files as package_files
from pathlib import Path
from typing import Self, TypeVar

from batch_runner.errors import JobLocked, JournalError, JournalUnreadable, JournalVersionMismatch
from batch_runner.journal.base import Change, DatabaseRestored
from batch_runner.journal.cluster_dsn import VARIABLE
from batch_runner.journal.postgres.commit import apply_all, commit_batch
from batch_runner.journal.postgres.connection import (
    COMMITTED_UP_TO,
    FILE_NAMES,
    NO_MARK,
    Mark,
    PostgresConnection,
    Transaction,
)
from batch_runner.journal.sql.connection import Connection
from batch_runner.journal.sql.group_commit import PendingOperation
from batch_runner.journal.sql.journal import SqlJournal
from batch_runner.journal.sql.transitions import Move
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, utf8_text

T = TypeVar("T")

SCHEMA_VERSION = 1
#: Most items of a shard, unless a job says otherwise.
SHARD_SIZE = 500
_LAST_EVENT = "SELECT seq, at FROM events ORDER BY seq DESC LIMIT 1"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class PostgresJournal(SqlJournal):
    """The journal of one job in one schema of a database, open for writing.

    Several hosts may have it open.
    """

    _connection: PostgresConnection
    _FILE_NAMES = FILE_NAMES
    _UNATTENDED = (
        "AND NOT EXISTS (SELECT 1 FROM shards WHERE shards.shard = items.shard "
        "AND worker IS NOT NULL AND expires_at > seconds_now())"
    )
    _COMMITTED_UP_TO = COMMITTED_UP_TO
    _EMPTY = "TRUNCATE"  # deleted rows would stay in a temporary table until the session ends

    def __init__(
        self, connection: PostgresConnection, *, wall_clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(connection, wall_clock=wall_clock)
        self._locked = False
        connection.check = self._check_reopened

    @classmethod
    def create(
        cls,
        dsn: str,
        schema: str,
        *,
        job: str,
        provider: str,
        origin: str,
        folder: str = "",
        shard_size: int = SHARD_SIZE,
        wall_clock: Callable[[], float] = time.time,
    ) -> Self:
        """Create a journal, all of it or nothing.

        Args:
            dsn: connection string or URL of the database
            schema: name of the schema, which must not exist yet
            job: name of the job
            provider: name of the provider
            origin: scheme://host[:port] of the service
            folder: output folder
            shard_size: most items of a shard
            wall_clock: returns the time in seconds since the epoch

        Raises:
            JournalError: it cannot be created.
        """
        connection = PostgresConnection(dsn, checked_name(schema))
        now = wall_clock()
        today = time.strftime("%Y-%m-%d", time.localtime(now))
        scripts = (package_files(__package__) / name for name in ("schema.sql", "shards.sql"))
        tables = "\n".join(script.read_text("utf-8") for script in scripts)
        tables = tables.replace("{shard_size}", str(shard_size))
        try:
            with Transaction(connection):
                connection.execute_script(f'CREATE SCHEMA "{schema}"; {tables}')
                connection.execute(
                    "INSERT INTO job "
                    "(id, name, provider, origin, folder, version, created_at, today) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (uuid.uuid4().hex, job, provider, origin, folder, SCHEMA_VERSION, now, today),
                )
        except BaseException:
            connection.close()
            raise
        return cls(connection, wall_clock=wall_clock)

    @classmethod
    def open(cls, dsn: str, schema: str, *, wall_clock: Callable[[], float] = time.time) -> Self:
        """Open an existing journal.

        Raises:
            JournalUnreadable: there is none.
            JournalVersionMismatch: another version of this program made it.
            JournalError: there is no connection, or commits are not durable.
        """
        return cls(open_checked(dsn, schema), wall_clock=wall_clock)

    def migrate(self, path: Path) -> None:
        """Do nothing: `open` refuses a journal of another version."""

    def record_location(self, path: Path) -> None:
        folder = utf8_text(Utf8Path(path.parent.parent).resolve())
        self._connection.execute("UPDATE job SET folder = ?", (folder,))

    def is_original_location(self, path: Path, *, known: bool) -> bool:
        """Return True: the journal is in the database, so a copied folder means the same one."""
        return True

    @property
    def schema(self) -> str:
        """Return the name of the schema that has the journal."""
        return self._connection.schema

    def call(self, operation: Callable[[Connection], T]) -> asyncio.Future[T]:
        """Let the committer execute statements that are each committed by themselves."""
        return self._queue(operation)

    def record_under(self, lease: int, change: Change) -> asyncio.Future[None]:
        """Record a change that only the holder of a lease may make; raises as `record`."""
        return self._queue(Move(change, self._wall_clock(), lease))

    def lock(self) -> None:
        """Keep other hosts from opening the job for a run or a change, until `close`.

        Raises:
            JobLocked: another host has it.
        """
        query = "SELECT pg_try_advisory_lock(hashtextextended(current_schema(), 0))"
        if not self._connection.execute(query).fetchone()[0]:
            raise JobLocked(tr("another host runs this job, or changes it"))
        self._locked = True

    @property
    def mark(self) -> Mark:
        """Return the last event that this process has seen."""
        return self._connection.mark

    def check_mark(self, mark: Mark) -> None:
        """Raise DatabaseRestored if the database lacks an event that was seen of it."""
        check_mark(self._connection, mark)

    def check_last_event(self, known: int) -> None:
        """Raise DatabaseRestored if the last event is an earlier one than is known."""
        if self.last_event < known:
            raise _restored(known)

    @property
    def last_event(self) -> int:
        row = self._connection.execute(_LAST_EVENT).fetchone()
        self._connection.see(NO_MARK if row is None else Mark(row[0], row[1]))
        return 0 if row is None else int(row[0])

    def apply_under(self, lease: int, change: Change) -> None:
        """Record a change that only the holder of a lease may make; raises as `record`."""
        move = Move(change, self._wall_clock(), lease)
        if (error := apply_all(self._connection, [(move,)])[0]) is not None:
            raise error

    def _check_reopened(self) -> None:
        """Check that a new connection is to the same database, and take the lock again."""
        check_mark(self._connection, self.mark)
        if self._locked:
            try:
                self.lock()
            except JobLocked as error:
                raise JournalError(str(error)) from error

    def apply(self, change: Change) -> None:
        (error,) = apply_all(self._connection, [(Move(change, self._wall_clock()),)])
        if error is not None:
            raise error
        self.report_last_event()

    def report_last_event(self) -> None:
        # Without a connection, it is reported after the next commit.
        if self._connection.connected:
            with suppress(JournalError):
                super().report_last_event()

    def _commit(self, batch: list[PendingOperation]) -> None:
        commit_batch(self._connection, batch)

    def _transaction(self) -> Transaction:
        return Transaction(self._connection)

    def _single_statement(self) -> AbstractContextManager[None]:
        return nullcontext()  # it is committed by itself


def journal_exists(dsn: str, schema: str) -> bool:
    """Return whether the database has a journal in this schema."""
    with closing(PostgresConnection(dsn, checked_name(schema))) as connection:
        return _has_journal(connection)


def open_checked(dsn: str, schema: str) -> PostgresConnection:
    """Connect to an existing journal; raises as `PostgresJournal.open`."""
    connection = PostgresConnection(dsn, checked_name(schema))
    try:
        if not _has_journal(connection):
            raise JournalUnreadable(
                tr(
                    "the database has no job {schema}; check that {variable} names the right "
                    "database",
                    schema=schema,
                    variable=VARIABLE,
                )
            )
        row = connection.execute("SELECT max(version) FROM job").fetchone()
        if row[0] is None:
            raise JournalUnreadable(tr("the journal {path} names no job", path=schema))
        if row[0] != SCHEMA_VERSION:
            raise JournalVersionMismatch(
                tr(
                    "the job {schema} in the database has version {version}; this batch-runner "
                    "reads version {schema_version}",
                    schema=schema,
                    version=row[0],
                    schema_version=SCHEMA_VERSION,
                )
            )
    except BaseException:
        connection.close()
        raise
    return connection


def check_mark(connection: Connection, mark: Mark) -> None:
    """Check that the database has the last event that was seen of it.

    Its time, too: after an older state was restored, others may have written further events.

    Raises:
        DatabaseRestored: it has not.
    """
    query = "SELECT EXISTS (SELECT 1 FROM events WHERE seq = ? AND at = ?)"
    if mark != NO_MARK and not connection.execute(query, mark).fetchone()[0]:
        raise _restored(mark.event)


def _restored(event: int) -> DatabaseRestored:
    return DatabaseRestored(
        tr(
            "an older state of the database was restored: it lacks event {event} of this job, "
            "which was seen before. What was submitted since then would be paid for again",
            event=event,
        )
    )


def _has_journal(connection: PostgresConnection) -> bool:
    return bool(connection.execute("SELECT to_regclass('job') IS NOT NULL").fetchone()[0])


def checked_name(schema: str) -> str:
    """Return the name of a schema; raise JournalError if it is not one of plain words."""
    if not _NAME.fullmatch(schema):
        raise JournalError(
            tr("{schema} cannot be the name of a schema: use a-z, 0-9 and _", schema=schema)
        )
    return schema
