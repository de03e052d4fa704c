"""The manifest's list on its way into the items: page by page, one statement for each kind of row.

An item that is known and has not changed is read and not written. So `items.import_number` stays
from import to import, and is raised (for every listed item) only when an item is unlisted.
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
from batch_runner.util.text import json_text

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


def _row(spec: ItemSpec) -> Row:
    return (
        spec.key,
        spec.position,
        spec.id,
        spec.name,
        spec.attempts,
        spec.prompt,
        spec.workflow,
        json_text(spec.params),
        json_text(spec.variables),
        _inputs_text(spec.files),
        spec.source,
    )


def _inputs_text(files: tuple[InputFile, ...]) -> str:
    if not files:
        return "[]"
    return json.dumps([{"path": str(one.path), "sha256": one.sha256} for one in files])


def unchanged(connection: sqlite3.Connection, fingerprint: str | None) -> bool:
    """Say whether the list of this fingerprint is the one that was brought in last."""
    query = "SELECT 1 FROM last_import JOIN job USING (import_number) WHERE fingerprint = ?"
    return connection.execute(query, (fingerprint,)).fetchone() is not None


def remember(connection: sqlite3.Connection, fingerprint: str | None) -> None:
    """Note the fingerprint of the list that was brought in, inside the caller's transaction."""
    connection.execute("DELETE FROM last_import")
    if fingerprint is not None:
        query = "INSERT INTO last_import SELECT ?, import_number FROM job"
        connection.execute(query, (fingerprint,))


def listed_and_other(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return how many items are listed, and how many are not any more."""
    query = (
        "SELECT ifnull(sum(import_number = (SELECT import_number FROM job)), 0), "
        "count(*) FROM items"
    )
    listed, known = connection.execute(query).fetchone()
    return listed, known - listed


def bring_in(connection: sqlite3.Connection, pages: Iterable[list[Row]], at: float) -> None:
    """List the items of `pages` inside the caller's transaction.

    New ones are inserted, each with its event; known ones keep all but what the manifest decides.
    """
    current = _import_number(connection)
    if not _listed(connection, current):
        current += 1
    for statement in _PREPARE:
        connection.execute(statement)
    values = {"import_number": current, "at": at, "event": Event.LISTED.value}
    for page in pages:
        # Two rows of one identity: such a list is refused at its end.
        connection.executemany(_TAKE, {row[0]: row for row in page}.values())
        for statement in _BRING_IN:
            connection.execute(statement, values)
    if _listed(connection, current) > connection.execute(_COUNT_SEEN).fetchone()[0]:
        current += 1
        connection.execute(_RELIST, {"import_number": current})
    connection.execute("DELETE FROM temp.seen")
    connection.execute("UPDATE job SET import_number = ?", (current,))


def _import_number(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT import_number FROM job").fetchone()[0])


def _listed(connection: sqlite3.Connection, import_number: int) -> int:
    query = "SELECT count(*) FROM items WHERE import_number = ?"
    return int(connection.execute(query, (import_number,)).fetchone()[0])


_PREPARE = (
    f"CREATE TEMP TABLE IF NOT EXISTS new (row INTEGER PRIMARY KEY, {', '.join(COLUMNS)})",
    "CREATE TEMP TABLE IF NOT EXISTS seen (row INTEGER PRIMARY KEY)",  # of items
)
_TAKE = (
    f"INSERT INTO temp.new ({', '.join(COLUMNS)}) "  # noqa: S608  names of ours
    f"VALUES ({', '.join('?' * len(COLUMNS))})"
)
_BRING_IN = (
    "UPDATE items SET import_number = :import_number, "  # noqa: S608  names of ours
    f"name = {_NAME}, {', '.join(f'{name} = new.{name}' for name in _CHANGING)} "
    "FROM temp.new AS new WHERE items.key = new.key AND (items.import_number <> :import_number "
    f"OR items.name <> {_NAME} OR "
    f"{' OR '.join(f'items.{name} <> new.{name}' for name in _CHANGING)})",
    "INSERT INTO events (at, key, event, attempt) SELECT :at, key, :event, 0 FROM temp.new AS new "
    "WHERE NOT EXISTS (SELECT 1 FROM items WHERE items.key = new.key) ORDER BY row",
    f"INSERT INTO items (import_number, status, {', '.join(COLUMNS)}) "  # noqa: S608  names of ours
    f"SELECT :import_number, 'pending', {', '.join(COLUMNS)} FROM temp.new AS new "
    "WHERE NOT EXISTS (SELECT 1 FROM items WHERE items.key = new.key) ORDER BY row",
    "INSERT OR IGNORE INTO temp.seen "
    "SELECT items.rowid FROM temp.new AS new CROSS JOIN items ON items.key = new.key",
    "DELETE FROM temp.new",
)
_COUNT_SEEN = "SELECT count(*) FROM temp.seen"
_RELIST = (
    "UPDATE items SET import_number = :import_number WHERE rowid IN (SELECT row FROM temp.seen)"
)
