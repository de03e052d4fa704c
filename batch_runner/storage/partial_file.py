"""The bytes of one file on their way from the network to a final name.

Few are held in memory, many go to a file. That file has no name at all until it gets its final one
(O_TMPFILE): a process that dies leaves nothing behind, and the file system makes one entry in place
of making one, making another and removing the first, which is a third of what a small file costs.
Where that cannot be had, the file stands in `.batch/parts` under a name of its own.
"""

from __future__ import annotations

import functools
import hashlib
import mmap
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from batch_runner import media
from batch_runner.errors import DiskFailed, FileRejected
from batch_runner.jobdir.layout import JobFolder
from batch_runner.util.fs import file_sha256, link_new, truncate_file_name, write_all

#: Bytes of a download that are held in memory before they go to a file.
HELD_BYTES = 1 << 20


class PartialFile:
    """The bytes of one file on their way: in memory while few, in a file when many."""

    def __init__(self, folder: JobFolder, *, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._held: list[bytes] = []
        self._held_size = 0
        self._descriptor: int | None = None
        self._path: Path | None = None
        self.size = 0
        self.measured = False  # the answer announced how many bytes there are, and so many came

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
                self._descriptor = self._open()
            write_all(self._descriptor, b"".join(self._held))
        except OSError as error:
            raise disk_failed(self.folder, error) from error
        self._held.clear()
        self._held_size = 0

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
        descriptor, self._descriptor = self._descriptor, None
        path, self._path = self._path, None
        self._held.clear()
        # Whatever the disk says now, the bytes are wanted no more, and other parts wait.
        with suppress(OSError):
            if path is not None:
                path.unlink(missing_ok=True)
        with suppress(OSError):
            if descriptor is not None:
                os.close(descriptor)

    def _inspect(self) -> tuple[media.MediaType, str]:
        if self._descriptor is None:
            data = b"".join(self._held)
            return self._kind(data), hashlib.sha256(data).hexdigest()
        self.spill()
        with mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ) as mapped:
            view = memoryview(mapped)
            try:
                return self._kind(view), hashlib.sha256(view).hexdigest()
            finally:
                view.release()

    def _kind(self, data: bytes | memoryview) -> media.MediaType:
        return media.check(data, measured=self.measured)

    def set_off(self) -> None:
        """Let the bytes start for the disk: the syncs that follow find them there together."""
        if self._descriptor is not None and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync_name(self) -> None:
        """Put on the disk that the file has a name: until then some file systems throw it away.

        Raises:
            OSError: the disk does not take it.
        """
        if self._descriptor is not None and self._path is None:
            os.fsync(self._descriptor)

    def sync(self) -> None:
        """Put the bytes on the disk. Blocks.

        Raises:
            OSError: the disk does not take them.
        """
        assert self._descriptor is not None  # noqa: S101  there since `write`
        os.fsync(self._descriptor)
        if os.fstat(self._descriptor).st_size != self.size:
            raise OSError("the disk kept fewer bytes than were written")

    def give_name(self, name: str, extension: str, sha256: str) -> str:
        """Give the synced file its final name, which is returned. Blocks.

        Raises:
            OSError: the disk does not take it.
        """
        for final in _names(name, extension, sha256):
            target = f"{self.folder.root}/{final}"
            if self._link(target) or _same(Path(target), self.size, sha256):
                return final
        raise OSError(f"no free name for {name}{extension}")

    def _open(self) -> int:
        parts = self.folder.parts
        if takes_nameless(parts):
            return os.open(parts, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._path = parts / f"{secrets.token_hex(8)}.part"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self._path, flags, 0o600)

    def _link(self, target: str) -> bool:
        """Give the file its final name; False when that name is taken."""
        assert self._descriptor is not None  # noqa: S101  there since `write`
        if self._path is not None:
            return link_new(self._path, target)
        try:
            link_nameless(self._descriptor, target)
        except FileExistsError:
            return False
        return True


@functools.cache
def takes_nameless(folder: Path) -> bool:
    """Say whether a file in `folder` can be made without a name and be given one later."""
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except (OSError, AttributeError):  # this file system, or this system, knows no such files
        return False
    probe = folder / f"probe-{secrets.token_hex(4)}"
    try:
        link_nameless(descriptor, str(probe))
        probe.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def link_nameless(descriptor: int, target: str) -> None:
    """Give the file behind `descriptor`, made with O_TMPFILE, the name `target`.

    Raises:
        FileExistsError: the name is taken.
        OSError: no name can be given.
    """
    # Naming a folder makes Python call linkat, which alone follows the link to the open file.
    os.link(f"/proc/self/fd/{descriptor}", target, src_dir_fd=descriptor, follow_symlinks=True)


def _names(name: str, extension: str, sha256: str) -> Iterable[str]:
    yield f"{name}{extension}"
    yield truncate_file_name(name, f"~{sha256[:8]}{extension}")
    yield truncate_file_name(name, f"~{sha256[:16]}{extension}")


def _same(target: Path, size: int, sha256: str) -> bool:
    return (
        target.is_file()
        and not target.is_symlink()
        and target.stat().st_size == size
        and file_sha256(target) == sha256
    )


def disk_failed(folder: JobFolder, error: OSError) -> DiskFailed:
    """Return our error for one of the disk's."""
    return DiskFailed(f"{folder.root} does not take files: {error.strerror or error}")
