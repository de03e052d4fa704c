"""Create and open a journal; the synchronous calls of commands between runs."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any, Self

from batch_runner.errors import JournalError, JournalUnreadable
from batch_runner.journal.base import Change, Imported
from batch_runner.journal.item_import import ItemImport, pages_of
from batch_runner.journal.records import ListedItem
from batch_runner.journal.sql import queries
from batch_runner.journal.sql.item_import import (
    import_pages,
    listed_and_other,
    remember,
    unchanged,
)
from batch_runner.journal.sql.rows import count_by_status
from batch_runner.journal.sql.run_journal import SqliteRunJournal
from batch_runner.journal.sql.spending import pending_workflows, spent_by_workflow
from batch_runner.journal.sql.transitions import apply
from batch_runner.journal.sqlite.connection import (
    Transaction,
    check,
    closed_on_error,
    connect,
    location_of,
    translated,
)
from batch_runner.journal.sqlite.migrations import SCHEMA_VERSION, check_version, migrate
from batch_runner.lifecycle import RECOVERY, Event, ItemStatus
from batch_runner.models import ItemSpec, JobFacts
from batch_runner.util.locale import tr
from batch_runner.util.paths import same_name
from batch_runner.util.text import error_reason


class Journal(SqliteRunJournal):
    """The journal of one job, open for writing; see `base.JobStore` and `base.RunJournal`.

    Between `start` and `stop` the connection belongs to the committer, and only the calls of
    `RunJournal` are used.
    """

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
        """Create a journal at `path`; its first commit is on the disk when this returns.

        Raises:
            JournalError: it cannot be created.
        """
        try:
            path.touch(mode=0o600)
            connection = connect(path)
            now = wall_clock()
            today = time.strftime("%Y-%m-%d", time.localtime(now))
            schema = (
                package_files("batch_runner.journal.sqlite")
                .joinpath("schema.sql")
                .read_text("utf-8")
            )
            with closed_on_error(connection):
                connection.executescript(f"BEGIN; {schema} PRAGMA user_version = {SCHEMA_VERSION};")
                connection.execute(
                    "INSERT INTO job "
                    "(id, name, provider, origin, folder, inode, created_at, today) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (uuid.uuid4().hex, job, provider, origin, *location_of(path), now, today),
                )
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            reason = error_reason(error)
            raise JournalError(f"the journal {path} cannot be created: {reason}") from error
        return cls(connection, wall_clock=wall_clock)

    @classmethod
    def open(cls, path: Path, *, wall_clock: Callable[[], float] = time.time) -> Self:
        """Open an existing journal after checking it; call `migrate` before anything is written.

        Raises:
            JournalUnreadable: it is missing, empty or damaged.
            JournalVersionMismatch: a newer program wrote it.
        """
        if not path.is_file() or path.stat().st_size == 0:
            raise JournalUnreadable(tr("the journal {path} is missing or empty", path=path))
        try:
            connection = connect(path)
            with closed_on_error(connection):
                check_version(connection, path, oldest=1)
                check(connection, path)
        except sqlite3.Error as error:
            raise JournalUnreadable(
                tr("the journal {path} cannot be read: {error}", path=path, error=error)
            ) from error
        return cls(connection, wall_clock=wall_clock)

    def migrate(self, path: Path) -> None:
        """Migrate a journal of an older version; see `migrations.migrate`."""
        with translated():
            migrate(self._connection, path)

    def close(self) -> None:
        if self._committer is not None:
            self.stop()
        self._connection.close()

    # Between runs: synchronous, each a durable transaction of its own.

    def job(self) -> dict[str, Any]:
        row: sqlite3.Row = self._connection.execute("SELECT * FROM job").fetchone()
        return dict(row)

    def facts(self) -> JobFacts:
        with translated():
            return queries.facts(self._connection)

    def redo(self, repeats: Iterable[tuple[str, int]]) -> None:
        with self._transaction():
            query = "INSERT OR IGNORE INTO redone (key, n) VALUES (?, ?)"
            self._connection.executemany(query, repeats)

    def record_location(self, path: Path) -> None:
        """Record the path and inode of the journal, so that a copy of it is recognised."""
        with self._transaction():
            self._connection.execute("UPDATE job SET folder = ?, inode = ?", location_of(path))

    def is_original_location(self, path: Path, *, known: bool) -> bool:
        """Return whether the journal is the recorded file, there or moved; False: it is a copy.

        Another file at the recorded path is a restored backup, or a copy on another machine. It is
        accepted if the registry of this host has the job (`known`), or if the inode is the recorded
        one: the number of its device may change.
        """
        folder, inode = location_of(path)
        job = self.job()
        if same_name(job["folder"], folder):
            return known or inode.partition(":")[2] == job["inode"].partition(":")[2]
        return bool(job["inode"] == inode)

    def recover(self) -> None:
        with self._transaction():
            for status, event in RECOVERY.items():
                if event is not None:
                    keys = self._connection.execute(
                        "SELECT key FROM items WHERE status = ? ORDER BY position", (status.value,)
                    ).fetchall()
                    for row in keys:
                        self._apply(_interrupted(row[0], event))

    def import_items(
        self,
        items: Iterable[ItemSpec] | ItemImport,
        *,
        manifest: str = "",
        price: str | None = None,
        fingerprint: Callable[[], str | None] = lambda: None,
        duplicates: Callable[[], str | None] = lambda: None,
    ) -> Imported:
        mark = fingerprint()
        pages = items.pages(mark) if isinstance(items, ItemImport) else pages_of(items)
        with self._transaction():
            query = "UPDATE job SET manifest = ?, price = ?"
            self._connection.execute(query, (manifest, price))
            before = self._count_items()
            if not unchanged(self._connection, mark):
                import_pages(self._connection, pages, self._wall_clock())
                same = fingerprint() == mark
                remember(self._connection, mark if same else None, duplicates())
            listed, other = listed_and_other(self._connection)
        new = listed + other - before
        return Imported(new=new, known=listed - new, unlisted=other)

    def _count_items(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM items").fetchone()[0])

    def apply(self, change: Change) -> None:
        with self._transaction():
            self._apply(change)
        self.report_last_event()

    def begin_run(self, *, pid: int, host: str) -> int:
        with self._transaction():
            cursor = self._connection.execute(
                "INSERT INTO runs (started_at, pid, host) VALUES (?, ?, ?)",
                (self._wall_clock(), pid, host),
            )
        return cursor.lastrowid or 0

    def end_run(self, run: int, figures: dict[str, Any], *, exit_code: int, message: str) -> None:
        with self._transaction():
            queries.keep_figures(self._connection, run, figures)
            self._connection.execute(
                "UPDATE runs SET ended_at = ?, exit_code = ?, message = ? WHERE run = ?",
                (self._wall_clock(), exit_code, message, run),
            )

    def status_of(self, key: str) -> ItemStatus | None:
        row = self._connection.execute("SELECT status FROM items WHERE key = ?", (key,)).fetchone()
        return None if row is None else ItemStatus(row[0])

    def knows_task(self, task_id: str) -> bool:
        """Return whether a task id is that of an item, or in the history of one."""
        query = (
            "SELECT EXISTS (SELECT 1 FROM items WHERE task_id = :id) "
            "OR EXISTS (SELECT 1 FROM events WHERE task_id = :id)"
        )
        return bool(self._connection.execute(query, {"id": task_id}).fetchone()[0])

    def note_task(self, key: str, task_id: str) -> str:
        """Add a task id to the history of an item, whose status stays; return the item's id."""
        with self._transaction():
            self._connection.execute(
                "INSERT INTO events (at, key, event, attempt, task_id) "
                "SELECT ?, key, ?, attempt, ? FROM items WHERE key = ?",
                (self._wall_clock(), Event.TASK_FOUND.value, task_id, key),
            )
            row = self._connection.execute("SELECT id FROM items WHERE key = ?", (key,)).fetchone()
        return str(row[0])

    def placed(self) -> Iterator[tuple[str, str]]:
        with translated():
            yield from self._connection.execute(_PLACED)

    def pending_folders(self) -> list[str]:
        """Return the folders in the names of the pending items, each once."""
        query = (
            "SELECT DISTINCT rtrim(rtrim(name, replace(name, '/', '')), '/') FROM items "
            "WHERE status = 'pending' AND name LIKE '%/%'"
        )
        return [row[0] for row in self._connection.execute(query)]

    def most_attempts(self) -> int:
        row = self._connection.execute("SELECT ifnull(max(attempts), 1) FROM items").fetchone()
        return int(row[0])

    def spent_now(self) -> int:
        with translated():
            row = self._connection.execute("SELECT ifnull(sum(attempt), 0) FROM items").fetchone()
        return int(row[0])

    def spent_by_workflow_now(self) -> dict[str, int]:
        with translated():
            return spent_by_workflow(self._connection)

    def pending_workflows(self) -> Iterator[tuple[int, str, str]]:
        with translated():
            yield from pending_workflows(self._connection)

    def learned(self) -> dict[str, str]:
        rows = self._connection.execute("SELECT workflow, state FROM learned").fetchall()
        return {row[0]: row[1] for row in rows}

    def keep_learned(self, learned: Mapping[str, str]) -> None:
        with self._transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO learned (workflow, state) VALUES (?, ?)", learned.items()
            )

    def counts_now(self) -> dict[ItemStatus, int]:
        with translated():
            return count_by_status(self._connection)

    def listed(self) -> Iterator[ListedItem]:
        with translated():
            for row in self._connection.execute(_LISTED):
                position, key, item_id, name, status = row
                yield ListedItem(position, key, item_id, name, ItemStatus(status))

    def _apply(self, change: Change) -> None:
        apply(self._connection, change, self._wall_clock())

    def _transaction(self) -> Transaction:
        return Transaction(self._connection)


_PLACED = (
    "SELECT items.key, json_extract(one.value, '$.name') "
    "FROM items, json_each(items.files) AS one WHERE status = 'done'"
)
_LISTED = (
    "SELECT position, key, id, name, status FROM items "
    "WHERE import_number = (SELECT import_number FROM job)"
)


def _interrupted(key: str, event: Event) -> Change:
    if event is Event.SUBMIT_INTERRUPTED:
        return Change(
            key=key,
            event=event,
            reason="interrupted",
            message="the run ended during the submission; it may have been paid",
        )
    return Change(key=key, event=event)
