"""The registry: jobs, and the items that each has submitted or is about to submit.

May be used by several processes at once: each call is one transaction. A call may be made from any
thread, one at a time.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Self

from batch_runner.errors import RegistryError
from batch_runner.models import ItemOutcome
from batch_runner.registry.base import APPROVED, CLAIMED, Claim, JobRecord
from batch_runner.registry.connection import (
    FILE,
    connect,
    connect_to_read,
    translated,
    write_backup,
)
from batch_runner.registry.jobs import JobQueries
from batch_runner.util.paths import Utf8Path

#: Keys in one statement; SQLite allows 999 values in every version.
KEYS = 500
#: Items stored in one transaction: another process waits for its end, and gives up after some time.
STORED_AT_ONCE = 2000


class Registry(JobQueries):
    """The registry in a state folder."""

    def __init__(self, state: Path, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        self._state = Utf8Path(state)
        self._connection = connection
        self._changed = False

    @property
    def path(self) -> Path:
        return self._state / FILE

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Jobs.

    def jobs(self) -> list[JobRecord]:
        """Return all jobs, the most recently used first."""
        with translated(self.path):
            rows = self._connection.execute(f"{_JOBS} ORDER BY updated_at DESC").fetchall()
        return [_job_of(row) for row in rows]

    def job(self, job_id: str) -> JobRecord | None:
        """Return the job of this id, None if it is unknown."""
        with translated(self.path):
            row = self._connection.execute(f"{_JOBS} WHERE id = ?", (job_id,)).fetchone()
        return None if row is None else _job_of(row)

    def record_job(self, job: JobRecord) -> None:
        """Add a job, or replace what is known of it except its last event."""
        now = time.time()
        values = (job.id, job.name, job.manifest, job.folder, job.mount, job.machine)
        with self._transaction() as connection:
            connection.execute(_RECORD_JOB, (*values, job.last_event, now, now))

    def service_number(self, provider: str, host: str) -> int:
        """Return the number of a service in this registry."""
        with self._transaction() as connection:
            insert = "INSERT OR IGNORE INTO services (provider, host) VALUES (?, ?)"
            connection.execute(insert, (provider, host))
            query = "SELECT number FROM services WHERE provider = ? AND host = ?"
            return int(connection.execute(query, (provider, host)).fetchone()[0])

    def account_of(self, key: str) -> str:
        """Return an identifier of an API key from which the key cannot be found."""
        with translated(self.path):
            secret = self._connection.execute("SELECT secret FROM registry").fetchone()[0]
        return hmac.new(secret, key.encode(), hashlib.sha256).hexdigest()

    # Claims.

    def claim(
        self, service: int, job_id: str, keys: Sequence[str], *, account: str
    ) -> frozenset[str]:
        """Claim up to KEYS items for a job, synced; return the keys that another job has."""
        with self._transaction() as connection:
            job = _number_of(connection, job_id)
            own, others = _owners(connection, service, job, keys)
            now, taken = time.time(), others - own
            rows = [
                (service, key, job, CLAIMED, account, now)
                for key in keys
                if key not in own and key not in taken
            ]
            connection.executemany(_CLAIM, rows)
        return frozenset(taken)

    def approve(self, service: int, job_id: str, keys: Iterable[str]) -> None:
        """Note that the user agrees to pay for these items although another job may have paid."""
        remaining = iter(keys)
        while part := list(islice(remaining, STORED_AT_ONCE)):
            with self._transaction() as connection:
                job, now = _number_of(connection, job_id), time.time()
                rows = ((service, key, job, APPROVED, "", now) for key in part)
                connection.executemany(_CLAIM, rows)

    def store(
        self,
        service: int,
        job_id: str,
        outcomes: Iterable[ItemOutcome],
        *,
        last_event: int,
        account: str = "",
    ) -> None:
        """Store what a job's journal says of these items, and the event up to which it was read.

        The claim of an item that is not paid after all stays until `release`: the run may be about
        to submit it again. Many outcomes are stored in several transactions, the event in the last.
        """
        remaining = iter(outcomes)
        while part := list(islice(remaining, STORED_AT_ONCE)):
            with self._transaction() as connection:
                job, now = _number_of(connection, job_id), time.time()
                for one in part:
                    if one.paid:
                        values = (one.status, one.task_id, one.files, one.reused, account, now)
                        connection.execute(_STORE, (service, one.key, job, *values))
                    else:
                        connection.execute(_UNPAID, (service, one.key, job))
        with self._transaction() as connection:
            query = "UPDATE jobs SET last_event = ?, updated_at = ? WHERE number = ?"
            connection.execute(query, (last_event, time.time(), _number_of(connection, job_id)))

    def release(self, job_id: str) -> None:
        """Remove the claims of items that were not submitted. Not while their job is running."""
        with self._transaction() as connection:
            query = "DELETE FROM claims WHERE job = ? AND status = 'claimed'"
            connection.execute(query, (_number_of(connection, job_id),))

    def claims_of_others(
        self, provider: str, host: str, job_id: str | None, keys: Sequence[str]
    ) -> list[Claim]:
        """Return the claims of other jobs for up to KEYS items; not for those that the job has."""
        with translated(self.path):
            query = "SELECT number FROM services WHERE provider = ? AND host = ?"
            service = self._connection.execute(query, (provider, host)).fetchone()
            if service is None:
                return []
            query = "SELECT number FROM jobs WHERE id = ?"
            job = self._connection.execute(query, (job_id,)).fetchone()
            rows = self._connection.execute(
                _CLAIMS.format(marks=_marks(keys)), (service[0], *keys)
            ).fetchall()
        own, others = set(), []
        for row in rows:
            if job is not None and row["number"] == job[0]:
                if row["status"] != CLAIMED:
                    own.add(row["key"])
            elif row["status"] != APPROVED:
                others.append(_claim_of(row))
        return [claim for claim in others if claim.key not in own]

    def statuses(self, job_id: str, keys: Sequence[str]) -> dict[str, str]:
        """Return the statuses of up to KEYS items of a job, by key; not of unknown ones."""
        with translated(self.path):
            rows = self._connection.execute(
                _STATUSES.format(marks=_marks(keys)), (job_id, *keys)
            ).fetchall()
        return {row["key"]: row["status"] for row in rows}

    def write_backup(self) -> None:
        """Write the backup copy, if this process has changed anything since the last one."""
        if self._changed:
            write_backup(self._connection, self._state)
            self._changed = False

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite ends some by itself
                    self._connection.execute("ROLLBACK")
                raise
            self._changed = True


def open_registry(state: Path) -> Registry:
    """Open the registry in the state folder; create it if there is none.

    Raises:
        RegistryError: it is damaged, locked by another process, or of a newer version.
    """
    return Registry(state, connect(Utf8Path(state)))


def read_registry(state: Path) -> Registry | None:
    """Open the registry for reading; None if there is none. Writes nothing.

    Raises:
        RegistryError: it is damaged, locked by another process, or of a newer version.
    """
    connection = connect_to_read(Utf8Path(state))
    return None if connection is None else Registry(state, connection)


def _number_of(connection: sqlite3.Connection, job_id: str) -> int:
    row = connection.execute("SELECT number FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise RegistryError(f"the registry does not know the job {job_id}")
    return int(row[0])


def _owners(
    connection: sqlite3.Connection, service: int, job: int, keys: Sequence[str]
) -> tuple[set[str], set[str]]:
    """Return which of `keys` this job has claimed, and which others have."""
    query = (
        "SELECT key, job FROM claims WHERE service = ? "  # noqa: S608  constants
        f"AND key IN ({_marks(keys)}) AND (job = ? OR status <> 'approved')"
    )
    rows = connection.execute(query, (service, *keys, job)).fetchall()
    own = {row["key"] for row in rows if row["job"] == job}
    return own, {row["key"] for row in rows if row["job"] != job}


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _job_of(row: sqlite3.Row) -> JobRecord:
    return JobRecord(**{name: row[name] for name in JobRecord.__dataclass_fields__})


def _claim_of(row: sqlite3.Row) -> Claim:
    return Claim(**{name: row[name] for name in Claim.__dataclass_fields__})


_JOBS = "SELECT * FROM jobs"
_RECORD_JOB = """
INSERT INTO jobs (id, name, manifest, folder, mount, machine, last_event, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, manifest = excluded.manifest,
    folder = excluded.folder, mount = excluded.mount, machine = excluded.machine,
    updated_at = excluded.updated_at
"""
_CLAIM = """
INSERT OR IGNORE INTO claims (service, key, job, status, account, updated_at)
VALUES (?, ?, ?, ?, ?, ?)
"""
_STORE = """
INSERT INTO claims (service, key, job, status, task_id, files, reused, account, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (service, key, job) DO UPDATE SET status = excluded.status, task_id = excluded.task_id,
    files = excluded.files, reused = excluded.reused,
    account = iif(excluded.account = '', account, excluded.account),
    updated_at = excluded.updated_at
"""
_UNPAID = """
UPDATE claims SET status = 'claimed', task_id = NULL
WHERE service = ? AND key = ? AND job = ? AND status NOT IN ('claimed', 'approved')
"""
_STATUSES = """
SELECT c.key, c.status FROM claims c JOIN jobs j ON j.number = c.job
WHERE j.id = ? AND c.key IN ({marks})
"""
_CLAIMS = """
SELECT c.key, c.job AS number, c.status, c.task_id, c.files, j.id AS job, j.folder, j.mount
FROM claims c JOIN jobs j ON j.number = c.job
WHERE c.service = ? AND c.key IN ({marks})
ORDER BY c.status = 'done' DESC
"""
