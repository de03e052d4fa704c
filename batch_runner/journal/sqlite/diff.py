"""A listing beside the journal: what stands where, what took whose place, what is not listed.

Streamed: of each item the journal knows, two bits are kept. What an item is called is looked up
only for new ones, in a table of names in a temporary file of SQLite's own, made when first wanted;
the journal has no index for it, and a run pays nothing for one.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from batch_runner.journal.records import files_of
from batch_runner.lifecycle import ItemStatus
from batch_runner.models import ItemSpec, PlacedFile

#: Items looked up together, and rows of names copied together: each a short read transaction.
PAGE, NAMES = 500, 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One listed item beside the journal: `status` None means new. `files` if done.

    `row` is its number in the journal; of a new item, that of an earlier one with its id or name.
    """

    spec: ItemSpec
    status: ItemStatus | None
    row: int | None
    files: tuple[PlacedFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemSummary:
    """What is told of one item that the journal knows."""

    id: str
    name: str
    status: ItemStatus
    reason: str | None
    message: str | None
    files: tuple[PlacedFile, ...]


class ManifestDiff:
    """One pass of a listing over the journal, and what is known when it is through."""

    def __init__(self, read: Callable[..., list[sqlite3.Row]]) -> None:
        """Compare with the journal that `read(query, values)` reads."""
        self._read = read
        self._last = int(read("SELECT ifnull(max(rowid), 0) AS n FROM items")[0]["n"])
        totals = read(_TOTALS)[0]
        self._total, self._listed_before = int(totals["n"]), int(totals["listed"])
        self._listed = bytearray(self._last // 8 + 1)  # a bit for each row
        self._namesakes = bytearray(self._last // 8 + 1)
        self._listed_again = False
        self._named = False
        self._standing: Counter[ItemStatus | None] = Counter()

    def go_through(self, specs: Iterable[ItemSpec]) -> None:
        """Take all of `specs`, so that it is known what they are beside the journal."""
        self._standing = Counter(each.status for each in self.differences(specs))

    def differences(self, specs: Iterable[ItemSpec]) -> Iterator[Difference]:
        """Yield each of `specs` with where it stands."""
        specs = iter(specs)
        while page := list(islice(specs, PAGE)):
            rows = {row["key"]: row for row in self._rows(page)}
            for spec in page:
                yield self._known(spec, row) if (row := rows.get(spec.key)) else self._new(spec)

    def lists(self, row: int) -> bool:
        """Say whether an item is listed: by the specs that are through, or by a run since."""
        return row > self._last or _bit(self._listed, row)

    @property
    def new(self) -> int:
        """Return how many of those gone through the journal does not know."""
        return self._standing[None]

    @property
    def done(self) -> bool:
        """Say whether all of those gone through are done."""
        return self._standing.total() == self._standing[ItemStatus.DONE]

    @property
    def other(self) -> bool:
        """Say whether those gone through are other items than the last import listed."""
        left_out = _number(self._listed).bit_count() < self._listed_before
        return bool(self.new) or self._listed_again or left_out

    def replaced(self, row: int | None) -> bool:
        """Say whether an earlier item is listed no more; asked when all specs are through."""
        return row is not None and not _bit(self._listed, row)

    @property
    def changed(self) -> int:
        """Return how many items are listed no more and have a new one of their id or name."""
        return (_number(self._namesakes) & ~_number(self._listed)).bit_count()

    @property
    def unlisted(self) -> int:
        """Return how many other items are listed no more."""
        return self._total - _number(self._listed).bit_count() - self.changed

    def unlisted_rows(self) -> Iterator[int]:
        """Yield the numbers of those other items."""
        left = ~(_number(self._listed) | _number(self._namesakes)) & (2 << self._last) - 2
        while left:
            row = (left & -left).bit_length() - 1
            left ^= 1 << row
            yield row

    def standing(self, row: int) -> ItemSummary:
        """Return what the journal says of one item."""
        found = self._read(_STANDING, (row,))[0]
        return ItemSummary(
            id=found["id"],
            name=found["name"],
            status=ItemStatus(found["status"]),
            reason=found["reason"],
            message=found["message"],
            files=files_of(found["files"]),
        )

    def _rows(self, page: list[ItemSpec]) -> list[sqlite3.Row]:
        marks = ", ".join("?" * len(page))
        query = f"{_KNOWN} WHERE key IN ({marks})"
        return self._read(query, tuple(spec.key for spec in page))

    def _known(self, spec: ItemSpec, found: sqlite3.Row) -> Difference:
        row = int(found["row"])
        _set_bit(self._listed, row)
        self._listed_again |= not found["listed"]
        status = ItemStatus(found["status"])
        return Difference(spec=spec, status=status, row=row, files=files_of(found["files"]))

    def _new(self, spec: ItemSpec) -> Difference:
        self._copy_names()
        rows = self._read(_NAMESAKE, (spec.id, spec.name))
        row = int(rows[0]["row"]) if rows else None
        if row is not None:
            _set_bit(self._namesakes, row)
        return Difference(spec=spec, status=None, row=row)

    def _copy_names(self) -> None:
        if self._named:
            return
        self._named = True
        self._read("CREATE TEMP TABLE named (row INTEGER PRIMARY KEY, import_number, id, name)")
        for row in range(0, self._last, NAMES):
            self._read(_COPY_NAMES, (row, min(row + NAMES, self._last)))
        for column in ("id", "name"):
            self._read(f"CREATE INDEX temp.named_by_{column} ON named ({column})")


def _set_bit(bits: bytearray, row: int) -> None:
    if row >> 3 < len(bits):  # else a run has added it since
        bits[row >> 3] |= 1 << (row & 7)


def _bit(bits: bytearray, row: int) -> bool:
    return bool(bits[row >> 3] >> (row & 7) & 1)


def _number(bits: bytearray) -> int:
    return int.from_bytes(bits, "little")


_LISTED = "import_number = (SELECT import_number FROM job)"
_TOTALS = f"SELECT count(*) AS n, ifnull(sum({_LISTED}), 0) AS listed FROM items"  # noqa: S608
_KNOWN = f"SELECT rowid AS row, key, status, files, {_LISTED} AS listed FROM items"  # noqa: S608
_STANDING = "SELECT id, name, status, reason, message, files FROM items WHERE rowid = ?"
_COPY_NAMES = (
    "INSERT INTO temp.named SELECT rowid, import_number, id, name FROM items "
    "WHERE rowid > ? AND rowid <= ?"
)
_NAMESAKE = (
    "SELECT row FROM temp.named WHERE id = ? OR name = ? "
    "ORDER BY import_number DESC, row DESC LIMIT 1"
)
