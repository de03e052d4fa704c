from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.engine.selection import SelectedItems
from batch_runner.lifecycle import ItemStatus
from tests.harness import (
    check_invariants,
    run_job,
    simulated_service,
    some_items,
    some_settings,
    statuses,
    submissions_per_prompt,
)

pytestmark = pytest.mark.anyio


async def test_only_selected_items_are_submitted(tmp_path: Path) -> None:
    items = some_items(500)  # several pages
    selected = SelectedItems([3, 250, 499])
    async with simulated_service() as simulator:
        first = await run_job(tmp_path, simulator, items, selected=selected)

        assert sorted(submissions_per_prompt(simulator)) == ["horse 250", "horse 3", "horse 499"]
        assert statuses(tmp_path) == {ItemStatus.DONE: 3, ItemStatus.PENDING: 497}
        assert (first.exit_code, first.not_selected) == (0, 497)
        assert first.selected is not None
        assert first.selected[ItemStatus.DONE] == 3

        again = await run_job(tmp_path, simulator, items, selected=selected)
        assert (again.exit_code, again.submissions) == (0, 0)

        rest = await run_job(tmp_path, simulator, items, some_settings(rate="500/s"))
        assert (rest.exit_code, rest.submissions, rest.selected) == (0, 497, None)
        assert set(submissions_per_prompt(simulator).values()) == {1}
        assert check_invariants(tmp_path, simulator) == []


async def test_in_flight_items_outside_selection_are_finished(tmp_path: Path) -> None:
    items = some_items(4)
    async with simulated_service(service_time="uniform:100,100") as simulator:
        stopped = await run_job(
            tmp_path, simulator, items, selected=SelectedItems([0, 1]), deadline=20.0
        )
        assert stopped.exit_code == 3

        summary = await run_job(tmp_path, simulator, items, selected=SelectedItems([2]))

        assert summary.exit_code == 0
        assert statuses(tmp_path) == {ItemStatus.DONE: 3, ItemStatus.PENDING: 1}
        assert check_invariants(tmp_path, simulator) == []


async def test_failed_item_outside_selection_gets_no_other_attempt(tmp_path: Path) -> None:
    items = some_items(2, attempts=2)
    async with simulated_service(
        "fail:submit:times=1", service_time="uniform:100,100"
    ) as simulator:
        await run_job(tmp_path, simulator, items, selected=SelectedItems([0]), deadline=20.0)

        summary = await run_job(tmp_path, simulator, items, selected=SelectedItems([1]))

        assert submissions_per_prompt(simulator) == {"horse 0": 1, "horse 1": 1}
        assert (summary.exit_code, summary.not_selected) == (0, 1)


async def test_exit_code_is_that_of_selected_items(tmp_path: Path) -> None:
    items = some_items(3)
    async with simulated_service("moderation:submit:times=1") as simulator:
        failed = await run_job(tmp_path, simulator, items, selected=SelectedItems([0]))
        done = await run_job(tmp_path, simulator, items, selected=SelectedItems([1]))

        assert (failed.exit_code, done.exit_code) == (1, 0)


async def test_cap_stops_run_with_selected_items_left(tmp_path: Path) -> None:
    items = some_items(6)
    async with simulated_service() as simulator:
        settings = some_settings(max_submissions=2)
        summary = await run_job(
            tmp_path, simulator, items, settings, selected=SelectedItems([1, 3, 5])
        )

        assert (summary.exit_code, summary.not_selected) == (3, 3)
        assert sorted(submissions_per_prompt(simulator)) == ["horse 1", "horse 3"]
