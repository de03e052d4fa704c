"""Import a manifest's items: page by page, one statement for each kind of row.

An item that is known and has not changed is read but not written. So `items.import_number` stays
from import to import, and is raised (for every listed item) only when an item is unlisted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from batch_runner.journal.item_import import COLUMNS, Row
from batch_runner.journal.sql.connection import Connection
from batch_runner.lifecycle import Event

#: Columns that may change while the key stays the same.
_CHANGING = ("position", "id", "attempts", "variables", "inputs", "source", "prompt")
#: An item keeps the name under which its files are stored.
_NAME = "CASE WHEN status IN ('done', 'download_pending') THEN items.name ELSE new.name END"


def unchanged(connection: Connection, fingerprint: str | None) -> bool:
    """Return whether the manifest of this fingerprint is the one imported last; None: unknown."""
    query = "SELECT 1 FROM last_import JOIN job USING (import_number) WHERE fingerprint = ?"
    return connection.execute(query, (fingerprint,)).fetchone() is not None


def last_duplicates(connection: Connection, fingerprint: str | None) -> str | None:
    """Return the duplicates in the manifest of this fingerprint; None: unknown."""
    query = (
        "SELECT duplicates FROM last_import JOIN job USING (import_number) WHERE fingerprint = ?"
    )
    row = connection.execute(query, (fingerprint,)).fetchone()
    return None if row is None else row[0]


def remember(connection: Connection, fingerprint: str | None, duplicates: str | None) -> None:
    """Store the fingerprint of the imported manifest, inside the caller's transaction."""
    connection.execute("DELETE FROM last_import")
    if fingerprint is not None:
        query = (
            "INSERT INTO last_import (fingerprint, import_number, duplicates) "
            "SELECT ?, import_number, ? FROM job"
        )
        connection.execute(query, (fingerprint, duplicates))


def items_mark(connection: Connection) -> str:
    """Return a text that changes when anything of any item has changed.

    Every change of a status has an event. Imports have none for what a manifest changes in a known
    item: the fingerprint of the last one stands for it, and without one the rows themselves.
    """
    row = connection.execute(
        "SELECT (SELECT max(seq) FROM events), import_number, "
        "(SELECT fingerprint FROM last_import) FROM job"
    ).fetchone()
    if (mark := row[2]) is None:
        digest = hashlib.sha256()
        for item in connection.execute(_MARKED):
            digest.update(repr(tuple(item)).encode("utf-8", "surrogatepass"))
        mark = digest.hexdigest()
    return f"{row[0]} {row[1]} {mark}"


def listed_and_other(connection: Connection) -> tuple[int, int]:
    """Return how many items are listed, and how many are not any more."""
    query = (
        "SELECT count(CASE WHEN import_number = (SELECT import_number FROM job) THEN 1 END), "
        "count(*) FROM items"
    )
    listed, known = connection.execute(query).fetchone()
    return listed, known - listed


def import_pages(
    connection: Connection, pages: Iterable[list[Row]], at: float, *, empty: str
) -> None:
    """Import the items of `pages` inside the caller's transaction.

    `empty` followed by a table's name is the fast statement that removes all its rows.
    New ones are inserted, each with an event; in known ones the manifest's columns are updated.
    """
    current = _import_number(connection)
    if not _listed(connection, current):
        current += 1
    for statement in _PREPARE:
        connection.execute(statement)
    values = {"import_number": current, "at": at, "event": Event.LISTED.value}
    for page in pages:
        # A key may come twice in a page; the manifest raises an error for that at its end.
        distinct = {row[0]: row for row in page}.values()
        connection.executemany(_INSERT_NEW, [(n, *row) for n, row in enumerate(distinct)])
        for statement in _IMPORT:
            connection.execute(statement, values)
        connection.execute(f"{empty} new")
    if _listed(connection, current) > connection.execute(_COUNT_SEEN).fetchone()[0]:
        current += 1
        connection.execute(_RELIST, {"import_number": current})
    connection.execute(f"{empty} seen")
    connection.execute("UPDATE job SET import_number = ?", (current,))


def _import_number(connection: Connection) -> int:
    return int(connection.execute("SELECT import_number FROM job").fetchone()[0])


def _listed(connection: Connection, import_number: int) -> int:
    query = "SELECT count(*) FROM items WHERE import_number = ?"
    return int(connection.execute(query, (import_number,)).fetchone()[0])


_NUMBERS = ("position", "attempts")
_TYPED = ", ".join(f"{name} {'INTEGER' if name in _NUMBERS else 'TEXT'}" for name in COLUMNS)
_PREPARE = (
    f"CREATE TEMP TABLE IF NOT EXISTS new (row INTEGER PRIMARY KEY, {_TYPED})",
    "CREATE TEMP TABLE IF NOT EXISTS seen (row INTEGER PRIMARY KEY)",  # of items
)
_INSERT_NEW = (
    f"INSERT INTO new (row, {', '.join(COLUMNS)}) "  # noqa: S608  names of ours
    f"VALUES (?, {', '.join('?' * len(COLUMNS))})"
)
_IMPORT = (
    "UPDATE items SET import_number = :import_number, "  # noqa: S608  names of ours
    f"name = {_NAME}, {', '.join(f'{name} = new.{name}' for name in _CHANGING)} "
    "FROM new WHERE items.key = new.key AND (items.import_number <> :import_number "
    f"OR items.name <> {_NAME} OR "
    f"{' OR '.join(f'items.{name} <> new.{name}' for name in _CHANGING)})",
    "INSERT INTO events (at, key, event, attempt) SELECT :at, key, :event, 0 FROM new "
    "WHERE NOT EXISTS (SELECT 1 FROM items WHERE items.key = new.key) ORDER BY row",
    f"INSERT INTO items (import_number, status, {', '.join(COLUMNS)}) "  # noqa: S608  names of ours
    f"SELECT :import_number, 'pending', {', '.join(COLUMNS)} FROM new "
    "WHERE NOT EXISTS (SELECT 1 FROM items WHERE items.key = new.key) ORDER BY row",
    "INSERT INTO seen SELECT items.rowid FROM new CROSS JOIN items WHERE items.key = new.key "
    "ON CONFLICT DO NOTHING",
)
_MARKED = (
    f"SELECT import_number, name, {', '.join(_CHANGING)} "  # noqa: S608  names of ours
    "FROM items ORDER BY rowid"
)
_COUNT_SEEN = "SELECT count(*) FROM seen"
_RELIST = "UPDATE items SET import_number = :import_number WHERE rowid IN (SELECT row FROM seen)"
