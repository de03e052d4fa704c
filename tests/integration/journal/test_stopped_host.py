"""A host that is stopped at any moment keeps no lock in the database."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

import tests
from batch_runner.journal.postgres.journal import PostgresJournal
from tests.harness import some_items
from tests.harness.postgres import new_schema, postgres

pytestmark = pytest.mark.slow

#: Seconds after which something hangs, however slow the machine.
HANGS = 250.0
ITEMS = 40
STOPS = 25
#: What a run records, one batch after the other, until it is killed.
RUN = """
import asyncio, itertools, sys
from batch_runner.journal import Change
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.lifecycle import Event
from tests.harness import an_item

LIFE = (Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED, Event.TASK_FAILED, Event.RETRIED)

async def work():
    journal = PostgresJournal.open(*sys.argv[1:3])
    journal.start()
    for attempt in itertools.count():
        for event in LIFE:
            await record(journal, attempt, event)

async def record(journal, attempt, event):
    changes = [
        Change(
            key=an_item(number).key,
            event=event,
            task_id=f"{attempt}-{number}" if event is Event.SUBMIT_CONFIRMED else None,
        )
        for number in range(int(sys.argv[3]))
    ]
    await asyncio.gather(*map(journal.record, changes), journal.remember_upload("a", "b"))
    print(event, flush=True)

asyncio.run(work())
"""
#: What is recorded at the begin and the end of runs, and by commands while workers go on.
BETWEEN_RUNS = """
import itertools, sys
from batch_runner.journal import Change
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.lifecycle import Event
from tests.harness import an_item

FIGURES = dict.fromkeys(("submissions", "polls", "limited", "retries"), 0) | {"samples": []}
journal = PostgresJournal.open(*sys.argv[1:3])
for number in itertools.count():
    print(number, flush=True)
    run = journal.begin_run(pid=1, host="h")
    key = an_item(number % int(sys.argv[3])).key
    for event in (Event.SUBMIT_STARTED, Event.SUBMIT_UNANSWERED, Event.RESUBMITTED):
        journal.apply(Change(key=key, event=event))
    journal.keep_learned({"a": "{}", "b": "{}"})
    journal.end_run(run, FIGURES, exit_code=0, message="")
"""


@contextmanager
def working_host(work: str, dsn: str, schema: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", work, dsn, schema, str(ITEMS)],
        cwd=Path(tests.__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


#: Of the host's session, when it waits for the host: for a statement, or for the rest of one that
#: the host had begun to send. Every session has the lock on its own virtual transaction.
SESSION = """
    SELECT state = 'idle in transaction', (
        SELECT count(*) FROM pg_locks WHERE pg_locks.pid = session.pid AND locktype <> 'virtualxid'
    )
    FROM pg_stat_activity AS session
    WHERE application_name = 'batch-runner' AND wait_event = 'ClientRead'
"""


def state_of_session(watcher: psycopg.Connection[tuple[bool, int]]) -> tuple[bool, int]:
    """Return whether the host's session is in a transaction, and how many locks it holds."""
    until = time.monotonic() + HANGS
    while time.monotonic() < until:
        if row := watcher.execute(SESSION).fetchone():
            return row
    raise AssertionError("the session does not wait for the host")


@pytest.mark.parametrize("work", [RUN, BETWEEN_RUNS], ids=["run", "between_runs"])
def test_stopped_host_is_in_no_transaction(work: str) -> None:
    server, schema, dice = postgres(), new_schema(), random.Random(1)
    created = PostgresJournal.create(server.dsn, schema, job="j", provider="p", origin="o")
    with closing(created) as journal:
        journal.import_items(some_items(ITEMS))
    states = []

    with (
        psycopg.connect(server.dsn, autocommit=True) as watcher,
        working_host(work, server.dsn, schema) as host,
    ):
        assert host.stdout is not None
        for _ in range(STOPS):
            assert host.stdout.readline()
            time.sleep(dice.uniform(0, 0.01))
            host.send_signal(signal.SIGSTOP)
            states.append(state_of_session(watcher))
            host.send_signal(signal.SIGCONT)

    assert states == [(False, 0)] * STOPS
