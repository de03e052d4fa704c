"""The lock of a job folder: one run per job.

`flock` on a file that is never removed: a new file of the same name would be a second lock. The
kernel releases it when the process ends, however that happens.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time

from batch_runner.errors import JobLocked
from batch_runner.jobdir.paths import JobFolder
from batch_runner.util.fs import try_to_lock
from batch_runner.util.locale import tr
from batch_runner.util.text import date_time


class Lock:
    """Holds the lock of a job folder until it is released."""

    def __init__(self, folder: JobFolder) -> None:
        """Take the lock.

        Raises:
            JobLocked: another run has it; the message names that run.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(folder.lock, flags, 0o600)
        if not try_to_lock(self._descriptor):
            owner = _owner_text(os.read(self._descriptor, 4096))
            os.close(self._descriptor)
            raise JobLocked(tr("another run holds {root}: {owner}", root=folder.root, owner=owner))
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()})
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def release(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()


def lock_owner(folder: JobFolder) -> str | None:
    """Return which run has the job, None if no run does. Makes no file.

    The lock is tried, because the process that the file names may have ended, and another one may
    have its number.
    """
    try:
        descriptor = os.open(folder.lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _owner_text(os.read(descriptor, 4096))
    finally:
        os.close(descriptor)
    return None


def _owner_text(raw: bytes) -> str:
    try:
        owner = json.loads(raw)
        return f"process {owner['pid']} on {owner['host']}, since {date_time(owner['since'])}"
    except (ValueError, KeyError, TypeError):
        return "owner unknown"
