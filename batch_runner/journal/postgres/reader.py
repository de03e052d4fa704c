"""Open a journal in a database for reading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from batch_runner.errors import JournalError, JournalUnreadable
from batch_runner.journal.postgres import shards
from batch_runner.journal.postgres.connection import COMMITTED_UP_TO, FILE_NAMES
from batch_runner.journal.postgres.journal import open_checked
from batch_runner.journal.reading import JournalReader
from batch_runner.journal.sql.reader import SqlReader


class PostgresReader(SqlReader):
    """A view of a journal in a database; it writes nothing but temporary tables."""

    _FILE_NAMES = FILE_NAMES
    _COMMITTED_UP_TO = COMMITTED_UP_TO

    def __init__(self, dsn: str, schema: str) -> None:
        self._place = schema
        with self._translated():
            self._connection = open_checked(dsn, schema)

    def workers_may_submit(self) -> bool:
        with self._translated():
            return shards.unfinished_shards(self._connection) > 0

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except JournalUnreadable:
            raise
        except JournalError as error:
            raise JournalUnreadable(str(error)) from error


def open_reader(dsn: str, schema: str) -> JournalReader:
    """Open the journal in this schema for reading.

    Raises:
        JournalUnreadable: there is none, or no connection.
        JournalVersionMismatch: another version of this program made it.
    """
    return PostgresReader(dsn, schema)
