"""What the workers of a cluster have done for a run, beside the items."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from batch_runner.journal.sql.connection import Connection

_KEEP_FIGURES = """
INSERT INTO worker_figures (worker, run, submissions, polls, limited, retries)
VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (worker, run) DO UPDATE SET
    submissions = excluded.submissions, polls = excluded.polls, limited = excluded.limited,
    retries = excluded.retries
"""
_FIGURES = """
SELECT coalesce(sum(submissions), 0), coalesce(sum(polls), 0), coalesce(sum(limited), 0),
    coalesce(sum(retries), 0) FROM worker_figures WHERE run = ?
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What workers have done for a run."""

    submissions: int = 0
    polls: int = 0
    limited: int = 0
    retries: int = 0

    def __add__(self, other: Figures) -> Figures:
        added = zip(astuple(self), astuple(other), strict=True)
        return Figures(*(one + another for one, another in added))


def keep_figures(connection: Connection, worker: str, run: int, figures: Figures) -> None:
    """Keep what a worker has done for a run so far."""
    connection.execute(_KEEP_FIGURES, (worker, run, *astuple(figures)))


def figures_of(connection: Connection, run: int) -> Figures:
    """Return what all workers have done for a run."""
    row = connection.execute(_FIGURES, (run,)).fetchone()
    return Figures(*map(int, row))
