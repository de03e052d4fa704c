"""The synchronous calls of commands, between runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from batch_runner.errors import IllegalTransition
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
from batch_runner.journal.sql.run_journal import SqlRunJournal
from batch_runner.journal.sql.spending import pending_workflows, spent_by_workflow
from batch_runner.journal.sql.transitions import apply
from batch_runner.lifecycle import RECOVERY, Event, ItemStatus
from batch_runner.models import ItemSpec, JobFacts


class SqlJournal(SqlRunJournal):
    """The journal of one job, open for writing; see `base.JobStore` and `base.RunJournal`.

    Between `start` and `stop` the connection belongs to the committer, and only the calls of
    `RunJournal` are used.
    """

    #: The beginning of a fast statement that removes all rows of a table.
    _EMPTY = "DELETE FROM"
    #: A condition for items that no other process is working on.
    _UNATTENDED = ""
    #: A query for key and status of each item, and the name of each of its files.
    _FILE_NAMES: str

    def _transaction(self) -> AbstractContextManager[None]:
        """Return a context in which the statements are one durable transaction.

        It raises JournalError for the errors of the database.
        """
        raise NotImplementedError

    def _single_statement(self) -> AbstractContextManager[None]:
        """Return a context in which one statement is durable; it raises as `_transaction`."""
        return self._transaction()

    def migrate(self, path: Path) -> None:
        """Migrate a journal of an older version; `path` is where it is or would be in the folder.

        Raises:
            JournalUnreadable: it cannot be migrated; it is unchanged.
        """
        raise NotImplementedError

    def record_location(self, path: Path) -> None:
        """Record where the journal is, or the folder of its job; `path` as in `migrate`."""
        raise NotImplementedError

    def is_original_location(self, path: Path, *, known: bool) -> bool:
        """Return whether the journal is the recorded one, there or moved; False: it is a copy.

        `known`: this host has seen the job before. `path` as in `migrate`.
        """
        raise NotImplementedError

    def lock(self) -> None:
        """Keep other hosts from opening the job, until `close`; a file has its folder's lock.

        Raises:
            JobLocked: another host has it.
        """

    def close(self) -> None:
        if self._committer is not None:
            self.stop()
        self._connection.close()

    # Between runs: synchronous, each a durable transaction of its own.

    def job(self) -> dict[str, Any]:
        return dict(self._connection.execute("SELECT * FROM job").fetchone())

    def facts(self) -> JobFacts:
        with self._reading():
            return queries.facts(self._connection)

    def redo(self, repeats: Iterable[tuple[str, int]]) -> None:
        with self._transaction():
            query = "INSERT INTO redone (key, n) VALUES (?, ?) ON CONFLICT DO NOTHING"
            self._connection.executemany(query, list(repeats))

    def recover(self) -> None:
        with self._transaction():
            for status, event in RECOVERY.items():
                if event is not None:
                    keys = self._connection.execute(
                        f"SELECT key FROM items WHERE status = ? {self._UNATTENDED} "  # noqa: S608
                        "ORDER BY position",
                        (status.value,),
                    ).fetchall()
                    for row in keys:
                        with suppress(IllegalTransition):  # a worker has just taken its shard
                            self._apply(interrupted(row[0], event))

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
                import_pages(self._connection, pages, self._wall_clock(), empty=self._EMPTY)
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
        with self._single_statement():
            row = self._connection.execute(
                "INSERT INTO runs (started_at, pid, host) VALUES (?, ?, ?) RETURNING run",
                (self._wall_clock(), pid, host),
            ).fetchone()
        return int(row[0])

    def end_run(self, run: int, figures: dict[str, Any], *, exit_code: int, message: str) -> None:
        end = {"ended_at": self._wall_clock(), "exit_code": exit_code, "message": message}
        with self._single_statement():
            queries.end_run(self._connection, run, figures, **end)

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
        query = f"SELECT key, name FROM ({self._FILE_NAMES}) AS one WHERE status = 'done'"  # noqa: S608
        with self._reading():
            for row in self._connection.execute(query):
                yield row[0], row[1]

    def pending_folders(self) -> list[str]:
        """Return the folders in the names of the pending items, each once."""
        query = (
            "SELECT DISTINCT rtrim(rtrim(name, replace(name, '/', '')), '/') FROM items "
            "WHERE status = 'pending' AND name LIKE '%/%'"
        )
        return [row[0] for row in self._connection.execute(query)]

    def most_attempts(self) -> int:
        row = self._connection.execute("SELECT coalesce(max(attempts), 1) FROM items").fetchone()
        return int(row[0])

    def spent_now(self) -> int:
        with self._reading():
            row = self._connection.execute("SELECT coalesce(sum(attempt), 0) FROM items").fetchone()
        return int(row[0])

    def spent_by_workflow_now(self) -> dict[str, int]:
        with self._reading():
            return spent_by_workflow(self._connection)

    def pending_workflows(self) -> Iterator[tuple[int, str, str]]:
        with self._reading():
            yield from pending_workflows(self._connection)

    def learned(self) -> dict[str, str]:
        rows = self._connection.execute("SELECT workflow, state FROM learned").fetchall()
        return {row[0]: row[1] for row in rows}

    def keep_learned(self, learned: Mapping[str, str]) -> None:
        with self._single_statement():
            queries.keep_learned(self._connection, learned)

    def counts_now(self) -> dict[ItemStatus, int]:
        with self._reading():
            return count_by_status(self._connection)

    def listed(self) -> Iterator[ListedItem]:
        with self._reading():
            for row in self._connection.execute(_LISTED):
                position, key, item_id, name, status = row
                yield ListedItem(position, key, item_id, name, ItemStatus(status))

    def _apply(self, change: Change) -> None:
        apply(self._connection, change, self._wall_clock())


_LISTED = (
    "SELECT position, key, id, name, status FROM items "
    "WHERE import_number = (SELECT import_number FROM job)"
)


def interrupted(key: str, event: Event, *, by: str = "run") -> Change:
    """Return the change that lets a run continue with an item that it finds in the middle.

    `by` is what has ended there: a run, or a worker.
    """
    if event is Event.SUBMIT_INTERRUPTED:
        return Change(
            key=key,
            event=event,
            reason="interrupted",
            message=f"the {by} ended during the submission; it may have been paid",
        )
    return Change(key=key, event=event)
