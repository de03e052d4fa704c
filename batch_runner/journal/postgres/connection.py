"""A connection to PostgreSQL that executes the shared statements, and the checks before its use.

The tables of a job are in a schema of their own. `search_path` names only that schema, so the
statements need no prefix, and several jobs share a database.

A connection that is lost is opened again by the next statement; what it was doing is unknown. Then
`check` is called first: the database may be another one than before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Self

import psycopg
from psycopg import pq

from batch_runner.errors import JournalError
from batch_runner.journal.base import ConnectionLost
from batch_runner.journal.sql.connection import Cursor
from batch_runner.util.locale import tr
from batch_runner.util.postgres import connect as open_connection
from batch_runner.util.postgres import reason_of

#: Values of `synchronous_commit` with which a commit is on the disk.
_DURABLE = ("on", "remote_apply")
_TOKEN = re.compile(r"'(?:[^']|'')*'|::|:(\w+)|\?|%")
_TEXT = 25  # type OID

# PostgreSQL cannot store a NUL in text: it is written as \x1a followed by 0, and \x1a as \x1a1.
_ESCAPED = re.compile("\x1a[01]")
_NUL, _ESCAPE = "\x00", "\x1a"

#: See `SqlReader._FILE_NAMES`.
FILE_NAMES = (
    "SELECT key, status, one.value ->> 'name' AS name "
    "FROM items, json_array_elements(files::json) AS one (value)"
)

#: See `SqlReader._COMMITTED_UP_TO`.
COMMITTED_UP_TO = "SELECT committed_up_to()"


def storable(text: str) -> str:
    """Return `text` without the one character that PostgreSQL cannot store."""
    if _NUL in text or _ESCAPE in text:
        return text.replace(_ESCAPE, _ESCAPE + "1").replace(_NUL, _ESCAPE + "0")
    return text


def _restored(text: str) -> str:
    return _ESCAPED.sub(lambda found: _ESCAPE if found[0][1] == "1" else _NUL, text)


class Deadlocked(JournalError):
    """The database has undone a statement: it and another one waited for each other."""


class Row:
    """A row of a result; see `journal.sql.connection.Row`."""

    __slots__ = ("_columns", "_values")

    def __init__(self, values: Sequence[Any], columns: Mapping[str, int]) -> None:
        self._values = values
        self._columns = columns

    def __getitem__(self, column: str | int) -> Any:
        return self._values[column if isinstance(column, int) else self._columns[column]]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def keys(self) -> Any:
        return self._columns.keys()


class _Cursor(psycopg.Cursor[Row]):
    """A cursor that has no rows, instead of an error, after a statement that returns none."""

    def fetchall(self) -> list[Row]:
        return super().fetchall() if self.description else []


def _row_factory(cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], Row]:
    description = cursor.description or ()
    columns = {column.name: number for number, column in enumerate(description)}
    texts = [number for number, column in enumerate(description) if column.type_code == _TEXT]

    def row(values: Sequence[Any]) -> Row:
        if any(_ESCAPE in (values[number] or "") for number in texts):
            values = [_restored(one) if isinstance(one, str) else one for one in values]
        return Row(values, columns)

    return row


class Mark(NamedTuple):
    """The last event that a process has seen: its number and its time, wall clock."""

    event: int
    at: float


NO_MARK = Mark(0, 0.0)


class PostgresConnection:
    """See `journal.sql.connection.Connection`; raises JournalError for the errors of psycopg."""

    def __init__(self, dsn: str, schema: str) -> None:
        """Open no connection yet; the first statement does.

        Args:
            dsn: connection string or URL of the database
            schema: name of the schema of the job
        """
        self._dsn = dsn
        self.schema = schema
        self._open: psycopg.Connection[Row] | None = None
        self._was_open = False
        self.mark = NO_MARK
        self.check: Callable[[], None] = lambda: None  # raises JournalError: it is not used
        self.stays = False  # in a transaction, which another connection would not continue

    @property
    def connected(self) -> bool:
        return self._open is not None

    @property
    def in_transaction(self) -> bool:
        opened = self._open
        return opened is not None and opened.info.transaction_status in (
            pq.TransactionStatus.INTRANS,
            pq.TransactionStatus.INERROR,
        )

    def execute(self, statement: str, values: Any = (), /) -> Cursor:
        try:
            cursor = self._connection().cursor()
            return cursor.execute(translated(statement), _storable_values(values))
        except psycopg.Error as error:
            raise self._failure(error) from error

    def execute_script(self, statements: str) -> None:
        """Execute several statements without values, as they are."""
        try:
            self._connection().execute(statements)
        except psycopg.Error as error:
            raise self._failure(error) from error

    def executemany(self, statement: str, values: Any, /) -> Cursor:
        try:
            cursor = self._connection().cursor()
            rows = [_storable_values(one) for one in values]
            cursor.executemany(translated(statement), rows)
        except psycopg.Error as error:
            raise self._failure(error) from error
        return cursor

    def see(self, mark: Mark) -> None:
        """Remember the last event of the journal, unless a later one was seen before."""
        self.mark = max(self.mark, mark)

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _connection(self) -> psycopg.Connection[Row]:
        if self._open is None:
            if self.stays:
                raise ConnectionLost("the connection to the journal's database was lost")
            self._open = connect(self._dsn, self.schema)
            if self._was_open:
                self._check_again()
            self._was_open = True
        return self._open

    def _check_again(self) -> None:
        try:
            self.check()
        except BaseException:
            self.close()
            raise

    def _failure(self, error: psycopg.Error) -> JournalError:
        reason = reason_of(error)
        if isinstance(error, psycopg.errors.DeadlockDetected):
            return Deadlocked(f"the journal cannot be written: {reason}")
        if self._open is not None and self._open.closed:
            self._open = None
            return ConnectionLost(f"the connection to the journal's database was lost: {reason}")
        return JournalError(f"the journal cannot be read or written: {reason}")


class Transaction:
    """A durable transaction; for the calls between runs."""

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN")
        self._connection.stays = True

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
            elif self._connection.in_transaction:  # else it was lost with the connection
                self._connection.execute("ROLLBACK")
        finally:
            self._connection.stays = False


def connect(dsn: str, schema: str) -> psycopg.Connection[Row]:
    """Connect to the database and check that its commits survive a power cut.

    Raises:
        JournalError: there is no connection, or commits are not durable.
    """
    options = {"row_factory": _row_factory, "cursor_factory": _Cursor}
    try:
        connection: psycopg.Connection[Row] = open_connection(
            dsn, {"search_path": f'"{schema}"'}, **options
        )
    except ValueError:
        raise JournalError(tr("the connection string of the database is not valid")) from None
    except psycopg.Error as error:
        raise JournalError(
            tr("the database of the cluster cannot be reached: {error}", error=reason_of(error))
        ) from error
    try:
        _check(connection)
    except psycopg.Error as error:
        connection.close()
        raise JournalError(
            tr("the database of the cluster cannot be used: {error}", error=reason_of(error))
        ) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: psycopg.Connection[Row]) -> None:
    """Make commits wait for the disk, and refuse a server whose disk does not."""
    if _setting(connection, "synchronous_commit") not in _DURABLE:
        connection.execute("SET synchronous_commit = on")
    if (value := _setting(connection, "fsync")) != "on":
        raise JournalError(
            tr(
                "the database has fsync = {value}: after a power cut it could forget tasks that "
                "are paid; set fsync = on in postgresql.conf",
                value=value,
            )
        )
    if (value := _setting(connection, "synchronous_commit")) not in _DURABLE:
        raise JournalError(
            tr(
                "the database keeps synchronous_commit = {value}: after a crash it could forget "
                "tasks that are paid; set synchronous_commit = on",
                value=value,
            )
        )


def _setting(connection: psycopg.Connection[Row], name: str) -> str:
    row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    return "" if row is None else str(row[0])


@lru_cache(maxsize=1000)
def translated(statement: str) -> str:
    """Return a shared statement with the placeholders of psycopg."""

    def token(found: re.Match[str]) -> str:
        if found[1]:
            return f"%({found[1]})s"
        if found[0] == "?":
            return "%s"
        return found[0].replace("%", "%%")

    return _TOKEN.sub(token, statement)


def _storable_values(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {
            name: storable(one) if isinstance(one, str) else one for name, one in values.items()
        }
    return [storable(one) if isinstance(one, str) else one for one in values]
