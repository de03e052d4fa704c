"""`repeat` is raised for an item that has been paid: the first repeat is the known item.

Manifest, journal and report call the repeats x-1, x-2; the finished file keeps the name it has.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from batch_runner.lifecycle import ItemStatus
from tests.clock import VirtualTimeLoop
from tests.harness import rows, run_job, simulated_service, submissions_per_prompt
from tests.unit.manifest.helpers import HEAD, items_of, write

PROMPTS = "prompts: [{prompt: a horse, id: x}]\n"


async def two_runs(tmp_path: Path, first: str, second: str) -> int:
    """Return how many submissions were paid in both runs together."""
    async with simulated_service() as simulator:
        for manifest in (first, second):
            items = items_of(write(tmp_path, manifest))
            await run_job(tmp_path / "out", simulator, items)
        return sum(submissions_per_prompt(simulator).values())


def test_raised_repeat_keeps_the_paid_item_and_its_file(tmp_path: Path) -> None:
    once = HEAD + PROMPTS

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        submissions = runner.run(two_runs(tmp_path, once, once + "repeat: 2\n"))

    assert submissions == 2
    assert {row.id: (row.name, row.status) for row in rows(tmp_path / "out")} == {
        "x-1": ("x", ItemStatus.DONE),
        "x-2": ("x-2", ItemStatus.DONE),
    }
    assert sorted(path.stem for path in (tmp_path / "out").glob("x*")) == ["x", "x-2"]


def test_lowered_repeat_pays_nothing_and_keeps_all_files(tmp_path: Path) -> None:
    once = HEAD + PROMPTS

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        submissions = runner.run(two_runs(tmp_path, once + "repeat: 2\n", once))

    assert submissions == 2
    assert sorted(path.stem for path in (tmp_path / "out").glob("x*")) == ["x-1", "x-2"]
    assert [row.id for row in rows(tmp_path / "out") if row.name == "x-1"] == ["x"]
