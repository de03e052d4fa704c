"""Create and open a journal."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.resources import files as package_files
from pathlib import Path
from typing import Self

from batch_runner.errors import JournalError, JournalUnreadable
from batch_runner.journal.sql.group_commit import PendingOperation
from batch_runner.journal.sql.journal import SqlJournal
from batch_runner.journal.sqlite.commit import commit_batch
from batch_runner.journal.sqlite.connection import (
    FILE_NAMES,
    Transaction,
    check,
    closed_on_error,
    connect,
    location_of,
    translated,
)
from batch_runner.journal.sqlite.migrations import SCHEMA_VERSION, check_version, migrate
from batch_runner.util.locale import tr
from batch_runner.util.paths import same_name
from batch_runner.util.text import error_reason


class Journal(SqlJournal):
    """The journal of one job in one SQLite file, open for writing."""

    _connection: sqlite3.Connection
    _FILE_NAMES = FILE_NAMES

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        job: str,
        provider: str,
        origin: str,
        wall_clock: Callable[[], float] = time.time,
    ) -> Self:
        """Create a journal at `path`; its first commit is on the disk when this returns.

        Raises:
            JournalError: it cannot be created.
        """
        try:
            path.touch(mode=0o600)
            connection = connect(path)
            now = wall_clock()
            today = time.strftime("%Y-%m-%d", time.localtime(now))
            schema = package_files(__package__).joinpath("schema.sql").read_text("utf-8")
            with closed_on_error(connection):
                connection.executescript(f"BEGIN; {schema} PRAGMA user_version = {SCHEMA_VERSION};")
                connection.execute(
                    "INSERT INTO job "
                    "(id, name, provider, origin, folder, inode, created_at, today) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (uuid.uuid4().hex, job, provider, origin, *location_of(path), now, today),
                )
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            reason = error_reason(error)
            raise JournalError(f"the journal {path} cannot be created: {reason}") from error
        return cls(connection, wall_clock=wall_clock)

    @classmethod
    def open(cls, path: Path, *, wall_clock: Callable[[], float] = time.time) -> Self:
        """Open an existing journal after checking it; call `migrate` before anything is written.

        Raises:
            JournalUnreadable: it is missing, empty or damaged.
            JournalVersionMismatch: a newer program wrote it.
        """
        if not path.is_file() or path.stat().st_size == 0:
            raise JournalUnreadable(tr("the journal {path} is missing or empty", path=path))
        try:
            connection = connect(path)
            with closed_on_error(connection):
                check_version(connection, path, oldest=1)
                check(connection, path)
        except sqlite3.Error as error:
            raise JournalUnreadable(
                tr("the journal {path} cannot be read: {error}", path=path, error=error)
            ) from error
        return cls(connection, wall_clock=wall_clock)

    def migrate(self, path: Path) -> None:
        """Migrate a journal of an older version; see `migrations.migrate`."""
        with translated():
            migrate(self._connection, path)

    def record_location(self, path: Path) -> None:
        """Record the path and inode of the journal, so that a copy of it is recognised."""
        with self._transaction():
            self._connection.execute("UPDATE job SET folder = ?, inode = ?", location_of(path))

    def is_original_location(self, path: Path, *, known: bool) -> bool:
        """Return whether the journal is the recorded file, there or moved; False: it is a copy.

        Another file at the recorded path is a restored backup, or a copy on another machine. It is
        accepted if the registry of this host has the job (`known`), or if the inode is the recorded
        one: the number of its device may change.
        """
        folder, inode = location_of(path)
        job = self.job()
        if same_name(job["folder"], folder):
            return known or inode.partition(":")[2] == job["inode"].partition(":")[2]
        return bool(job["inode"] == inode)

    def _commit(self, batch: list[PendingOperation]) -> None:
        commit_batch(self._connection, batch)

    def _reading(self) -> AbstractContextManager[None]:
        return translated()

    def _transaction(self) -> Transaction:
        return Transaction(self._connection)
