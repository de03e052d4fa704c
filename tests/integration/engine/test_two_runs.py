"""Two runs at work on one journal, where a lock does not keep them apart."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import anyio
import pytest

from batch_runner.engine.context import Run
from batch_runner.engine.summary import ExitCode
from batch_runner.jobdir.fallback_log import FallbackLog
from batch_runner.jobdir.open import open_job
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import Change
from batch_runner.lifecycle import Event, ItemStatus
from tests.harness import (
    IDENTITY,
    check_invariants,
    rows,
    run_job,
    simulated_service,
    some_items,
    statuses,
    submissions_per_prompt,
)

pytestmark = pytest.mark.anyio


async def test_ids_that_come_back_after_another_run_held_their_items_are_kept(
    tmp_path: Path,
) -> None:
    async def another(run: Run) -> None:
        while run.state.stats.counts[ItemStatus.SUBMITTING] < 5:  # noqa: ASYNC110  on the wire
            await anyio.sleep(0.01)
        (run.context.folder.batch / "lock").unlink()
        with open_job(tmp_path, IDENTITY):  # takes what is on the wire for cut off
            pass
        await anyio.sleep_forever()

    async with simulated_service("delay:create:seconds=3", service_time="1") as simulator:
        first = await run_job(tmp_path, simulator, some_items(20), background_tasks=[another])
        created, held = (
            submissions_per_prompt(simulator).total(),
            statuses(tmp_path)[ItemStatus.HELD],
        )
        known = {row.task_id for row in rows(tmp_path)}
        second = await run_job(tmp_path, simulator, some_items(20))

    assert first.exit_code is ExitCode.STOPPED
    assert first.stop is not None
    assert "another run" in first.stop.message
    assert 5 <= created < 20
    assert {task.id for task in simulator.ledger.submissions[:created]} <= known
    assert held == 0
    assert second.exit_code is ExitCode.DONE
    assert check_invariants(tmp_path, simulator) == []


async def test_an_id_that_a_person_has_replaced_meanwhile_is_kept_aside(tmp_path: Path) -> None:
    other = "f" * 32

    async def another(run: Run) -> None:
        while run.state.stats.counts[ItemStatus.SUBMITTING] < 1:  # noqa: ASYNC110  on the wire
            await anyio.sleep(0.01)
        (run.context.folder.batch / "lock").unlink()
        with open_job(tmp_path, IDENTITY) as job:
            (key,) = [row.key for row in rows(tmp_path)]
            job.journal.apply(Change(key=key, event=Event.RESUBMITTED))
            job.journal.apply(Change(key=key, event=Event.SUBMIT_STARTED))
            job.journal.apply(Change(key=key, event=Event.SUBMIT_CONFIRMED, task_id=other))
        await anyio.sleep_forever()

    async with simulated_service("delay:create:seconds=3") as simulator:
        await run_job(tmp_path, simulator, some_items(1), background_tasks=[another])
        (created,) = simulator.ledger.submissions

    (row,) = rows(tmp_path)
    assert row.task_id == other
    assert created.id in JobFolder(tmp_path).fallback_log.read_text()


def test_what_is_kept_aside_stands_where_the_next_run_looks(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    folder.prepare()
    with closing(FallbackLog(folder)) as mine:
        mine.reserve()
        folder.fallback_log.unlink()  # as another run does that has taken it in
        mine.append({"key": "k"})

    assert list(FallbackLog(folder).entries()) == [{"key": "k"}]
