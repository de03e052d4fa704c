"""Run the command line as on a system that lacks what only Linux has, or with another fault.

    python tests/harness/other_system.py NAME… -- run cards.yaml

Names are those of functions in this file. It replaces functions of `os` and `fcntl`, not our own.
"""

from __future__ import annotations

import errno
import fcntl
import os
import runpy
import select
import sys
from typing import Any

#: In `os` of Linux, and not in that of macOS.
LINUX_ONLY = (
    *("O_TMPFILE", "posix_fadvise", "posix_fallocate", "fdatasync", "sched_getaffinity"),
    *("copy_file_range", "memfd_create", "pidfd_open", "eventfd", "splice", "getrandom"),
    *("O_DIRECT", "O_PATH", "getxattr", "setxattr", "sched_setaffinity"),
)


def without_linux() -> None:
    """Remove what macOS lacks: functions, epoll, and /proc."""
    for name in LINUX_ONLY:
        if hasattr(os, name):
            delattr(os, name)
    del select.epoll
    sys.addaudithook(_without_proc)


def _without_proc(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("open", "os.link", "os.listdir", "os.scandir"):
        path = arguments[0]
        path = os.fsdecode(path) if isinstance(path, bytes | str | os.PathLike) else ""
        if path.startswith(("/proc", "/sys")):
            raise FileNotFoundError(errno.ENOENT, "hidden by the test", path)


def unsyncable_folders() -> None:
    """Let fsync of a folder fail as on SMB and FUSE."""
    _fail_to_sync_folders(errno.EINVAL)


def broken_disk() -> None:
    """Let fsync of a folder fail as on a broken disk."""
    _fail_to_sync_folders(errno.EIO)


def _fail_to_sync_folders(number: int) -> None:
    sync = os.fsync

    def fsync(fd: Any) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):  # noqa: PTH112
            raise OSError(number, os.strerror(number))
        sync(fd)

    os.fsync = fsync


def without_locks() -> None:
    """Let record locks fail as on NFS without a lock service. Those of SQLite itself work."""

    def lockf(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    fcntl.lockf = lockf


if __name__ == "__main__":
    end = sys.argv.index("--")
    for one in sys.argv[1:end]:
        globals()[one]()
    sys.argv[1:] = sys.argv[end + 1 :]
    sys.path[0] = os.getcwd()  # noqa: PTH109  not this folder, whose modules have common names
    runpy.run_module("batch_runner", run_name="__main__")
