"""Migrate the journal of an older schema version.

`STEPS[n]` holds the SQL statements that lead from version n to version n + 1. All steps that a
journal needs run in one transaction, which raises `user_version` too: a process that is killed
between any two statements leaves the journal as it was, and the next run repeats the migration.
Statements name the words of their versions literally, because `lifecycle` knows only today's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from batch_runner.errors import JournalUnreadable, JournalVersionMismatch
from batch_runner.journal.sqlite.connection import Transaction
from batch_runner.lifecycle import Event, ItemStatus
from batch_runner.util.locale import tr

SCHEMA_VERSION = 4

STATUSES_1_TO_2 = {
    "fetching": "downloading",
    "refused": "rejected",
    "unfetched": "download_pending",
}
#: Fallback logs written beside a journal of version 1 hold these words as well.
EVENTS_1_TO_2 = {
    "submit_refused": "submit_rejected",
    "fetch_failed": "download_failed",
    "fetch_interrupted": "download_interrupted",
    "fetch_resumed": "download_resumed",
}
REASONS_1_TO_2 = {
    "lost": "no-response",
    "unsure": "ambiguous",
    "refused": "rejected",
    "unknown": "not-found",
}


def _rename_words(table: str, column: str, words: Mapping[str, str]) -> str:
    cases = " ".join(f"WHEN '{old}' THEN '{new}'" for old, new in words.items())
    old_words = ", ".join(f"'{old}'" for old in words)
    return (
        f"UPDATE {table} SET {column} = CASE {column} {cases} END "  # noqa: S608  constants
        f"WHERE {column} IN ({old_words})"
    )


STEPS: dict[int, tuple[str, ...]] = {
    1: (
        "UPDATE items SET status = 'dropped' WHERE status = 'failed' AND reason = 'dropped'",
        _rename_words("items", "status", STATUSES_1_TO_2),
        _rename_words("items", "reason", REASONS_1_TO_2),
        _rename_words("events", "event", EVENTS_1_TO_2),
        _rename_words("events", "reason", REASONS_1_TO_2),
        "ALTER TABLE job RENAME COLUMN listing TO import_number",
        "ALTER TABLE items RENAME COLUMN listing TO import_number",
        "ALTER TABLE runs RENAME COLUMN creates TO submissions",
        "ALTER TABLE runs RENAME COLUMN weather TO samples",
        "ALTER TABLE runs RENAME COLUMN verdict TO message",
        "DROP TABLE IF EXISTS last_list",  # the next import reads the whole manifest once
        "CREATE TABLE last_import "
        "(fingerprint TEXT NOT NULL, import_number INTEGER NOT NULL) STRICT",
    ),
    2: (
        "ALTER TABLE items ADD COLUMN reused_from TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE job ADD COLUMN today TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE items ADD COLUMN request_id TEXT",
        "ALTER TABLE items ADD COLUMN request_digest TEXT",
        "ALTER TABLE items ADD COLUMN result_urls TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE items ADD COLUMN free INTEGER NOT NULL DEFAULT 0",
        "UPDATE job SET today = date(created_at, 'unixepoch', 'localtime')",
        "CREATE TABLE redone (key TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (key, n)) "
        "STRICT, WITHOUT ROWID",
        "ALTER TABLE job ADD COLUMN deliver_after INTEGER",
        "CREATE TABLE deliveries "
        "(event INTEGER PRIMARY KEY, at REAL NOT NULL, exit_status INTEGER) STRICT",
    ),
    3: ("ALTER TABLE last_import ADD COLUMN duplicates TEXT",),
}


def current_words(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry of a fallback log of version 1 in today's words."""
    event, reason = str(entry.get("event")), entry.get("reason")
    words = {"event": EVENTS_1_TO_2.get(event, event)}
    if isinstance(reason, str):
        words["reason"] = REASONS_1_TO_2.get(reason, reason)
    return entry | words


_COUNTED = ("job", "items", "events", "uploads", "runs", "learned")


def version_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check_version(connection: sqlite3.Connection, path: Path, *, oldest: int) -> None:
    """Refuse a journal that is older than version `oldest` or newer than this program's.

    Raises:
        JournalVersionMismatch: it is.
        JournalUnreadable: it has no version.
    """
    version = version_of(connection)
    if version < 1:
        raise JournalUnreadable(tr("{path} is not a journal of batch-runner", path=path))
    if version > SCHEMA_VERSION:
        raise JournalVersionMismatch(
            tr(
                "the journal {path} has version {version}, written by a newer "
                "batch-runner; this one reads up to version {schema_version}, so "
                "update it",
                path=path,
                version=version,
                schema_version=SCHEMA_VERSION,
            )
        )
    if version < oldest:
        raise JournalVersionMismatch(
            tr(
                "the journal {path} has version {version}, written by an older "
                "batch-runner; use `batch-runner run` once to migrate it",
                path=path,
                version=version,
            )
        )


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Migrate the journal to `SCHEMA_VERSION`; do nothing if it has that version.

    The caller holds the job's lock.

    Raises:
        JournalUnreadable: the migrated journal fails a check; it is left as it was.
        JournalError: it cannot be written; it is left as it was.
    """
    version = version_of(connection)
    if version == SCHEMA_VERSION:
        return
    with Transaction(connection):
        before = _row_counts(connection)
        for step in range(version, SCHEMA_VERSION):
            for statement in STEPS[step]:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        problem = _find_problem(connection, before)
        if problem is not None:
            raise JournalUnreadable(
                tr(
                    "the journal {path} cannot be migrated from version {version} to "
                    "{schema_version}: {problem}; it was left as it is",
                    path=path,
                    version=version,
                    schema_version=SCHEMA_VERSION,
                    problem=problem,
                )
            )


def _row_counts(connection: sqlite3.Connection) -> list[int]:
    queries = (f"SELECT count(*) FROM {table}" for table in _COUNTED)  # noqa: S608  constants
    return [int(connection.execute(query).fetchone()[0]) for query in queries]


def _find_problem(connection: sqlite3.Connection, before: list[int]) -> str | None:
    after = _row_counts(connection)
    if after != before:
        return f"row counts changed from {before} to {after}"
    for query, known in (
        ("SELECT DISTINCT status FROM items", ItemStatus),
        ("SELECT DISTINCT event FROM events", Event),
    ):
        if unknown := _unknown_words(connection, query, known):
            return f"unknown words {', '.join(unknown)}"
    found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    return None if found == "ok" else found


def _unknown_words(connection: sqlite3.Connection, query: str, known: Iterable[str]) -> list[str]:
    return sorted({row[0] for row in connection.execute(query)} - set(known))
