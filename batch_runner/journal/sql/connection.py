"""What the shared statements need of a connection to a database.

`sqlite3.Connection` has it; for PostgreSQL `journal.postgres.connection` adapts one. The statements
are written in the SQL that both databases understand: `?` or `:name` stands for a value, temporary
tables are found by their plain names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol


class Row(Protocol):
    """A row, read by the name of a column or by its number."""

    def __getitem__(self, column: Any, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def keys(self) -> Any: ...


class Cursor(Protocol):
    """The result of a statement."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection in which each statement outside of a transaction is committed by itself."""

    @property
    def in_transaction(self) -> bool: ...
    def execute(self, statement: str, values: Any = ..., /) -> Cursor: ...
    def executemany(self, statement: str, values: Any, /) -> Cursor: ...
    def close(self) -> None: ...
