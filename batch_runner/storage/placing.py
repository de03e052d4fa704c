"""Verified files under their final names: the one door between bytes that came and the disk.

A final name is a promise. So: all bytes into a file that has no final name yet (`part`), structure
checked, synced, then linked under the final name, then the folder synced; only then may the journal
say done. A crash in between leaves a whole file or none under a final name.
Nothing that is there is ever overwritten: a file with the same bytes is ours already (an earlier
run was killed before it could say done), any other keeps its name and ours gets a longer one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from batch_runner import media
from batch_runner.errors import DiskFailed, FileRejected
from batch_runner.jobdir.layout import JobFolder
from batch_runner.models import PlacedFile
from batch_runner.storage.partial_file import PartialFile, disk_failed
from batch_runner.util.fs import file_sha256, sync_folder

#: Seconds from the end of one placing to the next, at least: what comes meanwhile goes together,
#: and the file system does less for each.
PAUSE = 0.005


class Placement:
    """One part on its way to its final name, and what came of it."""

    def __init__(self, part: PartialFile, name: str) -> None:
        self.part = part
        self.name = name
        self.placed: PlacedFile | None = None
        self.error: FileRejected | DiskFailed | None = None
        self._kind: media.MediaType
        self._sha256: str
        self._final: str

    @property
    def over(self) -> bool:
        """Say whether it has been tried."""
        return self.placed is not None or self.error is not None

    def outcome(self) -> PlacedFile:
        """Return the placed file.

        Raises:
            FileRejected: not a whole file of a known kind.
            DiskFailed: the disk does not take it.
        """
        if self.placed is None:  # no error either: who placed for us came to grief
            raise self.error or DiskFailed("the file was not placed")
        return self.placed

    def went(self, step: Callable[[Placement], None], folder: JobFolder) -> bool:
        """Take one step; say whether it went well, and note what was wrong if not."""
        try:
            step(self)
        except (FileRejected, DiskFailed) as error:
            self.error = error
        except OSError as error:
            self.error = disk_failed(folder, error)
        return self.error is None

    def write(self) -> None:
        """Verify and write the bytes, and let them start for the disk."""
        self._kind, self._sha256 = self.part.write()
        self.part.set_off()

    def sync(self) -> None:
        """Put the bytes on the disk."""
        self.part.sync()

    def name_it(self) -> None:
        """Give the synced file its final name."""
        self._final = self.part.give_name(self.name, self._kind.extension, self._sha256)

    def sync_name(self) -> None:
        """Put on the disk that the file has a name."""
        self.part.sync_name()

    def arrive(self) -> None:
        """Note that the name is on the disk, too."""
        self.placed = PlacedFile(
            name=self._final,
            size=self.part.size,
            sha256=self._sha256,
            media_type=self._kind.name,
        )


def place_all(folder: JobFolder, placings: Sequence[Placement]) -> None:
    """Carry out `placings`; each notes its own outcome. Blocks.

    All are written before the first is synced, all are synced before the first is named, and the
    folder is synced once for all: the file system then has less to do for each. What had no name
    is synced once more when it has one: without a metadata journal (ext2) a power cut would leave
    the name and take the file.
    """
    going = list(placings)
    try:
        for step in (Placement.write, Placement.sync, Placement.name_it, Placement.sync_name):
            going = [placing for placing in going if placing.went(step, folder)]
        if going:
            sync_folder(folder.root)
        for placing in going:
            placing.arrive()
    except OSError as error:
        for placing in going:
            placing.error = disk_failed(folder, error)
    finally:
        for placing in placings:
            placing.part.discard()


class FilePlacer:
    """Takes finished parts; those that come while others are being placed go together next."""

    def __init__(
        self,
        folder: JobFolder,
        offload: Callable[..., Awaitable[Any]],
        clock: Callable[[], float],
    ) -> None:
        """`offload` runs blocking work outside the loop, whose time is `clock`."""
        self._folder = folder
        self._offload = offload
        self._clock = clock
        self._turn = asyncio.Lock()
        self._next_at = clock()
        self._waiting: list[Placement] = []

    async def place(self, part: PartialFile, name: str) -> PlacedFile:
        """Verify, sync and put a part under `name` plus the extension it deserves.

        Raises:
            FileRejected: not a whole file of a known kind.
            DiskFailed: the disk does not take it.
        """
        placing = Placement(part, name)
        if part.spilled:  # a large one keeps no small one waiting
            await self._offload(place_all, self._folder, [placing])
            return placing.outcome()
        self._waiting.append(placing)
        async with self._turn:
            if not placing.over:
                if (wait := self._next_at - self._clock()) > 0:
                    await asyncio.sleep(wait)
                together, self._waiting = self._waiting, []
                await self._offload(place_all, self._folder, together)
                self._next_at = self._clock() + PAUSE
        return placing.outcome()


def output_names(name: str, count: int) -> list[str]:
    """Return the names of `count` outputs of one item: the name itself, or -1, -2 …."""
    return [name] if count == 1 else [f"{name}-{number}" for number in range(1, count + 1)]


def damage(folder: JobFolder, file: PlacedFile, *, deep: bool = False) -> str | None:
    """Return what is wrong with a placed file as a sentence, None when it is whole. Blocks.

    Compares size, SHA-256 and structure; `deep` decodes every pixel as well.
    """
    path = folder.root / file.name
    try:
        if path.is_symlink() or not path.is_file():
            return f"{file.name} is missing"
        if path.stat().st_size != file.size:
            return f"{file.name} has {path.stat().st_size} bytes, wanted {file.size}"
        if file_sha256(path) != file.sha256:
            return f"{file.name} has been changed"
        media.check(path.read_bytes(), measured=True)
    except OSError as error:
        return f"{file.name} cannot be read: {error.strerror}"
    except FileRejected as error:
        return f"{file.name}: {error}"
    return _decoded(path) if deep and file.media_type.startswith("image/") else None


def _decoded(path: Path) -> str | None:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            picture.verify()
        with Image.open(path) as picture:  # verify() leaves the picture unusable
            picture.load()
    except Exception as error:  # noqa: BLE001  decoders raise nearly anything for damaged bytes
        return f"{path.name} cannot be decoded: {error}"
    return None


def missing(folder: JobFolder, files: Iterable[PlacedFile]) -> list[str]:
    """Return the names of placed files that are not there any more; one `stat` each."""
    return [file.name for file in files if not os.path.lexists(folder.root / file.name)]
