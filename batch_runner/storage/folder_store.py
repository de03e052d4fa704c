"""The file store of a run on one host: the output folder of its job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from batch_runner.jobdir.paths import JobFolder
from batch_runner.models import PlacedFile
from batch_runner.storage.partial_file import PartialFile, disk_failed
from batch_runner.storage.placing import FilePlacer
from batch_runner.util.paths import utf8_text

Offload = Callable[..., Awaitable[Any]]


class FolderFile:
    """A file while it is received; see `base.IncomingFile`."""

    def __init__(self, part: PartialFile, placer: FilePlacer, offload: Offload) -> None:
        self._part = part
        self._placer = placer
        self._offload = offload
        self.length_known = False

    def write(self, chunk: bytes) -> Awaitable[None] | None:
        self._part.write(chunk)
        return self._offload(self._part.flush) if self._part.buffer_full else None

    async def place(self, name: str) -> PlacedFile:
        self._part.length_known = self.length_known
        return await self._placer.place(self._part, name)

    def discard(self) -> None:
        self._part.discard()


class FolderStore:
    """Stores files in a job's output folder; see `base.FileStore`."""

    def __init__(
        self,
        folder: JobFolder,
        *,
        max_bytes: int,
        offload: Offload,
        clock: Callable[[], float],
    ) -> None:
        """`offload` runs blocking work outside the event loop, whose time is `clock`."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._offload = offload
        self._placer = FilePlacer(folder, offload, clock)

    @property
    def location(self) -> str:
        """Return the output folder."""
        return utf8_text(self._folder.root)

    def new_file(self) -> FolderFile:
        part = PartialFile(self._folder, max_bytes=self._max_bytes)
        return FolderFile(part, self._placer, self._offload)

    def free_bytes(self) -> int:
        try:
            return self._folder.free_bytes()
        except OSError as error:
            raise disk_failed(self._folder, error) from error
