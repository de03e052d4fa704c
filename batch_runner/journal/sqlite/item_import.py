"""The manifest's list on its way into the items: page by page, one statement for each kind of row.

An item that is known and has not changed is read and not written. So `items.listing` keeps its
number from import to import, and is raised (for every item that is listed) only when an item that
was listed no longer is.
"""

from __future__ import annotations

import json
import pickle
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from batch_runner.lifecycle import Event
from batch_runner.models import InputFile, ItemSpec

Row = tuple[Any, ...]

#: Items brought in together.
PAGE = 500
#: Bytes of a checked list that are held until it is brought in; a longer one is made once more.
HELD_BYTES = 64_000_000

#: Columns that the manifest decides, in the order of a row.
COLUMNS = (
    "key",
    "position",
    "id",
    "name",
    "attempts",
    "prompt",
    "workflow",
    "params",
    "variables",
    "inputs",
    "source",
)
#: Those that may change while the item stays the same: all but what its identity is made of.
_CHANGING = ("position", "id", "attempts", "variables", "inputs", "source", "prompt")
_NAME = "CASE WHEN status IN ('done', 'download_pending') THEN items.name ELSE new.name END"


class ItemImport:
    """The items of one manifest, checked before anything is made of them."""

    def __init__(
        self, specs: Callable[[], Iterable[ItemSpec]], *, held_bytes: int = HELD_BYTES
    ) -> None:
        """`specs` goes through the manifest; what it raises comes from `check` or `pages`."""
        self._specs = specs
        self._held_bytes = held_bytes
        self._held: list[bytes] | None = None
        self._held_as: str | None = None

    def check(self, fingerprint: str | None = None) -> None:
        """Go through all items, so that every mistake is raised before anything is made.

        `fingerprint` is the list's just before.
        """
        held: list[bytes] = []
        size = 0
        for page in pages_of(self._specs()):
            if size <= self._held_bytes:
                held.append(pickle.dumps(page, pickle.HIGHEST_PROTOCOL))
                size += len(held[-1])
        if size <= self._held_bytes:
            self._held, self._held_as = held, fingerprint

    def pages(self, fingerprint: str | None = None) -> Iterator[list[Row]]:
        """Yield the rows of all items, as checked while the list still has that fingerprint."""
        if self._held is None or fingerprint != self._held_as:
            return pages_of(self._specs())
        return (pickle.loads(page) for page in self._held)  # noqa: S301  our own, from this memory


def pages_of(specs: Iterable[ItemSpec]) -> Iterator[list[Row]]:
    """Yield the rows of `specs`, page by page."""
    rows = map(_row, specs)
    while page := list(islice(rows, PAGE)):
        yield page


_spell = json.JSONEncoder(ensure_ascii=False).encode


def _row(spec: ItemSpec) -> Row:
    return (
        spec.key,
        spec.position,
        spec.id,
        spec.name,
        spec.attempts,
        spec.prompt,
        spec.workflow,
        _spell(spec.params),
        _spell(spec.variables),
        _inputs_text(spec.files),
        spec.source,
    )


def _inputs_text(files: tuple[InputFile, ...]) -> str:
    if not files:
        return "[]"
    return json.dumps([{"path": str(one.path), "sha256": one.sha256} for one in files])


def unchanged(connection: sqlite3.Connection, fingerprint: str | None) -> bool:
    """Say whether the list of this fingerprint is the one that was brought in last."""
    if fingerprint is None or not _remembers(connection):
        return False
    row = connection.execute(_LAST, (fingerprint,)).fetchone()
    return row is not None


def remember(connection: sqlite3.Connection, fingerprint: str | None) -> None:
    """Note the fingerprint of the list that was brought in, inside the caller's transaction."""
    if fingerprint is None and not _remembers(connection):
        return
    connection.execute(_MAKE_LAST)
    connection.execute("DELETE FROM last_list")
    if fingerprint is not None:
        connection.execute("INSERT INTO last_list SELECT ?, listing FROM job", (fingerprint,))


