"""The file store of a run on one host: the output folder of its job."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Protocol

from batch_runner.errors import FileNotAccepted, FileRejected
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import Results
from batch_runner.media import DEFAULT_KINDS, Kind
from batch_runner.models import PlacedFile, Received
from batch_runner.storage.base import SetAside
from batch_runner.storage.partial_file import BUFFER_BYTES, PartialFile, disk_failed
from batch_runner.storage.placing import FilePlacer
from batch_runner.storage.set_aside import AsideFolder
from batch_runner.util.paths import utf8_text

log = logging.getLogger(__name__)

Offload = Callable[..., Awaitable[Any]]


class Placer(Protocol):
    """Verifies received bytes and stores them; see `FilePlacer.place`."""

    async def place(self, part: PartialFile, name: str) -> PlacedFile: ...


class FolderFile:
    """A file while it is received; see `base.IncomingFile`."""

    def __init__(
        self, part: PartialFile, placer: Placer, aside: AsideFolder, offload: Offload
    ) -> None:
        self._part = part
        self._placer = placer
        self._aside = aside
        self._offload = offload
        self.received = Received()

    def write(self, chunk: bytes) -> Awaitable[None] | None:
        self._part.write(chunk)
        return self._offload(self._part.flush) if self._part.buffer_full else None

    def copy_from(self, source: Results, expected: PlacedFile) -> bool:
        """Take the bytes of a file of another job; return whether they are as expected. Blocks.

        Raises:
            FileNotAccepted: the file is larger than allowed.
            DiskFailed: the bytes cannot be stored.
        """
        try:
            with source.local(expected) as path:
                return self._part.copy_from(path) == expected.sha256
        except OSError:
            return False

    async def place(self, name: str) -> PlacedFile:
        self._part.received = self.received
        return await self._placer.place(self._part, name)

    async def set_aside(self, task_id: str, name: str) -> SetAside:
        self._part.received = self.received
        kept: SetAside = await self._offload(self._aside.keep, self._part, task_id, name)
        return kept

    def discard(self) -> None:
        self._part.discard()


class FolderStore:
    """Stores files in a job's output folder; see `base.FileStore`."""

    def __init__(
        self,
        folder: JobFolder,
        *,
        max_bytes: int,
        kinds: Collection[Kind] = DEFAULT_KINDS,
        offload: Offload,
        clock: Callable[[], float],
    ) -> None:
        """`offload` runs blocking work outside the event loop, whose time is `clock`."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._kinds = kinds
        self._aside = AsideFolder(folder)
        self._offload = offload
        self._placer: Placer = FilePlacer(folder, offload, clock)

    @property
    def location(self) -> str:
        """Return the folder of the job."""
        return utf8_text(self._folder.root)

    def new_file(self) -> FolderFile:
        part = PartialFile(self._folder, max_bytes=self._max_bytes, kinds=self._kinds)
        return FolderFile(part, self._placer, self._aside, self._offload)

    async def still_refused(
        self, task_id: str, name: str
    ) -> tuple[FileNotAccepted, SetAside] | None:
        if not self._folder.aside.exists():
            return None
        found: tuple[FileNotAccepted, SetAside] | None
        found = await self._offload(self._aside.refusal, task_id, name, self._kinds)
        return found

    async def place_kept(self, task_id: str, name: str) -> PlacedFile | None:
        for path in await self._offload(self._aside.find, task_id, name):
            file = self.new_file()
            try:
                with path.open("rb") as kept:
                    while chunk := await self._offload(kept.read, BUFFER_BYTES):
                        if (written := file.write(chunk)) is not None:
                            await written
                file.received = Received(length_known=True, types=(path.suffix,))
                return await file.place(name)
            except (OSError, FileRejected) as error:
                log.info("%s: %s", path, error)
            finally:
                file.discard()
        return None

    async def copy(self, source: Results, expected: PlacedFile, name: str) -> PlacedFile | None:
        file = self.new_file()
        try:
            if not await self._offload(file.copy_from, source, expected):
                return None
            file.received = Received(length_known=True, types=(expected.media_type,))
            return await file.place(name)
        finally:
            file.discard()

    async def clear_aside(self, task_id: str) -> None:
        if self._folder.aside.exists():
            await self._offload(self._aside.clear, task_id)

    def free_bytes(self) -> int:
        try:
            return self._folder.free_bytes()
        except OSError as error:
            raise disk_failed(self._folder, error) from error
