"""The bytes of one file between the network and its final name.

A small file is kept in memory until it is complete, a large one is written to disk as it comes. On
disk the file has no name until it gets its final one: a process that dies leaves
nothing behind, and the file system adds one entry instead of adding two and removing one,
which is a third of the cost of a small file. Where unnamed files are not supported, the file is in
`.batch/parts` under a temporary name.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batch_runner import media
from batch_runner.errors import DiskFailed, FileNotAccepted, FileRejected
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.result_folders import make_parents
from batch_runner.models import Received
from batch_runner.util.fs import (
    MAX_FILE_NAME,
    file_sha256,
    link_new,
    mapped,
    sync_file,
    temporary_name,
    truncate_file_name,
    write_all,
)
from batch_runner.util.paths import child_bytes
from batch_runner.util.system import copy_bytes, link_unnamed, open_unnamed, start_writeback

#: Bytes of a download that are kept in memory before they are written to disk.
BUFFER_BYTES = 1 << 20


class PartialFile:
    """One file while it is received: in memory at first, on disk when it is large."""

    def __init__(
        self,
        folder: JobFolder,
        *,
        max_bytes: int,
        kinds: Collection[media.Kind] = media.DEFAULT_KINDS,
    ) -> None:
        """`kinds` are those that `verify` accepts."""
        self.folder = folder
        self._max_bytes = max_bytes
        self._kinds = kinds
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._descriptor: int | None = None
        self._path: Path | None = None
        self.size = 0
        self.received = Received()

    @property
    def buffer_full(self) -> bool:
        """Return whether `flush` should be called before the next `write`."""
        return self._buffered >= BUFFER_BYTES

    @property
    def on_disk(self) -> bool:
        """Return whether some of the bytes have been written to disk."""
        return self._descriptor is not None

    def write(self, chunk: bytes) -> None:
        """Append bytes to the buffer; no I/O.

        Raises:
            FileNotAccepted: the file is larger than allowed.
        """
        self._grow(len(chunk))
        self._buffer.append(chunk)
        self._buffered += len(chunk)

    def _grow(self, count: int) -> None:
        self.size += count
        if self.size > self._max_bytes:
            raise FileNotAccepted(
                f"the file is larger than {self._max_bytes:,} bytes (downloads.max_bytes)",
                reason="too-large",
                certain=True,
            )

    def copy_from(self, source: Path) -> str | None:
        """Take the bytes of the file `source`; return their SHA-256, None if it cannot be read.

        The file system may share the blocks of both files until one of them is changed. Blocks.

        Raises:
            FileNotAccepted: the file is larger than allowed.
            DiskFailed: the bytes cannot be stored.
        """
        try:
            with source.open("rb") as content:
                self._grow(os.fstat(content.fileno()).st_size)
                self._copy_from(content.fileno())
        except OSError:  # of the source
            return None
        with self.content() as data:
            return hashlib.sha256(data).hexdigest()

    def _copy_from(self, source: int) -> None:
        try:
            if self._descriptor is None:
                self._descriptor = self._open()
            self.size = copy_bytes(source, self._descriptor)
        except OSError as error:
            os.lseek(source, 0, os.SEEK_SET)
            while os.read(source, BUFFER_BYTES):  # raises if it is the source that fails
                pass
            raise disk_failed(self.folder, error) from error

    def flush(self) -> None:
        """Write the buffer to disk. Blocks.

        Raises:
            DiskFailed: it cannot be written.
        """
        try:
            if self._descriptor is None:
                self._descriptor = self._open()
            write_all(self._descriptor, b"".join(self._buffer))
        except OSError as error:
            raise disk_failed(self.folder, error) from error
        self._buffer.clear()
        self._buffered = 0

    def verify(self) -> tuple[media.MediaType, str]:
        """Check that the file is complete; return its type and SHA-256. Blocks.

        Raises:
            FileRejected: it is not complete.
            FileNotAccepted: it is of a kind that is not accepted, or may be cut off.
            DiskFailed: it cannot be written.
        """
        with self.content() as data:
            media_type = media.check(
                data,
                length_known=self.received.length_known,
                declared=self.received.types,
                accepted=self._kinds,
            )
            return media_type, hashlib.sha256(data).hexdigest()

    def describe(self) -> tuple[media.MediaType, bool, str]:
        """Return type and SHA-256 of bytes that may be rejected, and whether they are complete."""
        known, declared = self.received.length_known, self.received.types
        with self.content() as data:
            sha256 = hashlib.sha256(data).hexdigest()
            try:
                return media.check(data, length_known=known, declared=declared), True, sha256
            except FileRejected:
                return media.identify(data, declared), False, sha256

    def discard(self) -> None:
        """Free the bytes and remove the file; may be called twice."""
        descriptor, self._descriptor = self._descriptor, None
        path, self._path = self._path, None
        self._buffer.clear()
        # An error here must not keep the caller from discarding its other files.
        with suppress(OSError):
            if path is not None:
                path.unlink(missing_ok=True)
        with suppress(OSError):
            if descriptor is not None:
                os.close(descriptor)

    @contextmanager
    def content(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes received so far. Blocks.

        Raises:
            DiskFailed: they cannot be written to disk.
        """
        if self._descriptor is None:
            yield b"".join(self._buffer)
            return
        self.flush()
        with mapped(self._descriptor) as view:
            yield view

    def start_writeback(self) -> None:
        """Let the kernel start to write, so that the syncs of several files overlap."""
        if self._descriptor is not None:
            start_writeback(self._descriptor)

    def sync(self) -> None:
        """Sync the bytes to disk. Blocks.

        Raises:
            OSError: they cannot be written.
        """
        assert self._descriptor is not None  # noqa: S101  opened by `verify`
        sync_file(self._descriptor)
        if os.fstat(self._descriptor).st_size != self.size:
            raise OSError("the disk kept fewer bytes than were written")

    def link(self, name: str, extension: str, sha256: str) -> str:
        """Link the synced file under `name` or, if that is taken, a longer one; return it. Blocks.

        Raises:
            OSError: it cannot be linked.
        """
        make_parents(self.folder.root, name)
        for final in candidate_names(name, extension, sha256):
            target = child_bytes(self.folder.root, final)
            if self._try_link(target) or _is_same(self.folder.root / final, self.size, sha256):
                return final
        raise OSError(f"no free name for {name}{extension}")

    def link_as(self, path: Path) -> None:
        """Sync the file and link it under a path that is not a result's. Blocks.

        Raises:
            OSError: the path is taken, or the file cannot be written.
            DiskFailed: the file cannot be written.
        """
        self.flush()
        assert self._descriptor is not None  # noqa: S101  opened by `flush`
        os.fchmod(self._descriptor, 0o600)
        self.sync()
        if not self._try_link(child_bytes(path.parent, path.name)):
            raise FileExistsError(f"{path} exists")

    def sync_link(self) -> None:
        """Sync the file once more, now that it has a name.

        Some file systems discard a file that had no name when it was synced.

        Raises:
            OSError: it cannot be written.
        """
        if self._descriptor is not None and self._path is None:
            sync_file(self._descriptor)

    def _open(self) -> int:
        parts = self.folder.parts
        if supports_unnamed_files(parts) and (descriptor := open_unnamed(parts)) is not None:
            return descriptor
        self._path = parts / temporary_name(".part")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self._path, flags, 0o666)  # results have the mode that the umask allows

    def _try_link(self, target: bytes) -> bool:
        """Return False if the name `target` is taken."""
        assert self._descriptor is not None  # noqa: S101  opened by `verify`
        if self._path is not None:
            return link_new(self._path, target)
        try:
            link_unnamed(self._descriptor, target)
        except FileExistsError:
            return False
        return True


