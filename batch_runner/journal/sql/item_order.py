"""Items in the manifest's order, in pages: no index has that order, and a sort per page is slow.

`read(query, values)` returns the rows of one statement, in a short transaction of its own.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter

from batch_runner.journal.sql.connection import Row
from batch_runner.journal.sql.rows import ITEM_COLUMNS
from batch_runner.lifecycle import ItemStatus

Read = Callable[..., list[Row]]

#: Rows, and positions, read in one short transaction.
PAGE, POSITIONS = 500, 20_000


def items(read: Read, statuses: tuple[ItemStatus, ...]) -> Iterator[Row]:
    """Yield by position all rows, or those that have one of `statuses`."""
    if not statuses:
        return _in_order(read, array("Q", (place for place, _ in _places(read, _ALL))))
    # One by one: only within a status has an index this order.
    each = (_of_status(read, status) for status in statuses)
    return heapq.merge(*each, key=itemgetter("position", "key"))


def _of_status(read: Read, status: ItemStatus) -> Iterator[Row]:
    position, key = -1, ""
    while rows := read(_OF_STATUS, (status.value, position, key, PAGE)):
        yield from rows
        position, key = rows[-1]["position"], rows[-1]["key"]


def listed_files(read: Read) -> Iterator[Row]:
    """See `JournalReader.listed_files`."""
    position, key = -1, ""
    while rows := read(_LISTED_FILES, (position, key, PAGE)):
        yield from rows
        position, key = rows[-1]["position"], rows[-1]["key"]


def reported_items(read: Read, most: int) -> Iterator[Row]:
    """See `JournalReader.reported_items`."""
    done, others = array("Q"), array("Q")
    for place, is_done in _places(read, _REPORTED):
        (done if is_done else others).append(place)
    kept = sorted(others)[:most]
    return _in_order(read, kept + sorted(done)[: most - len(kept)])


def reported_counts(read: Read) -> list[Row]:
    """See `JournalReader.reported_counts`."""
    return read(_COUNTS)


def _places(read: Read, query: str) -> Iterator[tuple[int, bool]]:
    """Yield position and row of each item, in one number, and whether it is done."""
    row = 0
    while rows := read(query, (row, POSITIONS)):
        # One number takes a third of the memory of a pair.
        yield from ((one["position"] << 32 | one["row"], one["done"]) for one in rows)
        row = rows[-1]["row"]


def _in_order(read: Read, places: Iterable[int]) -> Iterator[Row]:
    order = sorted(places)
    for start in range(0, len(order), PAGE):
        page = [place & 0xFFFF_FFFF for place in order[start : start + PAGE]]
        query = f"{_ITEMS} WHERE rowid IN ({', '.join('?' * len(page))})"
        rows = {row["row"]: row for row in read(query, tuple(page))}
        yield from (rows[number] for number in page)


_ITEMS = f"SELECT {ITEM_COLUMNS} FROM items"  # noqa: S608  constants
_OF_STATUS = (
    f"{_ITEMS} WHERE status = ? AND (position, key) > (?, ?) ORDER BY position, key LIMIT ?"
)
_LISTED_FILES = (
    "SELECT rowid AS row, position, key, files FROM items WHERE status = 'done' "
    "AND import_number = (SELECT import_number FROM job) "
    "AND (position, key) > (?, ?) ORDER BY position, key LIMIT ?"
)
_PLACES = "SELECT rowid AS row, position, status = 'done' AS done FROM items WHERE rowid > ?"
# Not what was removed from the manifest before it was ever submitted.
_IS_REPORTED = "(import_number = (SELECT import_number FROM job) OR attempt > 0 OR files <> '[]')"
_ALL = f"{_PLACES} ORDER BY rowid LIMIT ?"
_REPORTED = f"{_PLACES} AND {_IS_REPORTED} ORDER BY rowid LIMIT ?"
_COUNTS = (
    "SELECT status, reason, count(*) AS n FROM items "  # noqa: S608  constants
    f"WHERE {_IS_REPORTED} GROUP BY status, reason"
)
