"""What is going on in a cluster: its database, its jobs, and the workers of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from batch_runner.cluster import jobs
from batch_runner.cluster.jobs import ClusterJob
from batch_runner.cluster.schema import Database, examine_database
from batch_runner.errors import JournalError
from batch_runner.journal.postgres.connection import PostgresConnection
from batch_runner.journal.sql.rows import count_by_status
from batch_runner.lifecycle import ItemStatus
from batch_runner.units import parse_rate

#: Seconds over which the rate of submissions is taken, and events in which they are looked for.
RECENT, _SEARCHED = 60.0, 50_000

_SHARDS = "SELECT count(*), count(*) FILTER (WHERE finished_run < wanted_run) FROM shards"
_SPENT = "SELECT coalesce(sum(attempt), 0) FROM items"
_ORDER = "SELECT settings, stop_message FROM run_orders ORDER BY run DESC LIMIT 1"
# Submissions in the last seconds, but not in more than have passed since the run began.
_RATE = """
SELECT count(*) / greatest(1.0, least(?, seconds_now() - (SELECT max(started_at) FROM runs)))
FROM (SELECT event, at FROM events ORDER BY seq DESC LIMIT ?) AS latest
WHERE event = 'submit_started' AND at > seconds_now() - ?
"""
_WORKERS = """
SELECT host, pid, started_at, seconds_now() - seen_at AS unseen, expires_at < seconds_now() AS gone,
    slots, in_use, (SELECT count(*) FROM shards WHERE shards.worker = workers.worker) AS shards
FROM workers ORDER BY host, pid
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """A worker of a job."""

    host: str
    pid: int
    started_at: float  # when it began with this job
    unseen: float  # seconds since it was last seen
    gone: bool  # it was not seen for so long that others take its shards
    slots: int  # tasks that it may have in flight
    in_use: int  # tasks that it has in flight
    shards: int  # that it holds


@dataclass(slots=True, kw_only=True)
class JobState:
    """A job of the cluster, and how far it is."""

    job: ClusterJob
    problem: str = ""  # why the rest is not known; "" if it is
    counts: Mapping[ItemStatus, int] = field(default_factory=dict)
    submissions: int = 0  # that must be assumed paid
    shards: int = 0
    unfinished: int = 0  # shards that the latest run has still to process
    rate: float = 0.0  # submissions per second, recently
    limit: str | None = None  # of the rate
    stopped: str | None = None  # why the latest run submits nothing more; None: it may
    workers: list[WorkerState] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A cluster at one moment."""

    database: Database
    jobs: list[JobState]


def look(dsn: str) -> Overview:
    """Return what is going on in the cluster; writes nothing.

    Raises:
        UsageError: the database cannot be used, or is not set up.
    """
    database = examine_database(dsn)
    with jobs.connected(dsn) as connection:
        found = jobs.all_jobs(connection)
    return Overview(database=database, jobs=[state_of(dsn, job) for job in found])


def state_of(dsn: str, job: ClusterJob) -> JobState:
    """Return how far a job is; one that may not be read has a `problem`."""
    state = JobState(job=job)
    try:
        with PostgresConnection(dsn, job.schema) as connection:
            _read(state, connection)
    except JournalError as error:
        state.problem = str(error)
    return state


def _read(state: JobState, connection: PostgresConnection) -> None:
    state.counts = count_by_status(connection)
    state.submissions = int(connection.execute(_SPENT).fetchone()[0])
    state.shards, state.unfinished = connection.execute(_SHARDS).fetchone()
    if (order := connection.execute(_ORDER).fetchone()) is not None:
        settings = json.loads(order["settings"])["settings"]
        state.limit = str(parse_rate(settings["limits"]["rate"]))
        state.stopped = order["stop_message"] if state.unfinished else None
    if state.unfinished:
        values = (RECENT, _SEARCHED, RECENT)
        state.rate = float(connection.execute(_RATE, values).fetchone()[0])
    rows = connection.execute(_WORKERS).fetchall()
    state.workers = [WorkerState(**dict(row)) for row in rows]
