"""The verbs of an item's life, as the stages of a run and the commands speak them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any, Self

from batch_runner.errors import JournalError, JournalUnreadable
from batch_runner.journal.records import count_by_status
from batch_runner.journal.sqlite import queries
from batch_runner.journal.sqlite.connection import (
    Transaction,
    check,
    closed_on_error,
    connect,
    place_of,
    translated,
)
from batch_runner.journal.sqlite.group_commit import Committer, GroupCommit
from batch_runner.journal.sqlite.item_import import (
    ItemImport,
    bring_in,
    listed_and_other,
    pages_of,
    remember,
    unchanged,
)
from batch_runner.journal.sqlite.migrations import SCHEMA_VERSION, check_version, migrate
from batch_runner.journal.sqlite.queries import PendingItem
from batch_runner.journal.sqlite.transitions import Change, Move, Moves, TaskIdTaken, apply
from batch_runner.lifecycle import RECOVERY, Event, ItemStatus
from batch_runner.models import InFlight, ItemSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What the start of a run found from an earlier one."""

    held: int = 0  # creates that were on the wire when it ended
    resumed: int = 0  # paid items that go back to the pollers


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import changed: `new` items inserted, `known` ones kept, `unlisted` ones left out."""

    new: int
    known: int
    unlisted: int


class Journal:
    """The journal of one job, open for writing by one run.

    Outside a run (`recover`, `import_items`, `apply`) calls are synchronous, each its own durable
    transaction. Between `start` and `stop` the connection belongs to the committer, and the
    awaitable verbs are used.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        wall_clock: Callable[[], float] = time.time,
        high_water: Callable[[int], None] = lambda seq: None,
    ) -> None:
        """Wrap an open connection; `high_water` is told the last event number on the disk."""
        self._connection = connection
        self._wall_clock = wall_clock
        self._high_water = high_water
        self._committer: Committer | None = None
        self._told = 0

    # Opening and closing.

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        job: str,
        provider: str,
        origin: str,
        wall_clock: Callable[[], float] = time.time,
    ) -> Self:
        """Make a new journal at `path`; when this returns its first commit is on the disk.

        Raises:
            JournalError: it cannot be made.
        """
        try:
            path.touch(mode=0o600)
            connection = connect(path)
            schema = package_files(__package__).joinpath("schema.sql").read_text("utf-8")
            with closed_on_error(connection):
                connection.executescript(f"BEGIN; {schema} PRAGMA user_version = {SCHEMA_VERSION};")
                connection.execute(
                    "INSERT INTO job (id, name, provider, origin, folder, inode, created_at) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (uuid.uuid4().hex, job, provider, origin, *place_of(path), wall_clock()),
                )
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise JournalError(f"the journal {path} cannot be made: {error}") from error
        return cls(connection, wall_clock=wall_clock)

    @classmethod
    def open(cls, path: Path, *, wall_clock: Callable[[], float] = time.time) -> Self:
        """Open an existing journal after checking it; call `migrate` before anything is written.

        Raises:
            JournalUnreadable: it is missing, empty or damaged.
            JournalVersionMismatch: a newer program wrote it.
        """
        if not path.is_file() or path.stat().st_size == 0:
            raise JournalUnreadable(f"the journal {path} is missing or empty")
        try:
            connection = connect(path)
            with closed_on_error(connection):
                check_version(connection, path, oldest=1)
                check(connection, path)
        except sqlite3.Error as error:
            raise JournalUnreadable(f"the journal {path} cannot be read: {error}") from error
        return cls(connection, wall_clock=wall_clock)

    def migrate(self, path: Path) -> None:
        """Bring a journal of an older version up to date; see `migrations.migrate`."""
        with translated():
            migrate(self._connection, path)

    def close(self) -> None:
        """Close the file. What was not awaited may be lost, as by a crash."""
        if self._committer is not None:
            self.stop()
        self._connection.close()

    def start(self, committer: Callable[..., Committer] = GroupCommit) -> None:
        """Hand the connection to a committer, inside the running event loop."""
        self._committer = committer(self._connection, self.tell_high_water)

    def stop(self) -> None:
        """Wait for what is queued and take the connection back. Blocks for a commit at most."""
        if self._committer is not None:
            self._committer.close()
            self._committer = None

    @property
    def busy(self) -> bool:
        """Say whether a change is on its way to the disk."""
        return self._committer is not None and self._committer.busy

    def watch_high_water(self, tell: Callable[[int], None]) -> None:
        """Call `tell` with the last event number, now and after each commit that adds one."""
        self._high_water = tell
        self.tell_high_water()

    def tell_high_water(self) -> None:
        """Pass on the number of the last event that is on the disk.

        It is read back, not counted along: what was counted may have been rolled back since.
        """
        if not self._connection.in_transaction and (last := self.last_event) != self._told:
            self._high_water(last)
            self._told = last

    @property
    def last_event(self) -> int:
        """Return the number of the last event, 0 if there is none."""
        with translated():
            row = self._connection.execute("SELECT ifnull(max(seq), 0) FROM events").fetchone()
        return int(row[0])

    # Between runs: synchronous, each a durable transaction of its own.

    def job(self) -> dict[str, Any]:
        """Return the row of `job`."""
        row: sqlite3.Row = self._connection.execute("SELECT * FROM job").fetchone()
        return dict(row)

    def settle_place(self, path: Path) -> None:
        """Note where the journal lies now, so that a copy of it can be told from it."""
        with self._transaction():
            self._connection.execute("UPDATE job SET folder = ?, inode = ?", place_of(path))

    def at_home(self, path: Path, *, known: bool) -> bool:
        """Say whether the journal lies where it was, or was moved as a whole; False: a copy.

        Another file in the same place is a backup that was put back, or a copy on another machine.
        It is believed where the job is `known` here. Of a device, the number may change.
        """
        folder, inode = place_of(path)
        job = self.job()
        if job["folder"] == folder:
            return known or inode.partition(":")[2] == job["inode"].partition(":")[2]
        return bool(job["inode"] == inode)

    def recover(self) -> Recovered:
        """Put every item that an earlier run left in between where this run can go on."""
        counts: dict[Event, int] = {}
        with self._transaction():
            for status, event in RECOVERY.items():
                if event is not None:
                    keys = self._connection.execute(
                        "SELECT key FROM items WHERE status = ? ORDER BY position", (status.value,)
                    ).fetchall()
                    counts[event] = len(keys)
                    for row in keys:
                        self._apply(_interrupted(row[0], event))
        resumed = counts[Event.DOWNLOAD_INTERRUPTED] + counts[Event.DOWNLOAD_RESUMED]
        return Recovered(held=counts[Event.SUBMIT_INTERRUPTED], resumed=resumed)

    def import_items(
        self,
        items: Iterable[ItemSpec] | ItemImport,
        *,
        manifest: str = "",
        price: str | None = None,
        fingerprint: Callable[[], str | None] = lambda: None,
    ) -> Imported:
        """List `items`: insert new ones, keep known ones as they are, in one transaction.

        When `fingerprint` tells the same as after the last import, they are not gone through. None
        says that nothing can be told; it is asked once more at the end, so that a list that is
        changed meanwhile is gone through again. An exception from `items` leaves the journal as it
        was.
        """
        mark = fingerprint()
        pages = items.pages(mark) if isinstance(items, ItemImport) else pages_of(items)
        with self._transaction():
            query = "UPDATE job SET manifest = ?, price = ?"
            self._connection.execute(query, (manifest, price))
            before = self._count_items()
            if not unchanged(self._connection, mark):
                bring_in(self._connection, pages, self._wall_clock())
                remember(self._connection, mark if fingerprint() == mark else None)
            listed, other = listed_and_other(self._connection)
        new = listed + other - before
        return Imported(new=new, known=listed - new, unlisted=other)

    def _count_items(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM items").fetchone()[0])

    def apply(self, change: Change) -> None:
        """Make one change, durable when this returns; for commands, between runs.

        Raises:
            IllegalTransition: the item does not stand where this event may find it.
            JournalError: no such item, or the journal cannot be written.
        """
        with self._transaction():
            self._apply(change)
        self.tell_high_water()

    def begin_run(self, *, pid: int, host: str) -> int:
        """Note that a run has started and return its number."""
        with self._transaction():
            cursor = self._connection.execute(
                "INSERT INTO runs (started_at, pid, host) VALUES (?, ?, ?)",
                (self._wall_clock(), pid, host),
            )
        return cursor.lastrowid or 0

    def end_run(self, run: int, figures: dict[str, Any], *, exit_code: int, message: str) -> None:
        """Close the run's row."""
        with self._transaction():
            queries.note_run(self._connection, run, figures)
            self._connection.execute(
                "UPDATE runs SET ended_at = ?, exit_code = ?, message = ? WHERE run = ?",
                (self._wall_clock(), exit_code, message, run),
            )

    def status_of(self, key: str) -> ItemStatus | None:
        """Return where an item stands, None if there is none."""
        row = self._connection.execute("SELECT status FROM items WHERE key = ?", (key,)).fetchone()
        return None if row is None else ItemStatus(row[0])

    def placed(self) -> Iterator[tuple[str, list[str]]]:
        """Return identity and names of the files of each item that is done."""
        rows = self._connection.execute("SELECT key, files FROM items WHERE status = 'done'")
        return ((row[0], [one["name"] for one in json.loads(row[1])]) for row in rows)

    def most_attempts(self) -> int:
        """Return the most attempts any item is allowed."""
        row = self._connection.execute("SELECT ifnull(max(attempts), 1) FROM items").fetchone()
        return int(row[0])

    def spent_now(self) -> int:
        """Return how many creates of this job must be assumed paid.

        Raises:
            JournalError: it cannot be read.
        """
        with translated():
            row = self._connection.execute("SELECT ifnull(sum(attempt), 0) FROM items").fetchone()
        return int(row[0])

    def learned(self) -> dict[str, str]:
        """Return what the schedule learned about durations, by workflow."""
        rows = self._connection.execute("SELECT workflow, state FROM learned").fetchall()
        return {row[0]: row[1] for row in rows}

    def keep_learned(self, learned: dict[str, str]) -> None:
        """Keep what the schedule learned."""
        with self._transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO learned (workflow, state) VALUES (?, ?)", learned.items()
            )

    def counts_now(self) -> dict[ItemStatus, int]:
        """Read the counts synchronously.

        Raises:
            JournalError: they cannot be read.
        """
        with translated():
            return count_by_status(self._connection)

    def _apply(self, change: Change) -> None:
        apply(self._connection, change, self._wall_clock())

    def _transaction(self) -> Transaction:
        return Transaction(self._connection)

    # During a run: awaitable.

    def record(
        self, change: Change, *further: Change, patient: bool = False
    ) -> asyncio.Future[None]:
        """Queue a change; the future is done when it is on the disk.

        `further` ones happen with it in their order, or none of them does. A `patient` one waits a
        moment for others to go with.

        Queued when this returns, before anything is awaited: a cancelled waiter loses nothing.

        Raises (through the future):
            TaskIdTaken: the task id belongs to another item; nothing was changed.
            IllegalTransition: nothing was changed.
            JournalError: the commit failed; nothing was kept.
        """
        at = self._wall_clock()
        first = Move(change, at)
        together = Moves((first, *(Move(one, at) for one in further))) if further else first
        return self._queue(together, patient=patient)

    def waiting(self, after: int, limit: int) -> asyncio.Future[list[PendingItem]]:
        """Read up to `limit` listed items that wait for a create, beyond position `after`."""
        return self._queue(lambda connection: queries.waiting(connection, after, limit))

    def waiting_one(self, key: str) -> asyncio.Future[PendingItem]:
        """Read one item that waits for a create."""
        return self._queue(lambda connection: queries.waiting_one(connection, key))

    def in_flight(self, after: str, limit: int) -> asyncio.Future[list[InFlight]]:
        """Read up to `limit` paid items whose task is not finished, with keys beyond `after`."""
        return self._queue(lambda connection: queries.in_flight(connection, after, limit))

    def upload_value(self, sha256: str, since: float) -> asyncio.Future[str | None]:
        """Read what the service gave back for a file of this content; None: not since then."""
        now = self._wall_clock()
        return self._queue(lambda connection: queries.upload_value(connection, sha256, since, now))

    def remember_upload(self, sha256: str, value: str) -> asyncio.Future[None]:
        """Keep what the service gave back for a file of this content."""
        at = self._wall_clock()
        return self._queue(
            lambda connection: queries.remember_upload(connection, sha256, value, at)
        )

    def note_run(self, run: int, figures: dict[str, Any]) -> asyncio.Future[None]:
        """Keep the figures of the run so far: creates, polls, limited, retries, weather."""
        kept = {**figures, "samples": list(figures["samples"])}  # the run goes on adding
        return self._queue(lambda connection: queries.note_run(connection, run, kept))

    def _queue(
        self, operation: Callable[[sqlite3.Connection], Any], *, patient: bool = False
    ) -> asyncio.Future[Any]:
        if self._committer is None:
            raise JournalError("the journal has not been started")
        return self._committer.submit(operation, patient=patient)


def _interrupted(key: str, event: Event) -> Change:
    if event is Event.SUBMIT_INTERRUPTED:
        return Change(
            key=key,
            event=event,
            reason="interrupted",
            message="the run ended while the create was on its way; it may have been paid",
        )
    return Change(key=key, event=event)


__all__ = ["Imported", "Journal", "Recovered", "TaskIdTaken"]
