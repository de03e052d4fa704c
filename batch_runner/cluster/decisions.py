"""What a person decides about a job of the cluster: stop its run, end a pause, remove it."""

from __future__ import annotations

from dataclasses import dataclass

from batch_runner.cluster import jobs
from batch_runner.cluster.jobs import ClusterJob
from batch_runner.journal.postgres import shards
from batch_runner.journal.postgres.connection import PostgresConnection
from batch_runner.journal.postgres.journal import checked_name
from batch_runner.journal.postgres.reader import PostgresReader
from batch_runner.journal.postgres.shards import Stop
from batch_runner.journal.sql.spending import pending_workflows
from batch_runner.units import Price

STOPPED = "cluster_stop"
# Shards that no worker holds, and of which nothing is in flight, need no worker to be finished.
_FINISH = """
UPDATE shards SET finished_run = wanted_run, worker = NULL, allowance = 0, allowance_cost = 0,
    stop_reason = ?, stop_message = ?, exit_code = ?
WHERE finished_run < wanted_run AND (worker IS NULL OR expires_at < seconds_now())
    AND NOT EXISTS (
        SELECT 1 FROM items WHERE items.shard = shards.shard
            AND status IN ('submitting', 'submitted', 'downloading', 'download_pending')
    )
"""
_LAST_EVENT = "SELECT at FROM events ORDER BY seq DESC LIMIT 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """What may be paid for again when an older database is accepted."""

    submissions: int  # of the pending items, one each
    cost: Price | None  # None: unknown
    last_event: float | None  # time of the last event that the database has


def find(dsn: str, schema: str) -> ClusterJob | None:
    """Return the job with this schema; None: it has never been given to workers.

    Raises:
        JournalError: the database cannot be used.
    """
    with jobs.connected(dsn) as connection:
        return next((job for job in jobs.all_jobs(connection) if job.schema == schema), None)


def stop_latest_run(dsn: str, schema: str, message: str) -> int:
    """Let no shard of the latest run submit any more; return how many it has still to process.

    Raises:
        JournalError: the database cannot be used.
    """
    with PostgresConnection(dsn, schema) as connection:
        unfinished = shards.unfinished_shards(connection)
        if unfinished:
            run = connection.execute("SELECT max(run) FROM run_orders").fetchone()[0]
            stop = Stop(reason=STOPPED, message=message, exit_code=3)
            shards.stop_run(connection, run, stop)
            connection.execute(_FINISH, (stop.reason, stop.message, stop.exit_code))
    return unfinished


def risk_of(dsn: str, schema: str) -> Risk:
    """Return what may be paid for again when the job is submitted with the database as it is.

    Raises:
        JournalError: the database cannot be used.
    """
    with PostgresConnection(dsn, schema) as connection:
        by_workflow: dict[str, int] = {}
        for *_, workflow in pending_workflows(connection):
            by_workflow[workflow] = by_workflow.get(workflow, 0) + 1
        last = connection.execute(_LAST_EVENT).fetchone()
    prices = PostgresReader(dsn, schema).job().prices
    return Risk(
        submissions=sum(by_workflow.values()),
        cost=None if prices is None else prices.cost(by_workflow),
        last_event=None if last is None else float(last[0]),
    )


def remove(dsn: str, schema: str) -> None:
    """Remove a job and its journal from the database, for good.

    Raises:
        JournalError: the database cannot be used.
    """
    with jobs.connected(dsn) as connection:
        connection.execute("DELETE FROM batch_runner.jobs WHERE schema = ?", (schema,))
        connection.execute(f'DROP SCHEMA "{checked_name(schema)}" CASCADE')
