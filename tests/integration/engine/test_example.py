"""The example that `tests/README.md` shows: copy it to write another test of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.lifecycle import ItemStatus
from tests.harness import (
    check_invariants,
    run_job,
    simulated_service,
    some_items,
    statuses,
    submissions_per_prompt,
)

pytestmark = pytest.mark.anyio


async def test_lost_response_holds_item_over_the_next_run(tmp_path: Path) -> None:
    items = some_items(3)
    async with simulated_service("lose_answer:submit:times=1") as simulator:
        await run_job(tmp_path, simulator, items)
        await run_job(tmp_path, simulator, items)

        assert statuses(tmp_path) == {ItemStatus.HELD: 1, ItemStatus.DONE: 2}
        assert sum(submissions_per_prompt(simulator).values()) == 3
        assert check_invariants(tmp_path, simulator) == []
