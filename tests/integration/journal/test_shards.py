"""Which worker may take which shard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest

from batch_runner.journal.postgres import shards
from batch_runner.journal.postgres.connection import PostgresConnection
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
