"""Verified files under their final names: the one door between bytes that came and the disk.

A final name is a promise. So: all bytes into a file of its own in `.batch/parts` (same file
system), structure checked, synced, then linked under the final name, then the folder synced; only
then may the journal say done. A crash in between leaves a whole file or none under a final name.
Nothing that is there is ever overwritten: a file with the same bytes is ours already (an earlier
run was killed before it could say done), any other keeps its name and ours gets a longer one.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import secrets
from typing import TYPE_CHECKING

from batch_runner import media
from batch_runner.errors import DiskFailed, FileRejected
from batch_runner.folder import JobFolder, sync_folder, write_all
from batch_runner.models import PlacedFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

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
        kind, sha256 = self._inspect()
        self.spill()
        try:
            final = self._store(name, kind.extension, sha256)
        except OSError as error:
            raise _disk_failed(self._folder, error) from error
        finally:
            self.discard()
        return PlacedFile(name=final, size=self.size, sha256=sha256, media_type=kind.name)

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

    def _store(self, name: str, extension: str, sha256: str) -> str:
        assert self._descriptor is not None and self._path is not None  # noqa: S101, PT018
        os.fsync(self._descriptor)
        if os.fstat(self._descriptor).st_size != self.size:
            raise OSError("the disk kept fewer bytes than were written")
        for final in _names(name, extension, sha256):
            target = self._folder.root / final
            if _link(self._path, target) or _same(target, self.size, sha256):
                sync_folder(self._folder.root)
                return final
        raise OSError(f"no free name for {name}{extension}")


def _names(name: str, extension: str, sha256: str) -> Iterable[str]:
    yield f"{name}{extension}"
    yield f"{name}~{sha256[:8]}{extension}"
    yield f"{name}~{sha256[:16]}{extension}"


def _link(part: Path, target: Path) -> bool:
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
