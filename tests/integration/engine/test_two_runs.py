"""Two runs work on one journal, on a file system whose lock fails."""

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


async def test_task_ids_are_attached_to_items_held_meanwhile(tmp_path: Path) -> None:
    async def another(run: Run) -> None:
        while run.state.stats.counts[ItemStatus.SUBMITTING] < 5:  # noqa: ASYNC110  being sent
            await anyio.sleep(0.01)
        (run.context.folder.batch / "lock").unlink()
        with open_job(tmp_path, IDENTITY):  # holds what is being submitted
            pass
        await anyio.sleep_forever()

    async with simulated_service("delay:submit:seconds=3", service_time="1") as simulator:
        first = await run_job(tmp_path, simulator, some_items(20), background_tasks=[another])
        paid = submissions_per_prompt(simulator).total()
        held = statuses(tmp_path)[ItemStatus.HELD]
        known = {row.task_id for row in rows(tmp_path)}
        second = await run_job(tmp_path, simulator, some_items(20))

    assert first.exit_code is ExitCode.STOPPED
    assert first.stop is not None
    assert "another run" in first.stop.message
    assert 5 <= paid < 20
    assert {task.id for task in simulator.ledger.submissions[:paid]} <= known
    assert held == 0
    assert second.exit_code is ExitCode.DONE
    assert check_invariants(tmp_path, simulator) == []


async def test_task_id_of_a_resubmitted_item_goes_to_the_fallback(tmp_path: Path) -> None:
    other = "f" * 32

    async def another(run: Run) -> None:
        while run.state.stats.counts[ItemStatus.SUBMITTING] < 1:  # noqa: ASYNC110  being sent
            await anyio.sleep(0.01)
        (run.context.folder.batch / "lock").unlink()
        with open_job(tmp_path, IDENTITY) as job:
            (key,) = [row.key for row in rows(tmp_path)]
            job.journal.apply(Change(key=key, event=Event.RESUBMITTED))
            job.journal.apply(Change(key=key, event=Event.SUBMIT_STARTED))
            job.journal.apply(Change(key=key, event=Event.SUBMIT_CONFIRMED, task_id=other))
        await anyio.sleep_forever()

    async with simulated_service("delay:submit:seconds=3") as simulator:
        await run_job(tmp_path, simulator, some_items(1), background_tasks=[another])
        (paid,) = simulator.ledger.submissions

    (row,) = rows(tmp_path)
    assert row.task_id == other
    assert paid.id in JobFolder(tmp_path).fallback_log.read_text()


def test_fallback_log_is_recreated_when_it_was_removed(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    folder.prepare()
    with closing(FallbackLog(folder)) as log:
        log.reserve()
        folder.fallback_log.unlink()  # as another run does after it has read it
        log.append({"key": "k"})

    assert list(FallbackLog(folder).entries()) == [{"key": "k"}]
