"""Which worker may take which shard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from functools import partial

import pytest

from batch_runner.journal.postgres import shards
from batch_runner.journal.postgres.connection import PostgresConnection
from batch_runner.journal.postgres.shard_journal import read_start
from batch_runner.journal.postgres.shards import Lease
from tests.harness import some_items
from tests.harness.postgres import PostgresServer, create_journal


@pytest.fixture
def database(server: PostgresServer, schema: str) -> Iterator[PostgresConnection]:
    """Return a connection to a job with two shards that a run wants processed."""
    with closing(create_journal(server, schema)) as journal:
        journal.import_items(some_items(600))
    with PostgresConnection(server.dsn, schema) as connection:
        shards.want_shards(connection, shards.RunOrder(run=1, settings="{}"), None)
        yield connection


def test_worker_with_much_to_do_takes_only_what_another_has_left(
    database: PostgresConnection,
) -> None:
    take = partial(shards.take_shard, database, run=1, span=60.0)
    assert take("a") == Lease(0, 1, 1)
    assert take("b", only_left=True) is None

    shards.give_back(database, "a")

    assert take("b", only_left=True) == Lease(0, 2, 1)
    assert take("a") == Lease(1, 1, 1)


def test_shard_of_a_killed_worker_comes_first(database: PostgresConnection) -> None:
    take = partial(shards.take_shard, database, run=1)
    take("a", span=60.0)
    take("b", span=0.0)
    shards.give_back(database, "a")

    taken = [take(name, span=60.0, only_left=True) for name in ("c", "d", "e")]

    assert taken == [Lease(0, 2, 1), Lease(1, 2, 1), None]


def test_worker_takes_again_what_it_holds_but_does_not_process(
    database: PostgresConnection,
) -> None:
    take = partial(shards.take_shard, database, "a", run=1, span=60.0)
    take()

    assert take(own=(0,), only_left=True) is None
    assert take(own=(), only_left=True) == Lease(0, 2, 1)


def renew(database: PostgresConnection, name: str, span: float = 60.0, **slots: int) -> int:
    numbers = {"size": 0, "in_use": 0, "wanted": 0, "most": 10, **slots}
    return shards.renew_leases(database, name, span, host="host", pid=1, **numbers)


def test_lease_that_is_renewed_is_not_taken(database: PostgresConnection) -> None:
    take = partial(shards.take_shard, database, run=1)
    take("a", span=0.0)
    renew(database, "a")

    assert take("b", span=60.0) == Lease(1, 1, 1)
    assert shards.held_leases(database, "a") == {0: 1}


def test_lease_that_expired_is_taken_with_a_higher_number(database: PostgresConnection) -> None:
    take = partial(shards.take_shard, database, run=1)
    lost = take("a", span=0.0)
    assert lost == Lease(0, 1, 1)

    assert take("b", span=60.0) == Lease(0, 2, 1)

    renew(database, "a")
    assert shards.held_leases(database, "a") == {}
    assert shards.finish_shard(database, lost, Decimal(0), None)
    assert shards.unfinished_shards(database) == 2


def test_finished_shard_is_not_taken_again(database: PostgresConnection) -> None:
    take = partial(shards.take_shard, database, "a", run=1, span=60.0)
    for lease in (take(), take(own=(0,))):
        assert lease is not None
        assert shards.finish_shard(database, lease, Decimal(0), None)

    assert take() is None
    assert shards.unfinished_shards(database) == 0


def test_shard_is_processed_again_after_late_outcomes(database: PostgresConnection) -> None:
    """A worker whose lease was lost has recorded outcomes: before or after the end of another."""
    take = partial(shards.take_shard, database, run=1)
    lost, holder = take("a", span=0.0), take("b", span=60.0)
    assert lost is not None
    assert holder is not None

    shards.leave_shard(database, 0, lost.number)
    assert not shards.finish_shard(database, holder, Decimal(0), None, late=0)
    assert shards.held_leases(database, "b") == {0: 2}
    assert shards.finish_shard(database, holder, Decimal(0), None, late=1)

    shards.leave_shard(database, 0, lost.number)
    assert take("c", span=60.0) == Lease(0, 3, 1)


def test_shard_that_was_given_up_says_so_until_the_next_run(database: PostgresConnection) -> None:
    lease = shards.take_shard(database, "a", 1, 60.0)
    assert lease is not None
    assert not read_start(database, 0).given_up

    shards.leave_shard(database, 0, lease.number, "outage")
    assert read_start(database, 0).given_up
    assert shards.stops(database, 1) == []

    shards.want_shards(database, shards.RunOrder(run=2, settings="{}"), None)
    assert not read_start(database, 0).given_up


def test_reason_of_a_stop_is_that_of_the_run(database: PostgresConnection) -> None:
    lease = shards.take_shard(database, "a", 1, 60.0)
    assert lease is not None
    no_disk = shards.Stop(reason="disk", message="the disk is full", exit_code=3)

    shards.finish_shard(database, lease, Decimal(0), no_disk)
    assert shards.stops(database, 1) == [no_disk]

    stopped = shards.Stop(reason="user", message="stopped", exit_code=3)
    shards.stop_run(database, None, stopped)
    shards.stop_run(database, 1, no_disk)
    assert shards.latest_stop(database) == stopped


@pytest.mark.parametrize(("most", "granted"), [(None, [400, 300]), (500, [400, 100])])
def test_caps_are_used_to_the_last_submission(
    database: PostgresConnection, most: int | None, granted: list[int]
) -> None:
    leases = [shards.take_shard(database, name, 1, 60.0) for name in ("a", "b")]

    assert [reserve(database, leases[0], 400, most), reserve(database, leases[1], 300, most)] == [
        (granted[0], Decimal(4 * granted[0])),
        (granted[1], Decimal(4 * granted[1])),
    ]
    assert shards.others_hold_allowances(database, 0)


def test_cap_on_the_cost_is_shared(database: PostgresConnection) -> None:
    leases = [shards.take_shard(database, name, 1, 60.0) for name in ("a", "b")]

    costs = [reserve(database, lease, 100, None, cost=Decimal(600))[1] for lease in leases]

    assert costs == [400, 200]


def test_allowance_that_is_not_used_is_given_back(database: PostgresConnection) -> None:
    first, second = (shards.take_shard(database, name, 1, 60.0) for name in ("a", "b"))
    assert reserve(database, first, 500, 500)[0] == 500
    assert reserve(database, second, 100, 500)[0] == 0

    assert first is not None
    shards.finish_shard(database, first, Decimal(0), None)

    assert not shards.others_hold_allowances(database, 1)
    assert reserve(database, second, 100, 500)[0] == 100


def test_nothing_is_reserved_under_a_lost_lease(database: PostgresConnection) -> None:
    lost = shards.take_shard(database, "a", 1, 0.0)
    holder = shards.take_shard(database, "b", 1, 60.0)

    assert reserve(database, lost, 10, 500)[0] == 0
    assert reserve(database, holder, 10, 500)[0] == 10


def reserve(
    database: PostgresConnection,
    lease: Lease | None,
    wanted: int,
    most: int | None,
    cost: Decimal | None = None,
) -> tuple[int, Decimal]:
    assert lease is not None
    granted, granted_cost = shards.reserve(
        database,
        lease,
        paid_cost=Decimal(0),
        wanted=wanted,
        wanted_cost=Decimal(4 * wanted),
        most=most,
        most_cost=cost,
    )
    return granted, min(granted_cost, Decimal(4 * granted))


def test_workers_have_no_more_tasks_in_flight_than_allowed(database: PostgresConnection) -> None:
    assert renew(database, "a", wanted=8) == 8
    assert renew(database, "b", wanted=8) == 2
    assert renew(database, "a", size=5, in_use=5, wanted=8) == 5  # its fair part
    assert renew(database, "b", wanted=8) == 5


def test_slots_of_a_worker_that_is_gone_are_given_to_others(database: PostgresConnection) -> None:
    renew(database, "a", span=0.0, wanted=8)

    assert renew(database, "b", wanted=8) == 8
