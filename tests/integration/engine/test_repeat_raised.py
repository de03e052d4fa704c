"""More tries of items that are paid: the first try is the known item, its picture keeps its name.

The manifest calls the tries x-1, x-2; so do the journal and the report from the next listing on,
whatever the finished file is called: a file on disk is never renamed.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from batch_runner.lifecycle import ItemStatus
from tests.clock import VirtualTimeLoop
from tests.harness import rows, run_job, simulated_service, submissions_per_prompt
from tests.unit.manifest.helpers import HEAD, items_of, write

PROMPTS = "prompts: [{prompt: a horse, id: x}]\n"


async def two_nights(tmp_path: Path, first: str, second: str) -> int:
    """Return how many creates were paid in both nights together."""
    async with simulated_service() as simulator:
        for manifest in (first, second):
            items = items_of(write(tmp_path, manifest))
            await run_job(tmp_path / "out", simulator, items)
        return sum(submissions_per_prompt(simulator).values())


def test_a_paid_item_becomes_the_first_of_its_tries_and_keeps_its_file(tmp_path: Path) -> None:
    once = HEAD + PROMPTS

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        submissions = runner.run(two_nights(tmp_path, once, once + "repeat: 2\n"))

    assert submissions == 2
    assert {row.id: (row.name, row.status) for row in rows(tmp_path / "out")} == {
        "x-1": ("x", ItemStatus.DONE),
        "x-2": ("x-2", ItemStatus.DONE),
    }
    assert sorted(path.stem for path in (tmp_path / "out").glob("x*")) == ["x", "x-2"]


def test_fewer_tries_pay_nothing_and_leave_every_picture(tmp_path: Path) -> None:
    once = HEAD + PROMPTS

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        submissions = runner.run(two_nights(tmp_path, once + "repeat: 2\n", once))

    assert submissions == 2
    assert sorted(path.stem for path in (tmp_path / "out").glob("x*")) == ["x-1", "x-2"]
    assert [row.id for row in rows(tmp_path / "out") if row.name == "x-1"] == ["x"]
