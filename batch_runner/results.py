"""Verified files under their final names: the one door between bytes that came and the disk.

A final name is a promise. So: all bytes into a file of its own in `.batch/parts` (same file
system), structure checked, synced, then linked under the final name, then the folder synced; only
then may the journal say done. A crash in between leaves a whole file or none under a final name.
Nothing that is there is ever overwritten: a file with the same bytes is ours already (an earlier
run was killed before it could say done), any other keeps its name and ours gets a longer one.
"""

from __future__ import annotations

import asyncio
import hashlib
import mmap
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from batch_runner import media
from batch_runner.errors import DiskFailed, FileRejected
from batch_runner.folder import JobFolder, sync_folder, write_all
from batch_runner.models import PlacedFile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from typing import Any

#: Bytes of a download that are held in memory before they go to a file.
HELD_BYTES = 1 << 20


class Part:
    """The bytes of one file on their way: in memory while few, in a file when many."""

    def __init__(self, folder: JobFolder, *, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._held: list[bytes] = []
        self._held_size = 0
        self._descriptor: int | None = None
        self._path: Path | None = None
        self.size = 0

    @property
    def full(self) -> bool:
        """Say whether `spill` should be called before more is fed."""
        return self._held_size >= HELD_BYTES

    @property
    def spilled(self) -> bool:
        """Say whether some of it is in a file already."""
        return self._descriptor is not None

    def feed(self, chunk: bytes) -> None:
        """Take more bytes; no I/O.

        Raises:
            FileRejected: it is larger than a file may be.
        """
        self.size += len(chunk)
        if self.size > self._max_bytes:
            raise FileRejected(f"the file is larger than {self._max_bytes} bytes")
        self._held.append(chunk)
        self._held_size += len(chunk)

    def spill(self) -> None:
        """Write what is held in memory to the file. Blocks.

        Raises:
            DiskFailed: the disk does not take it.
        """
        try:
            if self._descriptor is None:
                self._path = self._folder.parts / f"{secrets.token_hex(8)}.part"
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o600)
            write_all(self._descriptor, b"".join(self._held))
        except OSError as error:
            raise _disk_failed(self._folder, error) from error
        self._held.clear()
        self._held_size = 0

    def place(self, name: str) -> PlacedFile:
        """Verify, sync and put the bytes under `name` plus the extension they deserve. Blocks.

        Raises:
            FileRejected: not a whole file of a known kind.
            DiskFailed: the disk does not take it.
        """
        placing = Placing(self, name)
        place_all(self._folder, [placing])
        return placing.outcome()

    def write(self) -> tuple[media.MediaType, str]:
        """Verify the bytes and write what is held of them; return their kind and SHA-256. Blocks.

        Raises:
            FileRejected: not a whole file of a known kind.
            DiskFailed: the disk does not take them.
        """
        kind, sha256 = self._inspect()
        self.spill()
        return kind, sha256

    def discard(self) -> None:
        """Forget the bytes and remove the file; may be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None
        self._held.clear()

    def _inspect(self) -> tuple[media.MediaType, str]:
        if self._descriptor is None:
            data = b"".join(self._held)
            return media.check(data), hashlib.sha256(data).hexdigest()
        self.spill()
        with mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ) as mapped:
            view = memoryview(mapped)
            try:
                return media.check(view), hashlib.sha256(view).hexdigest()
            finally:
                view.release()

    def set_off(self) -> None:
        """Let the bytes start for the disk: the syncs that follow find them there together."""
        if self._descriptor is not None and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def store(self, name: str, extension: str, sha256: str) -> str:
        """Sync the file and give it its final name, which is returned. Blocks.

        Raises:
            OSError: the disk does not take it.
        """
        assert self._descriptor is not None and self._path is not None  # noqa: S101, PT018
        os.fsync(self._descriptor)
        if os.fstat(self._descriptor).st_size != self.size:
            raise OSError("the disk kept fewer bytes than were written")
        for final in _names(name, extension, sha256):
            target = f"{self._folder.root}/{final}"
            if link(self._path, target) or _same(Path(target), self.size, sha256):
                return final
        raise OSError(f"no free name for {name}{extension}")


class Placing:
    """One part on its way to its final name, and what came of it."""

    def __init__(self, part: Part, name: str) -> None:
        self.part = part
        self.name = name
        self.placed: PlacedFile | None = None
        self.error: FileRejected | DiskFailed | None = None

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


def place_all(folder: JobFolder, placings: Sequence[Placing]) -> None:
    """Carry out `placings`; each notes its own outcome. Blocks.

    All are written before the first is synced, and the folder is synced once for all: the file
    system then has less to do for each.
    """
    kinds = []
    for placing in placings:
        try:
            kinds.append((placing, *placing.part.write()))
            placing.part.set_off()
        except (FileRejected, DiskFailed) as error:
            placing.error = error
        except OSError as error:  # it cannot be mapped, or told to set off
            placing.error = _disk_failed(folder, error)
    stored = []
    for placing, kind, sha256 in kinds:
        try:
            final = placing.part.store(placing.name, kind.extension, sha256)
            size = placing.part.size
            placed = PlacedFile(name=final, size=size, sha256=sha256, media_type=kind.name)
            stored.append((placing, placed))
        except OSError as error:
            placing.error = _disk_failed(folder, error)
    try:
        if stored:
            sync_folder(folder.root)
    except OSError as error:
        for placing, _ in stored:
            placing.error = _disk_failed(folder, error)
    else:
        for placing, placed in stored:
            placing.placed = placed
    finally:
        for placing in placings:
            placing.part.discard()


class Shelf:
    """Takes finished parts; those that come while others are being placed go together next."""

    def __init__(self, folder: JobFolder, offload: Callable[..., Awaitable[Any]]) -> None:
        """`offload` runs blocking work outside the loop."""
        self._folder = folder
        self._offload = offload
        self._turn = asyncio.Lock()
        self._waiting: list[Placing] = []

    async def place(self, part: Part, name: str) -> PlacedFile:
        """Verify, sync and put a part under `name` plus the extension it deserves.

        Raises:
            FileRejected: not a whole file of a known kind.
            DiskFailed: the disk does not take it.
        """
        placing = Placing(part, name)
        if part.spilled:  # a large one keeps no small one waiting
            await self._offload(place_all, self._folder, [placing])
            return placing.outcome()
        self._waiting.append(placing)
        async with self._turn:
            if not placing.over:
                together, self._waiting = self._waiting, []
                await self._offload(place_all, self._folder, together)
        return placing.outcome()


def _names(name: str, extension: str, sha256: str) -> Iterable[str]:
    yield f"{name}{extension}"
    yield f"{name}~{sha256[:8]}{extension}"
    yield f"{name}~{sha256[:16]}{extension}"


def link(part: Path, target: str) -> bool:
    """Give the part its final name; False when that name is taken."""
    try:
        os.link(part, target)
    except FileExistsError:
        return False
    except OSError:
        # A file system without hard links: the check and the rename are two steps there.
        if os.path.lexists(target):
            return False
        part.rename(target)
    return True


def _same(target: Path, size: int, sha256: str) -> bool:
    return (
        target.is_file()
        and not target.is_symlink()
        and target.stat().st_size == size
        and digest(target) == sha256
    )


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _disk_failed(folder: JobFolder, error: OSError) -> DiskFailed:
    return DiskFailed(f"{folder.root} does not take files: {error.strerror or error}")


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
        if digest(path) != file.sha256:
            return f"{file.name} has been changed"
        media.check(path.read_bytes())
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
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"{path.name} cannot be decoded: {error}"
    return None


def missing(folder: JobFolder, files: Iterable[PlacedFile]) -> list[str]:
    """Return the names of placed files that are not there any more; one `stat` each."""
    return [file.name for file in files if not os.path.lexists(folder.root / file.name)]
