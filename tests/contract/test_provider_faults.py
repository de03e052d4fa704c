"""Every fault of the simulator at every service: nothing is paid twice, every item has a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.lifecycle import ItemStatus
from batch_runner.simulator import FAULTS, parse_fault
from tests.contract.provider_rows import ROWS, Row, items_of, name_of, service_of, simulated
from tests.harness import check_invariants, files_with_the_key, run_job, statuses
from tests.harness.sweeps import some_of

pytestmark = pytest.mark.anyio

#: The first row is tested with every fault in tests/integration/engine.
CASES = [
    (row, f"{name}:{call}:every=2")
    for row in ROWS[1:]
    for name in FAULTS
    for call in parse_fault(name).calls
    if call not in ("upload", "cancel")
]
IDS = [f"{name_of(row)}-{fault}" for row, fault in CASES]


@pytest.mark.parametrize(("row", "fault"), some_of(CASES, each=47), ids=IDS, indirect=["row"])
async def test_run_with_a_fault_and_one_without(row: Row, fault: str, tmp_path: Path) -> None:
    """Every second such call fails in the first run, none in the second."""
    root, items = tmp_path / "out", items_of(row, 4)
    approved = 100 if row.free and fault.startswith("lose_task") else 1
    async with simulated(row, fault, service_time="uniform:1,20") as simulator:
        service = service_of(row, simulator)
        await run_job(root, simulator, items, service=service, deadline=1800)
        first = check_invariants(root, simulator, approved=approved)
        simulator.set_faults()
        await run_job(root, simulator, items, service=service, deadline=1800)

        assert first == []
        assert check_invariants(root, simulator, approved=approved) == []
        left = {"never": ItemStatus.SUBMITTED, "lose_task": ItemStatus.DOWNLOAD_PENDING}
        allowed = {ItemStatus.DONE, ItemStatus.HELD, ItemStatus.FAILED, ItemStatus.REJECTED}
        assert set(statuses(root)) <= allowed | {left.get(fault.partition(":")[0], ItemStatus.DONE)}
        assert files_with_the_key(tmp_path) == []
