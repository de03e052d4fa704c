"""When results are lost or the service is silent, submitting pauses or stops."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from batch_runner.engine.summary import ExitCode
from batch_runner.lifecycle import ItemStatus
from tests.harness import (
    an_item,
    check_invariants,
    run_job,
    simulated_service,
    some_items,
    some_settings,
    statuses,
    submissions_per_prompt,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("fault", ["fail", "missing"])
async def test_lost_results_stop_submitting(tmp_path: Path, fault: str) -> None:
    root, settings = tmp_path / "out", some_settings(in_flight=10)

    async with simulated_service(fault) as simulator:
        summary = await run_job(root, simulator, some_items(300), settings)

    assert summary.stop is not None
    assert summary.stop.reason == "breaker"
    assert summary.exit_code is ExitCode.UNAVAILABLE
    assert 25 <= submissions_per_prompt(simulator).total() <= 100
    assert check_invariants(root, simulator) == []


@pytest.mark.parametrize("fault", ["missing:download:match=lost", "fail:submit:match=lost"])
async def test_lost_results_of_earlier_runs_stop_nothing(tmp_path: Path, fault: str) -> None:
    root, settings = tmp_path / "out", some_settings(in_flight=30)
    less = some_settings(rate="10/min", in_flight=20)  # fewer than are lost
    lost = [an_item(number, prompt=f"lost {number}") for number in range(30)]
    items = [*lost, *(an_item(number) for number in range(30, 70))]

    async with simulated_service(fault, service_time="uniform:400,420") as simulator:
        await run_job(root, simulator, lost, settings, deadline=60)
        summary = await run_job(root, simulator, items, less)

    assert summary.stop is None
    assert submissions_per_prompt(simulator).total() == 70
    assert check_invariants(root, simulator) == []


async def test_silent_service_gets_one_submission_at_a_time(tmp_path: Path) -> None:
    """Unanswered submissions are held; the rest wait until the service answers again."""
    root = tmp_path / "out"

    async with simulated_service(
        "hang_late:submit:after=30:times=23", service_time="5"
    ) as simulator:
        summary = await run_job(root, simulator, some_items(120))

    assert summary.stop is None
    assert statuses(root) == {ItemStatus.DONE: 97, ItemStatus.HELD: 23}
    # Sixteen at the same time, four after the first of them timed out; then one at a time.
    silent = sorted(task.submitted_at for task in simulator.ledger.submissions)[30:53]
    assert min(later - earlier for earlier, later in pairwise(silent[19:])) > 60
