"""What `jobs` asks of the registry: the claims of one job as a whole, and their removal."""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from batch_runner.registry.base import CLAIMED
from batch_runner.registry.connection import translated


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimGroup:
    """The claims of a job for one service that have the same status, changed last on one day."""

    provider: str
    status: str
    reused: bool  # another job has paid for them
    day: str  # local date, as 2026-11-01
    count: int

    @property
    def paid(self) -> int:
        """Return how many of them must be assumed paid by this job."""
        return 0 if self.reused or self.status == CLAIMED else self.count


class JobQueries:
    """The part of `Registry` about one job as a whole."""

    _connection: sqlite3.Connection

    @property
    @abstractmethod
    def path(self) -> Path: ...

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[sqlite3.Connection]: ...

    def claim_groups(self, job_id: str) -> list[ClaimGroup]:
        """Return the claims of a job, without those that were only approved."""
        with translated(self.path):
            rows = self._connection.execute(_GROUPS, (job_id,)).fetchall()
        return [ClaimGroup(**{name: row[name] for name in _GROUP_FIELDS}) for row in rows]

    def claimed_keys(self, job_id: str, *statuses: str) -> Iterator[str]:
        """Yield the keys of a job's claims in these statuses."""
        marks = ", ".join("?" * len(statuses))
        with translated(self.path):
            rows = self._connection.execute(
                "SELECT c.key FROM claims c JOIN jobs j ON j.number = c.job "  # noqa: S608  marks
                f"WHERE j.id = ? AND c.status IN ({marks}) ORDER BY c.key",
                (job_id, *statuses),
            ).fetchall()
        return (row["key"] for row in rows)

    def forget(self, job_id: str) -> None:
        """Remove a job with all its claims: what it has paid for is not known any more."""
        with self._transaction() as connection:
            query = "DELETE FROM claims WHERE job IN (SELECT number FROM jobs WHERE id = ?)"
            connection.execute(query, (job_id,))
            connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,))


_GROUP_FIELDS = ClaimGroup.__dataclass_fields__
_GROUPS = """
SELECT s.provider, c.status, c.reused,
    date(c.updated_at, 'unixepoch', 'localtime') AS day, count(*) AS count
FROM claims c JOIN jobs j ON j.number = c.job JOIN services s ON s.number = c.service
WHERE j.id = ? AND c.status <> 'approved'
GROUP BY s.provider, c.status, c.reused, day ORDER BY day, s.provider, c.status
"""
