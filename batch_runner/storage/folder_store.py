"""The file store of a run on one host: the output folder of its job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from batch_runner.errors import DiskFailed
from batch_runner.jobdir.paths import JobFolder
from batch_runner.models import PlacedFile
from batch_runner.storage.partial_file import PartialFile
from batch_runner.storage.placing import FilePlacer
from batch_runner.util.paths import utf8_text

Offload = Callable[..., Awaitable[Any]]


class FolderFile:
    """`IncomingFile` of a `FolderStore`."""

    def __init__(self, part: PartialFile, placer: FilePlacer, offload: Offload) -> None:
        self._part = part
        self._placer = placer
        self._offload = offload
        self.length_known = False

    def write(self, chunk: bytes) -> Awaitable[None] | None:
        """Take more bytes; what is returned must be awaited before the next call."""
        self._part.write(chunk)
        return self._offload(self._part.flush) if self._part.buffer_full else None

    async def place(self, name: str) -> PlacedFile:
        """Verify the bytes and store them as `name` plus the extension of their type."""
        self._part.length_known = self.length_known
        return await self._placer.place(self._part, name)

    def discard(self) -> None:
        """Free the bytes that were not placed."""
        self._part.discard()


class FolderStore:
    """`FileStore` in a job's output folder."""

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
        """Start to receive a file; no I/O."""
        part = PartialFile(self._folder, max_bytes=self._max_bytes)
        return FolderFile(part, self._placer, self._offload)

    def free_bytes(self) -> int:
        """Return the space left for files."""
        try:
            return self._folder.free_bytes()
        except OSError as error:
            raise DiskFailed(
                f"{self._folder.root} cannot be used: {error.strerror or error}"
            ) from error
