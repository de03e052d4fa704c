"""Open a journal for reading."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from batch_runner.errors import JournalUnreadable
from batch_runner.journal.reading import JournalReader
from batch_runner.journal.sql.reader import SqlReader
from batch_runner.journal.sqlite.connection import (
    BUSY_SECONDS,
    FILE_NAMES,
    check_locks,
    closed_on_error,
)
from batch_runner.journal.sqlite.migrations import (
    SCHEMA_VERSION,
    STATUSES_1_TO_2,
    check_version,
)
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, encode_path


class SqliteReader(SqlReader):
    """A read-only view of a journal in an SQLite file."""

    _STATUSES = STATUSES_1_TO_2
    _FILE_NAMES = FILE_NAMES

    def __init__(self, path: Path, *, oldest: int) -> None:
        self._place = path = Utf8Path(path)
        if not path.is_file():
            raise JournalUnreadable(tr("there is no journal at {path}", path=path))
        check_locks(path)
        with self._translated():
            self._connection = connection = _open(path)
        with closed_on_error(connection), self._translated():
            connection.execute("SELECT count(*) FROM job").fetchone()
            check_version(connection, path, oldest=oldest)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise JournalUnreadable(
                tr("the journal {path} cannot be read: {error}", path=self._place, error=error)
            ) from error


def _open(path: Path) -> sqlite3.Connection:
    try:
        return _connect(path, "ro")
    except sqlite3.OperationalError:
        # A killed run left a rollback journal, which only a writer can roll back.
        return _connect(path, "rw")


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"file:{quote(encode_path(str(path.absolute())))}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    connection.row_factory = sqlite3.Row
    with closed_on_error(connection):
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return connection


def journal_exists(path: Path) -> bool:
    """Return whether there is a journal; a first commit that was killed leaves an empty file.

    A damaged journal exists.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return False
    try:
        with closing(_open(Utf8Path(path))) as connection:
            return bool(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    except sqlite3.Error:
        return True


def open_reader(path: Path, *, oldest: int = SCHEMA_VERSION) -> JournalReader:
    """Open the journal at `path` for reading.

    Of a journal from version `oldest` on that is not migrated yet, only `job` and `outcomes` may be
    read.

    Raises:
        JournalUnreadable: it is missing or damaged.
        JournalVersionMismatch: it is older than `oldest`, or newer than this program.
    """
    return SqliteReader(path, oldest=oldest)
