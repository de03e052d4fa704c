"""A run whose journal is in PostgreSQL: the engine is the same."""

from __future__ import annotations

import functools
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from batch_runner.engine.build import build_run
from batch_runner.engine.run import execute
from batch_runner.jobdir.open import open_job
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.journal.postgres.reader import open_reader
from batch_runner.journal.sql.group_commit import GroupCommit
from batch_runner.lifecycle import ItemStatus
from batch_runner.providers import open_provider
from batch_runner.simulator import Simulator
from tests.harness import (
    IDENTITY,
    service_at,
    simulated_service,
    some_items,
    some_settings,
    stop_clock_while_busy,
    submissions_per_prompt,
)
from tests.harness.postgres import new_schema, postgres

pytestmark = pytest.mark.anyio


def count_pictures(folder: Path) -> int:
    return len(list(folder.glob("*.png")))


async def run_once(root: Path, journal: PostgresJournal, simulator: Simulator) -> None:
    """Run the job of `journal` once, with its files in `root`."""
    settings = some_settings()
    stop_clock_while_busy(journal)
    async with open_provider(service_at(simulator), settings) as provider:
        with open_job(root, IDENTITY) as job:
            run = build_run(replace(job, journal=journal), settings, provider, seed=1)
            start = functools.partial(journal.start, functools.partial(GroupCommit, pause=0.0))
            await execute(run, start_journal=start)


async def test_runs_store_files_and_hold_unanswered_submissions(tmp_path: Path) -> None:
    place = postgres().dsn, new_schema()
    with closing(PostgresJournal.create(*place, job="j", provider="baicai", origin="o")) as journal:
        journal.import_items(some_items(40))

    async with simulated_service("lose_answer:submit:times=2") as simulator:
        for _ in range(2):
            with closing(PostgresJournal.open(*place)) as journal:
                journal.recover()
                await run_once(tmp_path, journal, simulator)

        with open_reader(*place) as reader:
            found = Counter(row.status for row in reader.items())
        assert found == {ItemStatus.DONE: 38, ItemStatus.HELD: 2}
        assert set(submissions_per_prompt(simulator).values()) == {1}
        assert count_pictures(tmp_path) == 38
