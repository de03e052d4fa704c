"""What a run does when the connection to its journal is lost: nothing is paid for twice or lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from batch_runner.engine.control import Control
from batch_runner.engine.recorder import Recorder
from batch_runner.engine.stats import RunStats
from batch_runner.jobdir.fallback_log import FallbackLog
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.recovery import replay_fallback_log
from batch_runner.journal import Change, EventRow, ItemRow
from batch_runner.journal.postgres import shards
from batch_runner.journal.postgres.connection import PostgresConnection
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.journal.postgres.reader import open_reader
from batch_runner.lifecycle import Event, ItemStatus
from tests.harness import an_item, some_items
from tests.harness.postgres import PostgresServer, new_schema, postgres

pytestmark = pytest.mark.anyio

KEY = an_item(0).key
STARTED = Change(key=KEY, event=Event.SUBMIT_STARTED)
CONFIRMED = Change(key=KEY, event=Event.SUBMIT_CONFIRMED, task_id="task-0")


class Host:
    """One host's part in a job of one item: a journal in the database and a folder of its own."""

    def __init__(self, server: PostgresServer, schema: str, folder: Path) -> None:
        self.server = server
        self.place = server.dsn, schema
        self.journal = PostgresJournal.create(
            *self.place, job="cards", provider="baicai", origin="http://service"
        )
        self.journal.import_items(some_items(1))
        paths = JobFolder(folder)
        paths.batch.mkdir()
        self.fallback_log = FallbackLog(paths)
        self.control = Control()
        self.recorder = Recorder(self.journal, self.fallback_log, RunStats(), self.control)

    def as_another_host(self, change: Change) -> None:
        with closing(PostgresJournal.open(*self.place)) as journal:
            journal.apply(change)

    def item(self) -> tuple[ItemRow, list[EventRow]]:
        with open_reader(*self.place) as reader:
            row = reader.item(KEY)
            assert row is not None
            return row, reader.events(KEY)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(postgres(), new_schema(), tmp_path)
    yield host
    host.journal.close()
    host.fallback_log.close()


async def test_intent_without_an_answer_is_not_submitted(host: Host) -> None:
    """Whether it was recorded or not: a run that continues holds what was."""
    host.journal.start()
    host.server.end_sessions()

    assert not await host.recorder.try_record(STARTED)
    host.as_another_host(STARTED)  # as if it had been, and its answer lost
    host.journal.stop()
    host.journal.recover()

    assert not host.control.submitting
    row, _ = host.item()
    assert (row.status, row.reason) == (ItemStatus.HELD, "interrupted")


@pytest.mark.parametrize("recorded", [False, True], ids=["not-recorded", "recorded"])
async def test_outcome_without_an_answer_is_kept_once(host: Host, *, recorded: bool) -> None:
    host.journal.start()
    await host.recorder.record(STARTED)
    host.server.end_sessions()

    assert not await host.recorder.record_outcome(CONFIRMED)
    if recorded:
        host.as_another_host(CONFIRMED)
    host.journal.stop()
    replay_fallback_log(host.fallback_log, host.journal)

    row, events = host.item()
    assert (row.status, row.task_id, row.attempt) == (ItemStatus.SUBMITTED, "task-0", 1)
    assert [event.event for event in events] == ["listed", "submit_started", "submit_confirmed"]
    assert list(host.fallback_log.entries()) == []


async def test_outcome_is_kept_after_another_host_held_its_item(host: Host) -> None:
    host.journal.start()
    await host.recorder.record(STARTED)
    with closing(PostgresJournal.open(*host.place)) as other:
        other.recover()

    await host.recorder.record_outcome(CONFIRMED)

    row, _ = host.item()
    assert (row.status, row.task_id) == (ItemStatus.SUBMITTED, "task-0")


UNSENT = {"key": KEY, "event": "submit_unsent", "reason": "local", "message": "not sent"}


def test_submission_that_was_not_sent_is_made_after_all(host: Host) -> None:
    host.journal.apply(STARTED)
    host.fallback_log.append(UNSENT)

    replay_fallback_log(host.fallback_log, host.journal)

    row, _ = host.item()
    assert (row.status, row.attempt) == (ItemStatus.PENDING, 0)
    assert list(host.fallback_log.entries()) == []


def test_item_stays_as_it_is_where_another_worker_holds_the_lease(host: Host) -> None:
    """The item may be on its way, by that worker."""
    host.journal.apply(STARTED)
    host.fallback_log.append(UNSENT)
    with PostgresConnection(*host.place) as connection:
        shards.want_shards(connection, shards.RunOrder(run=1, settings="{}"), None)
        lost = shards.take_shard(connection, "a", 1, 0.0)
        shards.take_shard(connection, "b", 1, 60.0)
    assert lost is not None

    apply_unpaid = partial(host.journal.apply_under, lost.number)
    replay_fallback_log(host.fallback_log, host.journal, apply_unpaid)

    row, _ = host.item()
    assert (row.status, row.attempt) == (ItemStatus.SUBMITTING, 1)
    assert list(host.fallback_log.entries()) == []
