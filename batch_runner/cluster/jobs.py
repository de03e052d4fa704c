"""The jobs of a cluster: one row each in the schema `batch_runner`, and the journal of each."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from batch_runner.jobdir.identity import JobIdentity, service_host
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal.postgres import shards
from batch_runner.journal.postgres.connection import PostgresConnection
from batch_runner.journal.postgres.journal import SCHEMA_VERSION, SHARD_SIZE, PostgresJournal
from batch_runner.journal.postgres.shards import Stop
from batch_runner.providers import PROVIDERS
from batch_runner.ratelimit.lease import rate_name
from batch_runner.settings import Service
from batch_runner.util.fs import replace_file, sync_folder
from batch_runner.util.paths import utf8_text

#: Most items of a shard that a server of the user's own executes, one after the other.
OWN_SERVER_SHARD = 10
_COLUMNS = "schema, id, name, folder, origin, provider, account, active, paused, approvals"
_ADD = """
INSERT INTO batch_runner.jobs
    (schema, id, name, folder, origin, provider, account, created_at, version, active)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, false) ON CONFLICT (schema) DO NOTHING
"""
_ACTIVATE = """
UPDATE batch_runner.jobs SET active = true, folder = ?, origin = ?, account = ? WHERE schema = ?
"""
#: Reason of a stop: an older state of the database was restored.
RESTORED = "restored"
#: The latest run of a job with a shard that a worker can take, or had before; %s: the schema.
_TAKEABLE = """
SELECT max(wanted_run) FROM "%s".shards WHERE finished_run < wanted_run
    AND (worker IS NULL OR worker = ? OR expires_at < extract(epoch FROM clock_timestamp()))
"""
_ACTIVATE_AGAIN = """
UPDATE batch_runner.jobs SET active = true WHERE schema = ? AND NOT active
    AND EXISTS (SELECT 1 FROM "%s".shards WHERE finished_run < wanted_run)
"""
_DEACTIVATE = """
UPDATE batch_runner.jobs SET active = false WHERE schema = ?
    AND NOT EXISTS (SELECT 1 FROM "%s".shards WHERE finished_run < wanted_run)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterJob:
    """A job of the cluster."""

    schema: str
    id: str
    name: str
    folder: str
    origin: str
    provider: str
    account: str
    active: bool  # workers have something to do
    paused: str | None  # why nothing is submitted until a person approves; None: it is
    approvals: int  # how often a person has


def account_of(service: Service) -> str:
    """Return the name of the account that a service and its key use, which reveals neither.

    The user's own servers are one account, whichever of them a host has.
    """
    if PROVIDERS[service.provider].own_server:
        return service.provider
    return rate_name(service_host(service.base_url), service.key.get_secret_value())


def journal_creator(
    dsn: str,
) -> Callable[[JobFolder, JobIdentity, Callable[[], float]], PostgresJournal]:
    """Return a function that makes the journal of a new job in the database."""

    def create(
        folder: JobFolder, identity: JobIdentity, wall_clock: Callable[[], float] = time.time
    ) -> PostgresJournal:
        schema = f"job_{uuid.uuid4().hex}"
        own_server = PROVIDERS[identity.provider].own_server
        journal = PostgresJournal.create(
            dsn,
            schema,
            job=identity.job,
            provider=identity.provider,
            origin=identity.origin,
            folder=utf8_text(folder.root),
            shard_size=OWN_SERVER_SHARD if own_server else SHARD_SIZE,
            wall_clock=wall_clock,
        )
        with replace_file(folder.cluster, mode=0o600) as file:
            file.write(json.dumps({"schema": schema}).encode() + b"\n")
        sync_folder(folder.cluster.parent)
        return journal

    return create


@contextmanager
def connected(dsn: str) -> Iterator[PostgresConnection]:
    """Yield a connection to the tables that all jobs share."""
    with closing(PostgresConnection(dsn, "batch_runner")) as connection:
        yield connection


def activate(
    connection: PostgresConnection, schema: str, job: dict[str, object], account: str
) -> None:
    """Let workers process a job; `job` is the row of its journal."""
    folder, origin = str(job["folder"]), str(job["origin"])
    values = (schema, job["id"], job["name"], folder, origin, job["provider"], account)
    connection.execute(_ADD, (*values, time.time(), SCHEMA_VERSION))
    connection.execute(_ACTIVATE, (folder, origin, account, schema))


def deactivate_if_done(connection: PostgresConnection, schema: str) -> None:
    """Record that workers have nothing more to do for a job, unless they have."""
    connection.execute(_DEACTIVATE % schema, (schema,))


def all_jobs(connection: PostgresConnection) -> list[ClusterJob]:
    """Return every job of the cluster, the newest last."""
    query = f"SELECT {_COLUMNS} FROM batch_runner.jobs ORDER BY created_at"  # noqa: S608
    return [ClusterJob(**dict(row)) for row in connection.execute(query)]


def open_jobs(connection: PostgresConnection, schemas: list[str]) -> list[ClusterJob]:
    """Return the active jobs and those with these schemas, oldest first, without paused ones."""
    query = (
        f"SELECT {_COLUMNS} FROM batch_runner.jobs "  # noqa: S608
        "WHERE (active OR schema = ANY(?)) AND paused IS NULL ORDER BY created_at"
    )
    return [ClusterJob(**dict(row)) for row in connection.execute(query, (schemas,))]


def takeable_run(connection: PostgresConnection, schema: str, worker: str) -> int | None:
    """Return the latest run of a job with a shard that a worker can take; None: there is none."""
    row = connection.execute(_TAKEABLE % schema, (worker,)).fetchone()
    return None if row[0] is None else int(row[0])


def activate_if_unfinished(connection: PostgresConnection, schema: str) -> None:
    """Let workers process what became known after the job was done."""
    connection.execute(_ACTIVATE_AGAIN % schema, (schema,))


def pause(connection: PostgresConnection, schema: str, why: str) -> None:
    """Let nothing of a job be submitted until a person approves."""
    query = "UPDATE batch_runner.jobs SET paused = ? WHERE schema = ? AND paused IS NULL"
    connection.execute(query, (why, schema))


def pause_restored(dsn: str, schema: str, why: str) -> None:
    """Pause a job and end its run, because an older state of the database was restored."""
    with connected(dsn) as connection:
        pause(connection, schema, why)
    with PostgresConnection(dsn, schema) as connection:
        shards.stop_run(connection, None, Stop(reason=RESTORED, message=why, exit_code=3))


def approve(connection: PostgresConnection, schema: str) -> None:
    """Let a job be submitted again, with the database as it is."""
    query = "UPDATE batch_runner.jobs SET paused = NULL, approvals = approvals + 1 WHERE schema = ?"
    connection.execute(query, (schema,))
