"""Files that come soon after one another go to the disk together; a large one goes alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch_runner.jobdir.layout import JobFolder
from batch_runner.storage.partial_file import PartialFile
from batch_runner.storage.placing import FilePlacer, Placement
from tests.harness.stored_job import png_bytes

pytestmark = pytest.mark.anyio


class Offload:
    """Does blocking work at once, and counts what was handed over together."""

    def __init__(self) -> None:
        self.together: list[int] = []

    async def __call__(
        self, work: Callable[..., Any], folder: JobFolder, some: list[Placement]
    ) -> Any:
        self.together.append(len(some))
        await asyncio.sleep(0)
        return work(folder, some)


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    made = JobFolder(tmp_path / "out")
    made.prepare()
    return made


def a_part(folder: JobFolder, number: int) -> PartialFile:
    part = PartialFile(folder, max_bytes=10_000_000)
    part.feed(png_bytes(number))
    return part


def a_shelf(folder: JobFolder, offload: Offload) -> FilePlacer:
    """Return a shelf for which no time passes between a placing and the next."""
    return FilePlacer(folder, offload, lambda: 0.0)


async def place_some(folder: JobFolder, offload: Offload, *, spilled: bool = False) -> None:
    """Place one file, and then four more."""
    shelf = a_shelf(folder, offload)
    parts = [a_part(folder, number) for number in range(5)]
    if spilled:
        parts[4].spill()
    await shelf.place(parts[0], "card-0")
    await asyncio.gather(*(shelf.place(parts[n], f"card-{n}") for n in range(1, 5)))


async def test_what_comes_soon_after_a_placing_is_placed_together(folder: JobFolder) -> None:
    offload = Offload()

    await place_some(folder, offload)

    assert offload.together == [1, 4]
    assert len(list(folder.root.glob("*.png"))) == 5


async def test_a_large_file_keeps_no_small_one_waiting(folder: JobFolder) -> None:
    offload = Offload()

    await place_some(folder, offload, spilled=True)

    assert sorted(offload.together) == [1, 1, 3]
    assert len(list(folder.root.glob("*.png"))) == 5


async def test_who_gives_up_waiting_takes_no_other_along(folder: JobFolder) -> None:
    shelf = a_shelf(folder, Offload())
    await shelf.place(a_part(folder, 0), "first")
    gone = asyncio.create_task(shelf.place(a_part(folder, 1), "gone"))
    await asyncio.sleep(0)
    kept = asyncio.create_task(shelf.place(a_part(folder, 2), "kept"))
    await asyncio.sleep(0)

    gone.cancel()

    assert (await kept).name == "kept.png"
