"""The lock of a job in the registry: only one of two copies of a job can run.

A file of the job's id in the state folder, locked with `flock` while the job is open. It also
holds the number of the journal's last event, written after each commit: after a crash it is newer
than that in the registry. Removed when the job is closed and the registry has everything.

The lock is optional: where the file cannot be written, a run continues without it.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from batch_runner.util.fs import try_to_lock

_DIGITS = 15  # a fixed width, so that the number can be overwritten in place


class JobLock:
    """The lock of one job, held from `acquire` until `close`."""

    def __init__(self, state: Path, job_id: str) -> None:
        self._folder = state / "running"
        self._path = self._folder / job_id
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock; return False if another process has it."""
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._descriptor = os.open(self._path, flags, 0o600)
                locked = try_to_lock(self._descriptor)
            except OSError:  # no permission, or a file system without locks
                return True
            if not locked:
                self._close()
                return False
            if os.fstat(self._descriptor).st_nlink:
                return True
            self._close()  # its last holder has removed it meanwhile

    def look(self) -> tuple[bool, int]:
        """Return whether a process has the lock, and the number recorded last. Makes no file."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False, 0
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True, _number_in(descriptor)
        except OSError:
            pass  # a file system without locks
        else:
            return False, _number_in(descriptor)
        finally:
            os.close(descriptor)
        return False, 0

    @property
    def last_event(self) -> int:
        """Return the number that was recorded last, 0 if none was."""
        return 0 if self._descriptor is None else _number_in(self._descriptor)

    def set_last_event(self, number: int) -> None:
        """Record the number of the journal's last event, after its commit. Not synced."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.pwrite(self._descriptor, f"{number:0{_DIGITS}d}".encode(), 0)

    def remove(self) -> None:
        """Remove the file, because the registry has its number."""
        if self._descriptor is not None:
            with suppress(OSError):
                self._path.unlink()

    def close(self) -> None:
        """Release the lock. May be called twice."""
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _number_in(descriptor: int) -> int:
    text = os.pread(descriptor, _DIGITS, 0)
    return int(text) if len(text) == _DIGITS and text.isdigit() else 0
