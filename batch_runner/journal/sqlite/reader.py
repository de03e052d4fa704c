"""Reading the journal beside a run: read-only, in short transactions, never in a writer's way."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from batch_runner.errors import JournalUnreadable
from batch_runner.journal.records import (
    ITEM_COLUMNS,
    EventRow,
    ItemRow,
    RunRow,
    count_by_status,
    event_of,
    item_of,
    run_of,
)
from batch_runner.journal.sqlite.connection import BUSY_SECONDS, closed_on_error
from batch_runner.journal.sqlite.diff import ManifestDiff
from batch_runner.journal.sqlite.event_history import EventHistory
from batch_runner.journal.sqlite.item_import import unchanged
from batch_runner.journal.sqlite.migrations import SCHEMA_VERSION, check_version
from batch_runner.lifecycle import ItemStatus
from batch_runner.models import ItemSpec

#: Rows read in one short transaction.
PAGE = 500
#: Items whose positions are read in one.
POSITIONS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """What the journal says of its job."""

    id: str
    name: str
    provider: str
    origin: str
    folder: str
    created_at: float
    manifest: str
    price: str | None  # of one create, as in the manifest


class JournalReader:
    """A view of a journal that may be written by a run at the same time.

    Every call is a short read transaction of its own (long lists are read in pages), so a writer
    waits for milliseconds at most.

    Raises:
        JournalUnreadable: from any call: missing, damaged, another version.
    """

    def __init__(self, path: Path, *, oldest: int = SCHEMA_VERSION) -> None:
        """Open the journal at `path`, rolling back what a killed run left half written.

        Of a journal from version `oldest` on that is not migrated yet, only `job` and
        `paid_among` may be read.
        """
        self._path = path
        if not path.is_file():
            raise JournalUnreadable(f"there is no journal at {path}")
        with self._translated():
            self._connection = self._open()
        with closed_on_error(self._connection), self._translated():
            check_version(self._connection, path, oldest=oldest)

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect("ro")
        except sqlite3.OperationalError:
            # A killed run left a rollback journal, which only a writer can play back.
            return self._connect("rw")

    def _connect(self, mode: str) -> sqlite3.Connection:
        uri = f"file:{quote(str(self._path.absolute()))}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        connection.row_factory = sqlite3.Row
        with closed_on_error(connection):
            connection.execute("SELECT count(*) FROM job").fetchone()
        return connection

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def job(self) -> JobRow:
        """Return the job."""
        row = self._all("SELECT * FROM job")[0]
        return JobRow(**{name: row[name] for name in JobRow.__dataclass_fields__})

    def counts(self) -> dict[ItemStatus, int]:
        """Return how many items stand where; unlisted ones count while money hangs on them."""
        with self._translated():
            return count_by_status(self._connection)

    def spent(self) -> int:
        """Return how many creates of this job must be assumed paid."""
        return int(self._all("SELECT ifnull(sum(attempt), 0) AS n FROM items")[0]["n"])

    def items(self, *statuses: ItemStatus) -> Iterator[ItemRow]:
        """Return the items in the manifest's order, all or those that stand at `statuses`."""
        current = self._import_number()
        rows = self._standing_at(statuses) if statuses else self._every_item()
        return (item_of(row, current) for row in rows)

    def _import_number(self) -> int:
        return int(self._all("SELECT import_number FROM job")[0]["import_number"])

    def _standing_at(self, statuses: tuple[ItemStatus, ...]) -> Iterator[sqlite3.Row]:
        marks = ", ".join("?" * len(statuses))
        query = (
            f"SELECT {ITEM_COLUMNS} FROM items WHERE status IN ({marks}) "  # noqa: S608  constants
            "AND (position, key) > (?, ?) ORDER BY position, key LIMIT ?"
        )
        position, key = -1, ""
        while rows := self._all(query, (*statuses, position, key, PAGE)):
            yield from rows
            position, key = rows[-1]["position"], rows[-1]["key"]

    def _every_item(self) -> Iterator[sqlite3.Row]:
        """Yield all rows; no index has their order, and to sort them for each page takes long."""
        # Position and row in one number: pairs would take three times the memory.
        order = sorted(array("Q", (place << 32 | row for place, row in self._positions())))
        for start in range(0, len(order), PAGE):
            page = [both & 0xFFFF_FFFF for both in order[start : start + PAGE]]
            query = (
                f"SELECT {ITEM_COLUMNS} FROM items "  # noqa: S608  constants
                f"WHERE rowid IN ({', '.join('?' * len(page))})"
            )
            rows = {row["row"]: row for row in self._all(query, tuple(page))}
            yield from (rows[number] for number in page)

    def _positions(self) -> Iterator[tuple[int, int]]:
        """Yield the position of each item and the number of its row."""
        row = 0
        while rows := self._all(_POSITIONS, (row, POSITIONS)):
            yield from ((one["position"], one["row"]) for one in rows)
            row = rows[-1]["row"]

    def item(self, key: str) -> ItemRow | None:
        """Return the item of this identity."""
        rows = self._all(
            f"SELECT {ITEM_COLUMNS} FROM items WHERE key = ?",  # noqa: S608  constants
            (key,),
        )
        return item_of(rows[0], self._import_number()) if rows else None

    def events(self, key: str) -> list[EventRow]:
        """Return what happened to one item, oldest first."""
        return [event_of(row) for row in self._all(_EVENTS_OF, (key,))]

    def oldest_in_flight(self, limit: int) -> list[ItemRow]:
        """Return the items whose tasks are at the service, or on their way, the oldest first."""
        current = self._import_number()
        return [item_of(row, current) for row in self._all(_OLDEST_IN_FLIGHT, (limit,))]

    def latest_troubles(self, limit: int, since: float) -> list[tuple[str, EventRow]]:
        """Return what went wrong since a time, newest first, each with the id of its item."""
        rows = self._all(_LATEST_TROUBLES, (_AT_MOST, since, limit))
        return [(row["id"], event_of(row)) for row in rows]

    def happened(self, since: float) -> list[tuple[str, str, int, float]]:
        """Return event, reason, how often since a time, and when first, for each that happened."""
        rows = self._all(_HAPPENED, (_AT_MOST, since))
        return [(row["event"], row["reason"] or "", row["n"], row["first"]) for row in rows]

    def service_times(self, limit: int) -> list[float]:
        """Return the seconds from submission to the service's end of the latest tasks that ended.

        The time is that of the look which found the end.
        """
        return [row["seconds"] for row in self._all(_SERVICE_TIMES, (_AT_MOST, limit))]

    def runs(self) -> list[RunRow]:
        """Return all runs, oldest first."""
        return [run_of(row) for row in self._all("SELECT * FROM runs ORDER BY run")]

    def learned(self) -> dict[str, str]:
        """Return what was learned about durations, by workflow; `schedule` reads it."""
        return {row["workflow"]: row["state"] for row in self._all("SELECT * FROM learned")}

    def courses(self, limit: int) -> EventHistory:
        """Return the newest `limit` events, to be found by item."""
        return EventHistory(self._all, limit)

    def paid_among(self, keys: Sequence[str]) -> int:
        """Return how many of these items must be assumed paid; some hundreds of keys at most."""
        marks = ", ".join("?" * len(keys))
        query = f"SELECT count(*) AS n FROM items WHERE key IN ({marks}) AND {_PAID}"  # noqa: S608
        return int(self._all(query, tuple(keys))[0]["n"])

    def comparison(self) -> ManifestDiff:
        """Return the means to compare a listing with this journal."""
        return ManifestDiff(self._all)

    def compared(self, specs: Iterable[ItemSpec], fingerprint: str | None) -> ManifestDiff | None:
        """Go through `specs`; None: by their fingerprint they are what was listed last."""
        with self._translated():
            if unchanged(self._connection, fingerprint):
                return None
        comparison = self.comparison()
        comparison.go_through(specs)
        return comparison

    def _all(self, query: str, values: tuple[object, ...] = ()) -> list[sqlite3.Row]:
        with self._translated():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise JournalUnreadable(f"the journal {self._path} cannot be read: {error}") from error


