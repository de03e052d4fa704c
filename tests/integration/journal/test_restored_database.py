"""A database of which an older state was restored: a run that goes on would pay again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing

import psycopg
import pytest

from batch_runner.errors import JobLocked, JournalError
from batch_runner.journal import Change
from batch_runner.journal.base import ConnectionLost, DatabaseRestored
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.lifecycle import Event
from tests.harness import an_item, some_items
from tests.harness.postgres import PostgresServer, create_journal

pytestmark = pytest.mark.anyio

STARTED = [Change(key=an_item(number).key, event=Event.SUBMIT_STARTED) for number in range(4)]
#: What another worker, which has not noticed, writes into the older state.
WRITE_ON = (
    "INSERT INTO events (seq, at, key, event, attempt) OVERRIDING SYSTEM VALUE "
    "SELECT seq + number, at + number, key, event, attempt "
    "FROM events, generate_series(1, 5) AS number WHERE seq = (SELECT max(seq) FROM events)"
)


class Job:
    """A job of a few items whose journal is open."""

    def __init__(self, server: PostgresServer, schema: str) -> None:
        self.server, self.schema = server, schema
        self.journal = create_journal(server, schema)
        self.journal.import_items(some_items(len(STARTED)))
        self.journal.start()

    async def lose_connection(self) -> None:
        self.server.end_sessions()
        with pytest.raises(ConnectionLost):
            await self.journal.latest_time()

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.server.dsn, options=f"-c search_path={self.schema}") as one:
            one.execute(statement.encode())

    def restore(self) -> None:
        """Take back the submission that was started last."""
        self.execute(
            "WITH last AS (DELETE FROM events WHERE seq = (SELECT max(seq) FROM events) "
            "RETURNING key) UPDATE items SET status = 'pending' FROM last "
            "WHERE last.key = items.key"
        )


@pytest.fixture
async def job(server: PostgresServer, schema: str) -> AsyncIterator[Job]:
    job = Job(server, schema)
    yield job
    job.journal.close()


async def test_connection_to_the_same_database_is_used_again(job: Job) -> None:
    await job.journal.record(STARTED[0])
    await job.lose_connection()

    await job.journal.record(STARTED[1])


@pytest.mark.parametrize("written_on", [False, True], ids=["older", "written-on"])
async def test_nothing_is_recorded_in_an_older_state(job: Job, *, written_on: bool) -> None:
    for change in STARTED[:2]:
        await job.journal.record(change)
    await job.lose_connection()
    job.restore()
    if written_on:
        job.execute(WRITE_ON)

    for _ in range(2):
        with pytest.raises(DatabaseRestored, match="an older state of the database was restored"):
            await job.journal.record(STARTED[1])

    with closing(PostgresJournal.open(job.server.dsn, job.schema)) as journal:
        assert journal.status_of(STARTED[1].key) == "pending"


async def test_job_stays_locked_after_the_connection_was_lost(job: Job) -> None:
    job.journal.stop()
    job.journal.lock()
    job.journal.start()
    await job.lose_connection()
    await job.journal.record(STARTED[0])

    with (
        closing(PostgresJournal.open(job.server.dsn, job.schema)) as other,
        pytest.raises(JobLocked),
    ):
        other.lock()


async def test_run_ends_if_another_host_has_taken_the_job_meanwhile(job: Job) -> None:
    job.journal.stop()
    job.journal.lock()
    job.journal.start()
    await job.lose_connection()
    with closing(PostgresJournal.open(job.server.dsn, job.schema)) as other:
        other.lock()

        with pytest.raises(JournalError, match="another host"):
            await job.journal.record(STARTED[0])
