"""File system helpers: complete writes, syncing folders, new file names, content hashes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import mmap
import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

#: Longest file name in bytes, on nearly every file system.
MAX_FILE_NAME = 255

_ATTEMPTS, _SECONDS_BETWEEN_ATTEMPTS = 5, 0.02
_CANNOT_SYNC_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)
_logger = logging.getLogger(__name__)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of `data`; on a nearly full disk, `os.write` writes only a part without an error.

    Raises:
        OSError: not all of it could be written.
    """
    view = memoryview(data)
    while view:
        written = os.write(descriptor, view)
        if written <= 0:
            raise OSError("write returned 0 bytes")
        view = view[written:]


def sync_file(descriptor: int) -> None:
    """Sync a file to the disk itself; on macOS, fsync alone leaves it in the drive's cache.

    Raises:
        OSError: it cannot be written.
    """
    if (full_sync := getattr(fcntl, "F_FULLFSYNC", None)) is not None:
        try:
            fcntl.fcntl(descriptor, full_sync)
        except OSError as error:
            if error.errno == errno.EIO:
                raise
        else:
            return
    os.fsync(descriptor)  # all there is on Linux, and on a network drive of macOS


def sync_folder(folder: Path) -> None:
    """Sync the names in `folder` to the disk; log a warning if the file system cannot.

    Raises:
        OSError: the disk failed.
    """
    if not try_to_sync_folder(folder):
        _warn_once(folder)


def try_to_sync_folder(folder: Path) -> bool:
    """Sync the names in `folder` to the disk; return False if the file system cannot.

    Raises:
        OSError: the disk failed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_file(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC_FOLDERS:
            raise
        return False
    finally:
        os.close(descriptor)
    return True


_warned: set[str] = set()  # the first folder that cannot be synced


def _warn_once(folder: Path) -> None:
    if not _warned:
        _warned.add(str(folder))
        _logger.warning(
            "the file system of %s cannot sync folders: a power cut may lose the newest files",
            folder,
        )


def nearest_existing(path: Path) -> Path:
    """Return the path itself, or the nearest parent that exists."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


def link_new(source: Path, target: Path | bytes) -> bool:
    """Give the file `source` a name that does not exist yet; return False if `target` exists.

    Raises:
        OSError: the file system refuses it for another reason.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError:
        # The file system has no hard links: checking and renaming are two steps.
        if os.path.lexists(target):
            return False
        os.rename(source, target)  # noqa: PTH104  may be bytes
    return True


def try_to_lock(descriptor: int) -> bool:
    """Lock a file with `flock` until it is closed; return False if another process has it locked.

    A process that only looks whether it is locked holds it for a moment: tried for 0.1 seconds.

    Raises:
        OSError: the file system has no such locks.
    """
    for _ in range(_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
        else:
            return True
    return False


def lock_records(descriptor: int, *, shared: bool = False) -> None:
    """Lock a file as SQLite locks the journal, until it is closed. Does not wait.

    SQLite takes an error for a lock of another process and waits for minutes, so callers try first.

    Raises:
        OSError: the file system has no such locks.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.lockf(descriptor, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # another process has locked it, so locks work
        return


@contextmanager
def replace_file(
    path: Path, *, through: Path | None = None, durable: bool = True, mode: int = 0o666
) -> Iterator[IO[bytes]]:
    """Write a new file and rename it to `path` when it is complete.

    The temporary file is made in `through` (None: beside `path`), which must be on the same file
    system. `durable` syncs the content before the rename.

    Raises:
        OSError: the file could not be written; `path` is unchanged.
    """
    if through is None:
        temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}.tmp"
    else:
        temporary = through / temporary_name(".tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, mode), "wb") as out:
            yield out
            if durable:
                out.flush()
                sync_file(out.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_name(ending: str) -> str:
    """Return a new file name that says which process of which host writes the file."""
    return f"{_host()}-{os.getpid()}-{secrets.token_hex(8)}{ending}"


def is_abandoned(name: str) -> bool:
    """Return whether `name` is a `temporary_name` of a process of this host that has ended.

    One with the number of this process is of an earlier process, so call this before the first.
    """
    host, *numbers = name.rsplit("-", 2)
    if host != _host() or len(numbers) != 2 or not numbers[0].isdigit():
        return False
    pid = int(numbers[0])
    return pid == os.getpid() or not _is_alive(pid)


def _host() -> str:
    return quote(socket.gethostname(), safe="")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user
        return True
    return True


@contextmanager
def mapped(descriptor: int) -> Iterator[memoryview]:
    """Give the content of an open file without reading it into memory."""
    if os.fstat(descriptor).st_size == 0:  # cannot be mapped
        yield memoryview(b"")
        return
    with (
        mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as content,
        memoryview(content) as view,
    ):
        yield view


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def truncate_file_name(stem: str, ending: str) -> str:
    """Return `stem + ending`, with `stem` cut so that the file name is not too long."""
    room = MAX_FILE_NAME - len(ending.encode())
    return stem.encode()[:room].decode(errors="ignore") + ending
