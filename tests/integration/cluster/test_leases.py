"""When a worker may submit: while its lease is confirmed, and still has its number."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from batch_runner.cluster.leases import Leases
from batch_runner.engine.slots import Slots
from batch_runner.journal.postgres import shards
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.journal.postgres.shards import Lease, RunOrder
from tests.harness import some_items, stop_clock_while_busy
from tests.harness.postgres import create_journal, new_schema, postgres

pytestmark = pytest.mark.anyio

ORDER = RunOrder(run=1, settings="{}")


class HandClock:
    """A clock that the test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def journal() -> AsyncIterator[PostgresJournal]:
    """Return the journal of a job with one shard that a run wants processed."""
    with closing(create_journal(postgres(), new_schema())) as made:
        made.import_items(some_items(3))
        stop_clock_while_busy(made)
        made.start()
        await made.call(lambda connection: shards.want_shards(connection, ORDER, None))
        yield made


async def take(journal: PostgresJournal, leases: Leases) -> Lease:
    """Take the only shard."""
    found = await journal.call(
        lambda connection: shards.take_shard(connection, leases.worker, 1, leases.span)
    )
    assert found is not None
    return found


def some_leases(journal: PostgresJournal, worker: str, clock: HandClock) -> Leases:
    return Leases(
        journal=journal,
        worker=worker,
        slots=Slots(0),
        order=ORDER,
        most_in_flight=10,
        capacity=10,
        per_second=1.0,
        span=20.0,
        clock=clock,
    )


async def test_worker_believes_in_its_lease_for_half_of_the_time(journal: PostgresJournal) -> None:
    clock = HandClock()
    leases = some_leases(journal, "a", clock)
    lease = await take(journal, leases)
    before = leases.allows(lease)
    await leases.renew()

    clock.now += 9.9
    during = leases.allows(lease)
    clock.now += 0.2
    after = leases.allows(lease)

    assert (before, during, after) == (False, True, False)


async def test_worker_may_not_submit_what_another_has_taken(journal: PostgresJournal) -> None:
    leases, other = (some_leases(journal, name, HandClock()) for name in ("a", "b"))
    lease = await take(journal, leases)
    await leases.renew()
    await journal.call(lambda connection: shards.give_back(connection, "a"))

    newer = await take(journal, other)
    await leases.renew()
    await other.renew()

    assert not leases.allows(lease)
    assert not other.allows(lease)
    assert other.allows(newer)
