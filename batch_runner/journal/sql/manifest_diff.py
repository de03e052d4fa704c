"""Compare a manifest's items with the journal: existing, replaced, removed.

Streamed: two bits of memory for each item of the journal. Ids and names are looked up only for new
items, in a temporary table that is filled when it is first needed: an index in the journal would
slow every run down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from batch_runner.journal.records import Difference, ItemSummary
from batch_runner.journal.sql.connection import Row
from batch_runner.lifecycle import ItemStatus
from batch_runner.models import ItemSpec, placed_files

#: Items looked up, and names copied, in one short read transaction.
PAGE, NAMES = 500, 20_000


class SqlManifestDiff:
    """See `base.ManifestDiff`."""

    def __init__(self, read: Callable[..., list[Row]]) -> None:
        """`read(query, values)` returns the rows of one statement."""
        self._read = read
        self._last = int(read("SELECT coalesce(max(rowid), 0) AS n FROM items")[0]["n"])
        totals = read(_TOTALS)[0]
        self._total, self._listed_before = int(totals["n"]), int(totals["listed"])
        self._listed = bytearray(self._last // 8 + 1)  # one bit per row
        self._namesakes = bytearray(self._last // 8 + 1)
        self._listed_again = False
        self._named = False
        self._counts: Counter[ItemStatus | None] = Counter()

    def compare(self, specs: Iterable[ItemSpec]) -> None:
        self._counts = Counter(each.status for each in self.differences(specs))

    def differences(self, specs: Iterable[ItemSpec]) -> Iterator[Difference]:
        specs = iter(specs)
        while page := list(islice(specs, PAGE)):
            rows = {row["key"]: row for row in self._rows(page)}
            for spec in page:
                yield self._known(spec, row) if (row := rows.get(spec.key)) else self._new(spec)

    def add_last_import(self) -> None:
        row = 0
        while rows := self._read(_LISTED_ROWS, (row, NAMES)):
            for one in rows:
                _set_bit(self._listed, row := int(one["row"]))

    def lists(self, row: int) -> bool:
        return row > self._last or _bit(self._listed, row)

    @property
    def new(self) -> int:
        return self._counts[None]

    @property
    def done(self) -> bool:
        return self._counts.total() == self._counts[ItemStatus.DONE]

    @property
    def other(self) -> bool:
        left_out = _number(self._listed).bit_count() < self._listed_before
        return bool(self.new) or self._listed_again or left_out

    def replaced(self, row: int | None) -> bool:
        return row is not None and not _bit(self._listed, row)

    @property
    def changed(self) -> int:
        return (_number(self._namesakes) & ~_number(self._listed)).bit_count()

    @property
    def unlisted(self) -> int:
        return self._total - _number(self._listed).bit_count() - self.changed

    def unlisted_rows(self) -> Iterator[int]:
        left = ~(_number(self._listed) | _number(self._namesakes)) & (2 << self._last) - 2
        while left:
            row = (left & -left).bit_length() - 1
            left ^= 1 << row
            yield row

    def summary(self, row: int) -> ItemSummary:
        found = self._read(_SUMMARY, (row,))[0]
        return ItemSummary(
            id=found["id"],
            name=found["name"],
            status=ItemStatus(found["status"]),
            reason=found["reason"],
            message=found["message"],
            files=placed_files(found["files"]),
        )

    def _rows(self, page: list[ItemSpec]) -> list[Row]:
        marks = ", ".join("?" * len(page))
        query = f"{_KNOWN} WHERE key IN ({marks})"
        return self._read(query, tuple(spec.key for spec in page))

    def _known(self, spec: ItemSpec, found: Row) -> Difference:
        row = int(found["row"])
        _set_bit(self._listed, row)
        self._listed_again |= not found["listed"]
        status = ItemStatus(found["status"])
        return Difference(spec=spec, status=status, row=row, files=placed_files(found["files"]))

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
        self._read("DROP TABLE IF EXISTS named")  # of an earlier comparison
        self._read(
            "CREATE TEMP TABLE named "
            "(row INTEGER PRIMARY KEY, import_number INTEGER, id TEXT, name TEXT)"
        )
        for row in range(0, self._last, NAMES):
            self._read(_COPY_NAMES, (row, min(row + NAMES, self._last)))
        for column in ("id", "name"):
            self._read(f"CREATE INDEX named_by_{column} ON named ({column})")


def _set_bit(bits: bytearray, row: int) -> None:
    if row >> 3 < len(bits):  # else a run has added it meanwhile
        bits[row >> 3] |= 1 << (row & 7)


def _bit(bits: bytearray, row: int) -> bool:
    return bool(bits[row >> 3] >> (row & 7) & 1)


def _number(bits: bytearray) -> int:
    return int.from_bytes(bits, "little")


_LISTED = "import_number = (SELECT import_number FROM job)"
_TOTALS = (
    f"SELECT count(*) AS n, count(CASE WHEN {_LISTED} THEN 1 END) AS listed "  # noqa: S608
    "FROM items"
)
_KNOWN = f"SELECT rowid AS row, key, status, files, {_LISTED} AS listed FROM items"  # noqa: S608
_LISTED_ROWS = (
    f"SELECT rowid AS row FROM items WHERE rowid > ? AND {_LISTED} "  # noqa: S608  constants
    "ORDER BY rowid LIMIT ?"
)
_SUMMARY = "SELECT id, name, status, reason, message, files FROM items WHERE rowid = ?"
_COPY_NAMES = (
    "INSERT INTO named SELECT rowid, import_number, id, name FROM items "
    "WHERE rowid > ? AND rowid <= ?"
)
_NAMESAKE = (
    "SELECT row FROM named WHERE id = ? OR name = ? ORDER BY import_number DESC, row DESC LIMIT 1"
)
