"""Every fault of the simulator on every call: nothing is lost, nothing is paid twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.lifecycle import ItemStatus
from batch_runner.simulator import FAULTS, parse_fault
from tests.harness import (
    check_invariants,
    files_with_the_key,
    run_job,
    simulated_service,
    some_items,
    statuses,
    submissions_per_prompt,
)

pytestmark = pytest.mark.anyio

CASES = [
    f"{name}:{call}:every=2"
    for name in FAULTS
    for call in parse_fault(name).calls
    if call not in ("upload", "cancel")
]
#: Statuses that no run changes without the user.
FINAL = {ItemStatus.DONE, ItemStatus.HELD, ItemStatus.FAILED, ItemStatus.REJECTED}
#: Statuses in which a fault may leave items for later runs.
LEFT = {"never": {ItemStatus.SUBMITTED}, "lose_task": {ItemStatus.DOWNLOAD_PENDING}}


@pytest.mark.parametrize("fault", CASES)
async def test_run_with_a_fault_and_one_without(fault: str, tmp_path: Path) -> None:
    """Every second such call fails in the first run, none in the second."""
    root = tmp_path / "out"
    items = some_items(6)
    async with simulated_service(fault) as simulator:
        await run_job(root, simulator, items, deadline=1800)
        first = check_invariants(root, simulator)
        simulator.set_faults()
        await run_job(root, simulator, items, deadline=1800)

        assert first == []
        assert check_invariants(root, simulator) == []
        unfinished = {status for status in statuses(root) if status not in FINAL}
        assert unfinished <= LEFT.get(fault.partition(":")[0], set())
        assert sum(submissions_per_prompt(simulator).values()) >= statuses(root)[ItemStatus.DONE]
        assert files_with_the_key(tmp_path) == []


@pytest.mark.parametrize(
    "fault", ["trailing_bytes", "unsized", "mislabelled", "other_kind", "other_kind:kind=webp"]
)
async def test_odd_but_complete_files_are_downloaded(fault: str, tmp_path: Path) -> None:
    root = tmp_path / "out"
    async with simulated_service(fault) as simulator:
        await run_job(root, simulator, some_items(3), deadline=1800)

        assert statuses(root) == {ItemStatus.DONE: 3}
        assert check_invariants(root, simulator) == []