def listed_and_other(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return how many items are listed, and how many are not any more."""
    query = "SELECT ifnull(sum(listing = (SELECT listing FROM job)), 0), count(*) FROM items"
    listed, known = connection.execute(query).fetchone()
    return listed, known - listed


def bring_in(connection: sqlite3.Connection, pages: Iterable[list[Row]], at: float) -> None:
    """List the items of `pages` inside the caller's transaction.

    New ones are inserted, each with its event; known ones keep all but what the manifest decides.
    """
    before = _listed(connection, listing := _number(connection))
    if not before:
        listing += 1
    for statement in _PREPARE:
        connection.execute(statement)
    values = {"listing": listing, "at": at, "event": Event.LISTED.value}
    for page in pages:
        # Two rows of one identity: such a list is refused at its end.
        connection.executemany(_TAKE, {row[0]: row for row in page}.values())
        for statement in _BRING_IN:
            connection.execute(statement, values)
    if _listed(connection, listing) > connection.execute(_COUNT_SEEN).fetchone()[0]:
        listing += 1
        connection.execute(_RELIST, {"listing": listing})
    connection.execute("DELETE FROM temp.seen")
    connection.execute("UPDATE job SET listing = ?", (listing,))


def _remembers(connection: sqlite3.Connection) -> bool:
    query = "SELECT 1 FROM sqlite_schema WHERE name = 'last_list'"
    return connection.execute(query).fetchone() is not None


def _number(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT listing FROM job").fetchone()[0])


def _listed(connection: sqlite3.Connection, listing: int) -> int:
    query = "SELECT count(*) FROM items WHERE listing = ?"
    return int(connection.execute(query, (listing,)).fetchone()[0])


#: Not part of the schema: a journal without it has its list gone through.
_MAKE_LAST = (
    "CREATE TABLE IF NOT EXISTS last_list "
    "(fingerprint TEXT NOT NULL, listing INTEGER NOT NULL) STRICT"
)
_LAST = "SELECT 1 FROM last_list JOIN job USING (listing) WHERE fingerprint = ?"
_PREPARE = (
    f"CREATE TEMP TABLE IF NOT EXISTS new (row INTEGER PRIMARY KEY, {', '.join(COLUMNS)})",
    "CREATE TEMP TABLE IF NOT EXISTS seen (row INTEGER PRIMARY KEY)",  # of items
)
_TAKE = (
    f"INSERT INTO temp.new ({', '.join(COLUMNS)}) "  # noqa: S608  names of ours
    f"VALUES ({', '.join('?' * len(COLUMNS))})"
)
_BRING_IN = (
    "UPDATE items SET listing = :listing, "  # noqa: S608  names of ours
    f"name = {_NAME}, {', '.join(f'{name} = new.{name}' for name in _CHANGING)} "
    "FROM temp.new AS new WHERE items.key = new.key AND (items.listing <> :listing "
    f"OR items.name <> {_NAME} OR "
    f"{' OR '.join(f'items.{name} <> new.{name}' for name in _CHANGING)})",
    "INSERT INTO events (at, key, event, attempt) SELECT :at, key, :event, 0 FROM temp.new AS new "
    "WHERE NOT EXISTS (SELECT 1 FROM items WHERE items.key = new.key) ORDER BY row",
    f"INSERT INTO items (listing, status, {', '.join(COLUMNS)}) "  # noqa: S608  names of ours
    f"SELECT :listing, 'pending', {', '.join(COLUMNS)} FROM temp.new AS new "
    "WHERE NOT EXISTS (SELECT 1 FROM items WHERE items.key = new.key) ORDER BY row",
    "INSERT OR IGNORE INTO temp.seen "
    "SELECT items.rowid FROM temp.new AS new CROSS JOIN items ON items.key = new.key",
    "DELETE FROM temp.new",
)
_COUNT_SEEN = "SELECT count(*) FROM temp.seen"
_RELIST = "UPDATE items SET listing = :listing WHERE rowid IN (SELECT row FROM temp.seen)"
