"""What `run --cluster` gives to the workers."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from batch_runner.cluster.following import Following
from batch_runner.cluster.schema import init_cluster
from batch_runner.engine.build import build_run
from batch_runner.jobdir.open import open_job
from batch_runner.journal.postgres import shards
from batch_runner.journal.postgres.connection import PostgresConnection
from batch_runner.providers import open_provider
from tests.harness import IDENTITY, service_at, simulated_service, some_items, some_settings
from tests.harness.commands import PATIENCE
from tests.harness.postgres import create_journal, new_schema, postgres

pytestmark = pytest.mark.anyio


async def test_nothing_is_given_when_the_registry_fails(tmp_path: Path) -> None:
    server, schema, settings = postgres(), new_schema(), some_settings()
    init_cluster(server.dsn)
    with (
        closing(create_journal(server, schema)) as journal,
        open_job(tmp_path / "out", IDENTITY, state=tmp_path / "state") as job,
    ):
        journal.import_items(some_items(3))
        following = Following(
            dsn=server.dsn,
            schema=schema,
            journal=journal,
            account="an account",
            order="{}",
            description=None,
            seconds_left=None,
        )
        async with (
            simulated_service() as simulator,
            open_provider(service_at(simulator), settings) as provider,
            anyio.create_task_group() as tasks,
        ):
            run = build_run(replace(job, journal=journal), settings, provider)
            journal.start()
            with closing(sqlite3.connect(tmp_path / "state/registry.sqlite")) as registry:
                registry.execute(
                    "CREATE TRIGGER full BEFORE INSERT ON claims "
                    "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
                )
            tasks.start_soon(following, run, 1)
            with PostgresConnection(server.dsn, schema) as database, anyio.fail_after(PATIENCE):
                while not database.execute("SELECT 1 FROM run_orders").fetchone():  # noqa: ASYNC110
                    await anyio.sleep(0.01)
                order = shards.order_of(database, 1)
            tasks.cancel_scope.cancel()

    assert order.selected == ()
    assert run.state.control.stop is not None
    assert run.state.control.stop.reason == "registry"
