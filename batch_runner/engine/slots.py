"""A counting semaphore that may be exceeded and whose releases can be waited for."""

from __future__ import annotations

import math

import anyio


class Slots:
    """A number of slots; tasks of earlier runs may exceed it."""

    def __init__(
        self, size: int, *, downloads: float = math.inf, within: Slots | None = None
    ) -> None:
        """No slot is given while `downloads` completed tasks or more lack their files.

        Every slot is also one of `within`, which several runs share; None: nothing is shared.
        """
        self._within = within
        self.size = size
        self.downloads = downloads
        self.in_use = 0
        self.lingering = 0
        self.downloading = 0  # of those lingering
        self._released: anyio.Event | None = None  # exists while somebody waits

    async def acquire(self) -> None:
        """Wait for a free slot and take it."""
        while self.in_use >= self.size or self.downloading >= self.downloads:
            await self.wait_for_release()
        if self._within is not None:
            await self._within.acquire()
        self.in_use += 1

    def force_acquire(self) -> None:
        """Take a slot even if none is free."""
        if self._within is not None:
            self._within.force_acquire()
        self.in_use += 1

    def resize(self, size: int) -> None:
        """Change the number of slots; those that are in use stay so."""
        self.size = size
        self._wake()

    def release(self) -> None:
        """Free a slot and wake everybody who waits."""
        if self._within is not None:
            self._within.release()
        self.in_use -= 1
        self._wake()

    def release_and_linger(self) -> None:
        """Free a slot, and count what had it as lingering until `finish`."""
        self.lingering += 1
        self.release()

    def release_to_download(self) -> None:
        """Free the slot of a completed task, which lingers until `downloaded`."""
        if self._within is not None:
            self._within.downloading += 1
        self.downloading += 1
        self.release_and_linger()

    def downloaded(self) -> None:
        """Count one completed task less, whatever became of its files."""
        if self._within is not None:
            self._within.downloading -= 1
            self._within._wake()
        self.downloading -= 1
        self.finish()

    def give_back(self) -> None:
        """Release what a run still holds that has ended before its tasks."""
        while self.in_use:
            self.release()
        while self.downloading:
            self.downloaded()

    async def wait_for_downloads(self) -> None:
        """Wait while more tasks lack their files than submissions of one run can cause."""
        slots = self._within or self
        while slots.downloading >= slots.downloads + slots.size:
            await slots.wait_for_release()

    def finish(self) -> None:
        """Count one less as lingering, and wake everybody who waits."""
        self.lingering -= 1
        self._wake()

    def _wake(self) -> None:
        if self._released is not None:
            self._released.set()
            self._released = None

    async def wait_for_release(self) -> None:
        """Wait until the next slot is released, or something that lingered is finished."""
        if self._released is None:
            self._released = anyio.Event()
        await self._released.wait()
