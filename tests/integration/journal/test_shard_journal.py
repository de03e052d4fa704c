"""What a worker may record of a shard, while it holds the lease and after it was lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from batch_runner.errors import IllegalTransition
from batch_runner.journal import Change
from batch_runner.journal.base import LeaseLost
from batch_runner.journal.postgres import shards
from batch_runner.journal.postgres.connection import PostgresConnection
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.journal.postgres.reader import open_reader
from batch_runner.journal.postgres.shard_journal import ShardJournal, interrupted_items, read_start
from batch_runner.lifecycle import Event, ItemStatus
from tests.harness import an_item, some_items
from tests.harness.postgres import PostgresServer, create_journal

pytestmark = pytest.mark.anyio

FIRST, SECOND = an_item(0).key, an_item(500).key  # in the shards 0 and 1


class Workers:
    """The workers of a job of two shards, which share a connection here."""

    def __init__(self, server: PostgresServer, schema: str) -> None:
        self.place = server.dsn, schema
        with closing(create_journal(server, schema)) as journal:
            journal.import_items(some_items(600))
        self.journal = PostgresJournal.open(*self.place)
        self.database = PostgresConnection(*self.place)
        shards.want_shards(self.database, shards.RunOrder(run=1, settings="{}"), None)
        self.journal.start()

    def take(self, name: str, span: float = 60.0) -> ShardJournal:
        """Take a shard; the lease of a `span` of 0 can be taken by the next."""
        lease = shards.take_shard(self.database, name, 1, span)
        assert lease is not None
        return ShardJournal(self.journal, lease, read_start(self.database, lease.shard))

    def status(self, key: str) -> tuple[ItemStatus, str | None]:
        with open_reader(*self.place) as reader:
            row = reader.item(key)
            assert row is not None
            return row.status, row.task_id


@pytest.fixture
async def workers(server: PostgresServer, schema: str) -> AsyncIterator[Workers]:
    workers = Workers(server, schema)
    yield workers
    workers.database.close()
    workers.journal.close()


def change(event: Event, key: str = FIRST) -> Change:
    task_id = "task-1" if event in (Event.SUBMIT_CONFIRMED, Event.ATTACHED) else None
    return Change(key=key, event=event, task_id=task_id, reason="reason", message="message")


async def test_only_the_items_of_its_shard_are_seen(workers: Workers) -> None:
    first, second = workers.take("a"), workers.take("b")
    for shard, key in ((first, FIRST), (second, SECOND)):
        await shard.record(change(Event.SUBMIT_STARTED, key))

    assert [len(await shard.pending_items(-1, 1000)) for shard in (first, second)] == [499, 99]
    assert interrupted_items(workers.database, 1) == [(SECOND, Event.SUBMIT_INTERRUPTED)]
    assert read_start(workers.database, 1).counts[ItemStatus.SUBMITTING] == 1
    assert len(list(second.listed())) == 100

    await second.record(
        Change(key=SECOND, event=Event.SUBMIT_CONFIRMED, task_id="task-2"),
    )
    assert await first.in_flight("", 1000) == []
    assert [task.key for task in await second.in_flight("", 1000)] == [SECOND]


async def test_nothing_is_submitted_under_a_lost_lease(workers: Workers) -> None:
    lost, holder = workers.take("a", span=0.0), workers.take("b")

    with pytest.raises(LeaseLost):
        await lost.record(change(Event.SUBMIT_STARTED))

    assert workers.status(FIRST) == (ItemStatus.PENDING, None)
    await holder.record(change(Event.SUBMIT_STARTED))
    assert workers.status(FIRST) == (ItemStatus.SUBMITTING, None)


@pytest.mark.parametrize("event", [Event.SUBMIT_UNSENT, Event.SUBMIT_REJECTED])
async def test_what_was_not_accepted_is_not_recorded_under_a_lost_lease(
    workers: Workers, event: Event
) -> None:
    """The item may be on its way again."""
    lost = workers.take("a", span=0.0)
    await lost.record(change(Event.SUBMIT_STARTED))
    workers.take("b")

    with pytest.raises(LeaseLost):
        await lost.record(change(event))

    assert workers.status(FIRST) == (ItemStatus.SUBMITTING, None)


async def test_task_id_of_an_item_that_another_worker_holds_is_no_matter_of_leases(
    workers: Workers,
) -> None:
    """So it is attached, not dropped."""
    lost = workers.take("a", span=0.0)
    await lost.record(change(Event.SUBMIT_STARTED))
    await workers.take("b").record(change(Event.SUBMIT_INTERRUPTED))

    with pytest.raises(IllegalTransition):
        await lost.record(change(Event.SUBMIT_CONFIRMED))


@pytest.mark.parametrize("held", [False, True], ids=["untouched", "held"])
async def test_task_id_is_taken_after_the_lease_was_lost(workers: Workers, *, held: bool) -> None:
    lost = workers.take("a", span=0.0)
    await lost.record(change(Event.SUBMIT_STARTED))
    holder = workers.take("b")
    if held:
        await holder.record(change(Event.SUBMIT_INTERRUPTED))

    await lost.record(change(Event.ATTACHED if held else Event.SUBMIT_CONFIRMED))

    assert workers.status(FIRST) == (ItemStatus.SUBMITTED, "task-1")
