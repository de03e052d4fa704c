"""Files that come soon after one another share a batch; a large one does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch_runner.jobdir.paths import JobFolder
from batch_runner.storage.partial_file import PartialFile
from batch_runner.storage.placing import FilePlacer, Placement
from tests.harness.stored_job import png_bytes

pytestmark = pytest.mark.anyio


class Offload:
    """Runs blocking work at once, and records the size of each batch."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    async def __call__(
        self, work: Callable[..., Any], folder: JobFolder, batch: list[Placement]
    ) -> Any:
        self.batches.append(len(batch))
        await asyncio.sleep(0)
        return work(folder, batch)


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    made = JobFolder(tmp_path / "out")
    made.prepare()
    return made


def partial_file(folder: JobFolder, number: int) -> PartialFile:
    part = PartialFile(folder, max_bytes=10_000_000)
    part.write(png_bytes(number))
    return part


def make_placer(folder: JobFolder, offload: Offload) -> FilePlacer:
    """Return a placer for which no time passes between two batches."""
    return FilePlacer(folder, offload, lambda: 0.0)


async def place_some(folder: JobFolder, offload: Offload, *, flushed: bool = False) -> None:
    """Place one file, and then four more."""
    placer = make_placer(folder, offload)
    parts = [partial_file(folder, number) for number in range(5)]
    if flushed:
        parts[4].flush()
    await placer.place(parts[0], "card-0")
    await asyncio.gather(*(placer.place(parts[n], f"card-{n}") for n in range(1, 5)))


async def test_files_that_come_during_a_batch_share_the_next(folder: JobFolder) -> None:
    offload = Offload()

    await place_some(folder, offload)

    assert offload.batches == [1, 4]
    assert len(list(folder.root.glob("*.png"))) == 5


async def test_large_file_does_not_delay_small_ones(folder: JobFolder) -> None:
    offload = Offload()

    await place_some(folder, offload, flushed=True)

    assert sorted(offload.batches) == [1, 1, 3]
    assert len(list(folder.root.glob("*.png"))) == 5
