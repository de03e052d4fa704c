"""The file store of a run whose results are objects below a prefix of an object store.

Bytes are received in the job's folder, as for a folder of results, and what is set aside stays
there. A complete file is stored under its final name only if there is no such object yet, so that
nothing is overwritten, also not by other hosts that use the prefix at the same time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any

import anyio

from batch_runner.errors import DiskFailed
from batch_runner.jobdir.paths import JobFolder
from batch_runner.media import DEFAULT_KINDS, Kind
from batch_runner.models import PlacedFile
from batch_runner.storage.folder_store import FolderStore, Offload
from batch_runner.storage.partial_file import PartialFile, candidate_names
from batch_runner.util.locale import use_language
from batch_runner.util.object_store import ObjectPrefix

#: Files that are sent at the same time.
UPLOADS = 16


class ObjectStore(FolderStore):
    """Receives files in a job's folder and stores them as objects; see `base.FileStore`."""

    def __init__(
        self,
        objects: ObjectPrefix,
        folder: JobFolder,
        *,
        max_bytes: int,
        kinds: Collection[Kind] = DEFAULT_KINDS,
        offload: Offload,
        clock: Callable[[], float],
    ) -> None:
        """`offload` runs blocking work outside the event loop, whose time is `clock`."""
        super().__init__(folder, max_bytes=max_bytes, kinds=kinds, offload=offload, clock=clock)
        self._placer = ObjectPlacer(objects, offload)


class ObjectPlacer:
    """Verifies files and stores them as objects."""

    def __init__(self, objects: ObjectPrefix, offload: Callable[..., Awaitable[Any]]) -> None:
        self._objects = objects
        self._offload = offload
        self._turns = anyio.CapacityLimiter(UPLOADS)

    async def place(self, part: PartialFile, name: str) -> PlacedFile:
        """Verify a file and store it as `name` plus the extension of its type.

        Raises:
            FileRejected: it is not a complete file, or not one that is accepted.
            DiskFailed: it cannot be stored.
        """
        async with self._turns:
            placed: PlacedFile = await self._offload(self._place, part, name)
            return placed

    def _place(self, part: PartialFile, name: str) -> PlacedFile:
        try:
            with use_language("en"):  # the journal keeps the message
                return self._store(part, name)
        except OSError as error:
            reason = error.strerror or error
            raise DiskFailed(f"cannot store files in {self._objects.address}: {reason}") from error

    def _store(self, part: PartialFile, name: str) -> PlacedFile:
        media_type, sha256 = part.verify()
        for final in candidate_names(name, media_type.extension, sha256):
            with part.content() as data:
                is_new = self._objects.put_new(final, data, media_type.name)
            if is_new or self._is_same(final, part.size, sha256):
                return PlacedFile(
                    name=final, size=part.size, sha256=sha256, media_type=media_type.name
                )
        raise OSError(f"no free name for {name}{media_type.extension}")

    def _is_same(self, name: str, size: int, sha256: str) -> bool:
        return self._objects.size(name) == size and self._objects.sha256(name) == sha256
