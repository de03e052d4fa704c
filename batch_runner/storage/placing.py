"""Received files are verified, synced and linked under their final names.

A final name promises a complete file. So the order is: all bytes into a file that has no final name
(`partial_file`), structure checked, synced, linked under the final name, folder synced; only then
may the journal say `done`. After a crash in between there is a complete file under the final name,
or none. An existing file is never overwritten: one with the same bytes was placed by an earlier run
that was killed before it could journal `done`; beside any other file this one gets a longer name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from batch_runner import media
from batch_runner.errors import DiskFailed, FileRejected
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.result_folders import folders_of
from batch_runner.models import PlacedFile
from batch_runner.storage.partial_file import PartialFile, disk_failed
from batch_runner.util.fs import sync_folder

#: Least seconds from the end of one batch to the next: files that are complete by then share one,
#: which is less work for the file system.
PAUSE = 0.005


class Placement:
    """One file on its way to its final name, and its outcome."""

    def __init__(self, part: PartialFile, name: str) -> None:
        self.part = part
        self.name = name
        self.placed: PlacedFile | None = None
        self.error: FileRejected | DiskFailed | None = None
        self._type: media.MediaType
        self._sha256: str
        self.final_name: str  # known when it is linked

    @property
    def finished(self) -> bool:
        """Return whether the outcome is known."""
        return self.placed is not None or self.error is not None

    def outcome(self) -> PlacedFile:
        """Return the placed file.

        Raises:
            FileRejected: it is not a complete file, or not one that is accepted.
            DiskFailed: it cannot be stored.
        """
        if self.placed is None:  # without an error: the batch that included it was cancelled
            raise self.error or DiskFailed("the file was not stored")
        return self.placed

    def run_step(self, step: Callable[[Placement], None], folder: JobFolder) -> bool:
        """Run one step and record its error; return whether it succeeded."""
        try:
            step(self)
        except (FileRejected, DiskFailed) as error:
            self.error = error
        except OSError as error:
            self.error = disk_failed(folder, error)
        return self.error is None

    def verify(self) -> None:
        """Check and flush the bytes, and start to write them to disk."""
        self._type, self._sha256 = self.part.verify()
        self.part.flush()
        self.part.start_writeback()

    def sync(self) -> None:
        """Sync the bytes."""
        self.part.sync()

    def link(self) -> None:
        """Give the synced file its final name."""
        self.final_name = self.part.link(self.name, self._type.extension, self._sha256)

    def sync_link(self) -> None:
        """Sync the file that has its name now."""
        self.part.sync_link()

    def finish(self) -> None:
        """Record that the name has been synced too."""
        self.placed = PlacedFile(
            name=self.final_name,
            size=self.part.size,
            sha256=self._sha256,
            media_type=self._type.name,
        )


def place_all(folder: JobFolder, placements: Sequence[Placement]) -> None:
    """Run the steps of a batch; each placement records its own outcome. Blocks.

    All files are written before the first is synced, all are synced before the first is linked, and
    the folders are synced once: that is less work for the file system. Files created without a name
    are synced again after the link: without a metadata journal (ext2) a power cut would keep the
    name and lose the file.
    """
    remaining = list(placements)
    try:
        for step in (Placement.verify, Placement.sync, Placement.link, Placement.sync_link):
            remaining = [one for one in remaining if one.run_step(step, folder)]
        if remaining:
            for path in folders_of(folder.root, [one.final_name for one in remaining]):
                sync_folder(path)
        for placement in remaining:
            placement.finish()
    except OSError as error:
        for placement in remaining:
            placement.error = disk_failed(folder, error)
    finally:
        for placement in placements:
            if not isinstance(placement.error, FileRejected):  # its bytes may be set aside
                placement.part.discard()


class FilePlacer:
    """Places files in batches: those that come while a batch is running share the next one."""

    def __init__(
        self,
        folder: JobFolder,
        offload: Callable[..., Awaitable[Any]],
        clock: Callable[[], float],
    ) -> None:
        """`offload` runs blocking work outside the event loop, whose time is `clock`."""
        self._folder = folder
        self._offload = offload
        self._clock = clock
        self._turn = asyncio.Lock()
        self._next_at = clock()
        self._waiting: list[Placement] = []

    async def place(self, part: PartialFile, name: str) -> PlacedFile:
        """Verify, sync and link a file as `name` plus the extension of its type.

        Raises:
            FileRejected: it is not a complete file, or not one that is accepted.
            DiskFailed: it cannot be stored.
        """
        placement = Placement(part, name)
        if part.on_disk:  # a large file must not delay small ones
            await self._offload(place_all, self._folder, [placement])
            return placement.outcome()
        self._waiting.append(placement)
        async with self._turn:
            if not placement.finished:
                if (wait := self._next_at - self._clock()) > 0:
                    await asyncio.sleep(wait)
                batch, self._waiting = self._waiting, []
                await self._offload(place_all, self._folder, batch)
                self._next_at = self._clock() + PAUSE
        return placement.outcome()
