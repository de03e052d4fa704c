"""Read the journal beside a run, in short transactions that hardly delay a writer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import ClassVar, Self

from batch_runner.errors import JournalUnreadable
from batch_runner.journal.records import EventRow, ItemRow, JobRow, PaidSubmissions, RunRow
from batch_runner.journal.sql import item_order, queries
from batch_runner.journal.sql.connection import Connection, Row
from batch_runner.journal.sql.event_history import SqlEventHistory
from batch_runner.journal.sql.item_import import items_mark, last_duplicates, unchanged
from batch_runner.journal.sql.manifest_diff import SqlManifestDiff
from batch_runner.journal.sql.rows import (
    ITEM_COLUMNS,
    count_by_status,
    event_of,
    item_of,
    run_of,
)
from batch_runner.journal.sql.spending import paid_submissions, spent_by_workflow
from batch_runner.lifecycle import UNFINISHED_ELSEWHERE, ItemStatus
from batch_runner.models import ItemOutcome, ItemSpec, JobFacts, PlacedFile, placed_files
from batch_runner.util.locale import tr

#: Rows read in one short transaction.
PAGE = 500
#: Positions, and events, read in one short transaction.
POSITIONS, EVENTS = 20_000, 2000


class SqlReader:
    """See `base.JournalReader`.

    Every call is a short read transaction of its own (long lists are read in pages), so that a
    writer waits for milliseconds at most.
    """

    _connection: Connection
    #: Of the journal, for messages.
    _place: object
    #: Today's words for statuses of an older version.
    _STATUSES: ClassVar[Mapping[str, str]] = {}
    #: A query for key and status of each item, and the name of each of its files.
    _FILE_NAMES: str
    #: A query for `committed_up_to`: with one writer, it is the last event.
    _COMMITTED_UP_TO = queries.LAST_EVENT

    def _translated(self) -> AbstractContextManager[None]:
        """Return a context that raises JournalUnreadable for the errors of the database."""
        raise NotImplementedError

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def job(self) -> JobRow:
        rows = self._all("SELECT * FROM job")
        if not rows:
            raise JournalUnreadable(tr("the journal {path} names no job", path=self._place))
        row = rows[0]
        return JobRow(**{name: row[name] for name in JobRow.__dataclass_fields__})

    def facts(self) -> JobFacts:
        with self._translated():
            return queries.facts(self._connection)

    def counts(self) -> dict[ItemStatus, int]:
        with self._translated():
            return count_by_status(self._connection)

    def spent(self) -> int:
        return int(self._all("SELECT coalesce(sum(attempt), 0) AS n FROM items")[0]["n"])

    def spent_by_workflow(self) -> dict[str, int]:
        with self._translated():
            return spent_by_workflow(self._connection)

    def paid_submissions(self) -> list[PaidSubmissions]:
        with self._translated():
            return paid_submissions(self._connection)

    def items(self, *statuses: ItemStatus) -> Iterator[ItemRow]:
        current = self._import_number()
        return (item_of(row, current) for row in item_order.items(self._all, statuses))

    def reported_items(self, most: int) -> Iterator[ItemRow]:
        current = self._import_number()
        return (item_of(row, current) for row in item_order.reported_items(self._all, most))

    def reported_counts(self) -> dict[tuple[ItemStatus, str | None], int]:
        rows = item_order.reported_counts(self._all)
        return {(ItemStatus(row["status"]), row["reason"]): row["n"] for row in rows}

    def _import_number(self) -> int:
        return int(self._all("SELECT import_number FROM job")[0]["import_number"])

    def item(self, key: str) -> ItemRow | None:
        rows = self._all(
            f"SELECT {ITEM_COLUMNS} FROM items WHERE key = ?",  # noqa: S608  constants
            (key,),
        )
        return item_of(rows[0], self._import_number()) if rows else None

    def events(self, key: str) -> list[EventRow]:
        return [event_of(row) for row in self._all(_EVENTS_OF, (key,))]

    def oldest_in_flight(self, limit: int) -> list[ItemRow]:
        current = self._import_number()
        return [item_of(row, current) for row in self._all(_OLDEST_IN_FLIGHT, (limit,))]

    def recent_errors(self, limit: int, since: float) -> list[tuple[str, EventRow]]:
        rows = self._all(_RECENT_ERRORS, (_SEARCHED, since, limit))
        return [(row["id"], event_of(row)) for row in rows]

    def event_counts(self, since: float) -> list[tuple[str, str, int, float]]:
        rows = self._all(_EVENT_COUNTS, (_SEARCHED, since))
        return [(row["event"], row["reason"] or "", row["n"], row["first"]) for row in rows]

    def service_times(self, limit: int) -> list[float]:
        return [row["seconds"] for row in self._all(_SERVICE_TIMES, (_SEARCHED, limit))]

    def runs(self) -> list[RunRow]:
        return [run_of(row) for row in self._all("SELECT * FROM runs ORDER BY run")]

    def learned(self) -> dict[str, str]:
        return {row["workflow"]: row["state"] for row in self._all("SELECT * FROM learned")}

    def history(self, limit: int) -> SqlEventHistory:
        return SqlEventHistory(self._all, limit)

    @property
    def last_event(self) -> int:
        return int(self._all(queries.LAST_EVENT)[0][0])

    @property
    def committed_up_to(self) -> int:
        return int(self._all(self._COMMITTED_UP_TO)[0][0])

    def items_mark(self) -> str | None:
        with self._translated():
            mark = items_mark(self._connection)
        last = self.last_event
        return mark if last <= self.committed_up_to else None  # in this order

    def result_folders(self) -> list[str]:
        query = f"{_FOLDERS} FROM ({self._FILE_NAMES}) AS one"
        return [row["folder"] for row in self._all(query)]

    def outcomes(self, after: int) -> Iterator[ItemOutcome]:
        last, end = after, self.last_event
        while last < end:
            first, last = last, min(last + EVENTS, end)
            for row in self._all(_OUTCOMES, (first, last)):
                yield ItemOutcome(
                    key=row["key"],
                    status=self._STATUSES.get(row["status"], row["status"]),
                    paid=row["attempt"] > 0 or row["task_id"] is not None,
                    reused=row["attempt"] == 0,
                    task_id=row["task_id"],
                    files=row["files"],
                )

    def pending_keys(self) -> Iterator[tuple[str, int]]:
        row = 0
        while rows := self._all(_PENDING_KEYS, (row, POSITIONS)):
            yield from ((one["key"], one["position"]) for one in rows)
            row = rows[-1]["row"]

    def reused_items(self) -> Iterator[ItemRow]:
        current, row = self._import_number(), 0
        while rows := self._all(_REUSED_ITEMS, (row, PAGE)):
            yield from (item_of(one, current) for one in rows)
            row = rows[-1]["row"]

    def reuse_counts(self) -> list[tuple[str, int]]:
        counts: Counter[str] = Counter()
        for row in self._all(_REUSE_COUNTS):
            counts[json.loads(row["reused_from"])["folder"]] += row["n"]
        return counts.most_common()

    def waiting_counts(self) -> list[tuple[str, int]]:
        return [(row["message"], row["n"]) for row in self._all(_WAITING_COUNTS)]

    def workers_may_submit(self) -> bool:
        return False

    def keys_to_pay_again(self) -> list[str]:
        return [row["key"] for row in self._all(_KEYS_TO_PAY_AGAIN)]

    def diff(self) -> SqlManifestDiff:
        return SqlManifestDiff(self._all)

    def last_duplicates(self, fingerprint: str | None) -> str | None:
        with self._translated():
            return last_duplicates(self._connection, fingerprint)

    def listed_counts(self) -> dict[ItemStatus, int]:
        return {ItemStatus(row["status"]): row["n"] for row in self._all(_LISTED_COUNTS)}

    def listed_files(self) -> Iterator[tuple[int, tuple[PlacedFile, ...]]]:
        rows = item_order.listed_files(self._all)
        return ((row["row"], placed_files(row["files"])) for row in rows)

    def compared(
        self, specs: Iterable[ItemSpec], fingerprint: str | None
    ) -> SqlManifestDiff | None:
        with self._translated():
            if unchanged(self._connection, fingerprint):
                return None
        diff = self.diff()
        diff.compare(specs)
        return diff

    def _all(self, query: str, values: tuple[object, ...] = ()) -> list[Row]:
        with self._translated():
            return self._connection.execute(query, values).fetchall()


_LISTED_COUNTS = (
    "SELECT status, count(*) AS n FROM items "
    "WHERE import_number = (SELECT import_number FROM job) GROUP BY status"
)
_FOLDERS = "SELECT DISTINCT rtrim(rtrim(name, replace(name, '/', '')), '/') AS folder"
_OUTCOMES = (
    "SELECT key, status, attempt, task_id, files FROM items "
    "WHERE key IN (SELECT key FROM events WHERE seq > ? AND seq <= ?)"
)
_PENDING_KEYS = (
    "SELECT rowid AS row, key, position FROM items "
    "WHERE rowid > ? AND status = 'pending' AND attempt = 0 AND reused_from = '' "
    "AND import_number = (SELECT import_number FROM job) "
    "ORDER BY rowid LIMIT ?"
)
_REUSED = "reused_from <> '' AND status IN ('submitted', 'downloading', 'download_pending', 'done')"
_REUSED_ITEMS = (
    f"SELECT {ITEM_COLUMNS} FROM items WHERE rowid > ? AND {_REUSED} "  # noqa: S608  constants
    "ORDER BY rowid LIMIT ?"
)
_REUSE_COUNTS = (
    "SELECT reused_from, count(*) AS n FROM items "  # noqa: S608  constants
    f"WHERE {_REUSED} GROUP BY reused_from"
)
_WAITING_COUNTS = (
    "SELECT message, count(*) AS n FROM items WHERE status = 'pending' "  # noqa: S608  a constant
    f"AND reason = '{UNFINISHED_ELSEWHERE}' GROUP BY message ORDER BY n DESC"
)
_KEYS_TO_PAY_AGAIN = "SELECT key FROM items WHERE status = 'pending' AND reused_from <> ''"
_EVENTS_OF = (
    "SELECT seq, at, key, event, attempt, task_id, reason, message FROM events "
    "WHERE key = ? ORDER BY seq"
)
#: The latest events that are searched: `status --watch` reads them every second.
_SEARCHED = 20_000
_RECENT = "seq > (SELECT coalesce(max(seq), 0) FROM events) - ?"
_OLDEST_IN_FLIGHT = (
    f"SELECT {ITEM_COLUMNS} FROM items "  # noqa: S608  constants
    "WHERE status IN ('submitting', 'submitted', 'downloading') "
    "ORDER BY CASE status WHEN 'submitting' THEN started_at ELSE submitted_at END LIMIT ?"
)
_RECENT_ERRORS = (
    "SELECT i.id, e.* FROM events e JOIN items i USING (key) "  # noqa: S608  constants
    f"WHERE e.{_RECENT} AND e.at >= ? AND e.event IN ('upload_failed', 'upload_rejected', "
    "'submit_unsent', 'submit_rejected', 'submit_unanswered', 'submit_interrupted', "
    "'not_settled', 'task_failed', 'task_lost', 'task_unknown', 'download_failed') "
    "AND coalesce(e.reason, '') NOT LIKE '%-429%' ORDER BY e.seq DESC LIMIT ?"
)
_EVENT_COUNTS = (
    "SELECT event, reason, count(*) AS n, min(at) AS first FROM events "  # noqa: S608  constants
    f"WHERE {_RECENT} AND at >= ? GROUP BY event, reason"
)
_SERVICE_TIMES = (
    "SELECT i.completed_at - i.submitted_at AS seconds "  # noqa: S608  constants
    f"FROM events e JOIN items i USING (key) WHERE e.{_RECENT} AND e.event = 'task_completed' "
    "AND i.completed_at >= i.submitted_at ORDER BY e.seq DESC LIMIT ?"
)