@functools.cache
def supports_unnamed_files(folder: Path) -> bool:
    """Return whether a file can be created in `folder` without a name and linked later."""
    try:
        descriptor = open_unnamed(folder)
    except OSError:  # not this file system
        return False
    if descriptor is None:  # not this operating system
        return False
    probe = folder / temporary_name(".probe")
    try:
        link_unnamed(descriptor, child_bytes(folder, probe.name))
        probe.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def candidate_names(name: str, extension: str, sha256: str) -> Iterable[str]:
    """Yield the names that a file may get, the wanted one first, then longer ones."""
    folder, slash, last = name.rpartition("/")
    if len(f"{last}{extension}".encode()) <= MAX_FILE_NAME:
        yield f"{name}{extension}"
    for digits in (8, 16):
        yield folder + slash + truncate_file_name(last, f"~{sha256[:digits]}{extension}")


def _is_same(target: Path, size: int, sha256: str) -> bool:
    return (
        target.is_file()
        and not target.is_symlink()
        and target.stat().st_size == size
        and file_sha256(target) == sha256
    )


def disk_failed(folder: JobFolder, error: OSError) -> DiskFailed:
    """Return the DiskFailed for an error of the file system."""
    reason = error.strerror or error
    if not folder.root.exists():
        reason = "the folder was moved or removed; run again with the folder where it is now"
    return DiskFailed(f"cannot store files in {folder.root}: {reason}")