_POSITIONS = "SELECT rowid AS row, position FROM items WHERE rowid > ? ORDER BY rowid LIMIT ?"
#: `refused` is what version 1 called `rejected`. The plus keeps the index of keys in use.
_PAID = "+status NOT IN ('pending', 'rejected', 'refused')"
_EVENTS_OF = (
    "SELECT seq, at, key, event, attempt, task_id, reason, message FROM events "
    "WHERE key = ? ORDER BY seq"
)
#: Events looked back at, at most, so that a long night is not read anew at every look.
_AT_MOST = 20_000
_LATELY = "seq > (SELECT ifnull(max(seq), 0) FROM events) - ?"
_OLDEST_IN_FLIGHT = (
    f"SELECT {ITEM_COLUMNS} FROM items "  # noqa: S608  constants
    "WHERE status IN ('submitting', 'submitted', 'downloading') "
    "ORDER BY CASE status WHEN 'submitting' THEN started_at ELSE submitted_at END LIMIT ?"
)
_LATEST_TROUBLES = (
    "SELECT i.id, e.* FROM events e JOIN items i USING (key) "  # noqa: S608  constants
    f"WHERE e.{_LATELY} AND e.at >= ? AND e.event IN ('upload_failed', 'upload_rejected', "
    "'submit_unsent', 'submit_rejected', 'submit_unanswered', 'submit_interrupted', "
    "'task_failed', 'task_unknown', 'download_failed') "
    "AND ifnull(e.reason, '') NOT LIKE '%-429%' ORDER BY e.seq DESC LIMIT ?"
)
_HAPPENED = (
    "SELECT event, reason, count(*) AS n, min(at) AS first FROM events "  # noqa: S608  constants
    f"WHERE {_LATELY} AND at >= ? GROUP BY event, reason"
)
_SERVICE_TIMES = (
    "SELECT i.completed_at - i.submitted_at AS seconds "  # noqa: S608  constants
    f"FROM events e JOIN items i USING (key) WHERE e.{_LATELY} AND e.event = 'task_completed' "
    "AND i.completed_at >= i.submitted_at ORDER BY e.seq DESC LIMIT ?"
)
