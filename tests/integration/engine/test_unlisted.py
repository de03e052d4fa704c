"""Items no longer in the manifest: paid ones are downloaded, nothing new is paid for."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from batch_runner.engine.context import Run
from batch_runner.engine.summary import ExitCode, StopReason
from batch_runner.lifecycle import ItemStatus
from tests.harness import (
    rows,
    run_job,
    simulated_service,
    some_items,
    some_settings,
    statuses,
    submissions_per_prompt,
)

pytestmark = pytest.mark.anyio


async def shut_down_soon(run: Run) -> None:
    await anyio.sleep(2)
    run.state.control.shut_down(StopReason("signal", "stopped", ExitCode.STOPPED))
    await anyio.sleep_forever()


async def test_unlisted_item_gets_no_further_attempt(tmp_path: Path) -> None:
    one, other = some_items(2, attempts=2)

    async with simulated_service("fail:submit:match=horse 1", service_time="30") as simulator:
        await run_job(tmp_path, simulator, [one, other], background_tasks=[shut_down_soon])
        summary = await run_job(tmp_path, simulator, [one])

    assert submissions_per_prompt(simulator) == {"horse 0": 1, "horse 1": 1}
    assert statuses(tmp_path) == {ItemStatus.DONE: 1, ItemStatus.FAILED: 1}
    assert summary.paid == 0


async def test_unlisted_pending_item_is_not_submitted(tmp_path: Path) -> None:
    items = some_items(6)

    async with simulated_service() as simulator:
        await run_job(tmp_path, simulator, items, some_settings(max_submissions=2))
        await run_job(tmp_path, simulator, items[:3])

    assert submissions_per_prompt(simulator) == {"horse 0": 1, "horse 1": 1, "horse 2": 1}
    assert [row.status for row in rows(tmp_path) if not row.listed] == [ItemStatus.PENDING] * 3


async def test_attempt_of_a_stopped_run_is_made_by_the_next(tmp_path: Path) -> None:
    items = some_items(3, attempts=2)

    async with simulated_service("fail:submit:times=3", service_time="30") as simulator:
        stopped = await run_job(tmp_path, simulator, items, some_settings(max_submissions=3))
        after = await run_job(tmp_path, simulator, items)

    assert stopped.exit_code is ExitCode.STOPPED
    assert after.exit_code is ExitCode.DONE
    assert set(submissions_per_prompt(simulator).values()) == {2}
