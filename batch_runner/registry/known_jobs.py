"""What this machine knows of a job outside of its folder: how far its journal has come.

A folder tells by its marker that its journal is an older copy; nothing in it tells that the whole
folder is one: a backup put back, or the one of two copies that was left behind. What the newer one
paid for would be paid for again. So each job has a small file among the user's own, named by the
job's id, with the number of the last event that this machine has seen in its journal. It is held
while the job is, so that of two copies only one is at work.

The file names the folder, too, and where its disk is mounted: while that is not, the folder's place
is empty, and a new job there would pay for all of it again.

It helps where it can: without a home, or where it cannot be written, a run goes on without it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from contextlib import suppress
from pathlib import Path

from batch_runner.errors import FolderRefused, JobLocked

_DIGITS = 15
_START = re.compile(rb'\{"events": "(\d{15})"')
_OFFSET = len('{"events": "')


class KnownJob:
    """The file of one job, held until it is closed."""

    def __init__(self, root: Path) -> None:
        """Of the job in the folder `root`; nothing is held yet."""
        self._root = Path(os.path.realpath(root))  # however it was spelled
        self._descriptor: int | None = None

    def open(self, state: Path, job: str) -> None:
        """Open the file of the job with the id `job` among what this machine keeps in `state`."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        if not job.isalnum():  # of a journal that somebody else made
            return
        with suppress(OSError):
            (state / "jobs").mkdir(parents=True, exist_ok=True, mode=0o700)
            self._descriptor = os.open(state / "jobs" / f"{job}.json", flags, 0o600)

    def hold(self) -> None:
        """Hold the job.

        Raises:
            JobLocked: a copy of it is at work.
        """
        if self._descriptor is None:
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said = os.pread(self._descriptor, 8192, 0)
            where = _read(said, "folder") or "its folder is not named"
            raise JobLocked(f"another run of the job in {self._root} is at work: {where}") from None
        except OSError:  # a file system without locks
            return

    @property
    def seen(self) -> int:
        """Return the number of the last event that was seen, 0 for none."""
        if self._descriptor is None:
            return 0
        match = _START.match(os.pread(self._descriptor, _OFFSET + _DIGITS + 1, 0))
        return int(match[1]) if match else 0

    def begin(self, events: int) -> None:
        """Note that the job lies where it was opened, and has come to this event."""
        if self._descriptor is not None:
            number = f"{events:0{_DIGITS}d}"
            mount = str(_mount_of(self._root))
            text = json.dumps({"events": number, "folder": str(self._root), "mount": mount}) + "\n"
            with suppress(OSError):
                os.pwrite(self._descriptor, text.encode(), 0)
                os.ftruncate(self._descriptor, len(text.encode()))

    def raise_to(self, events: int) -> None:
        """Note that the journal holds `events` events on the disk; not synced."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.pwrite(self._descriptor, f"{events:0{_DIGITS}d}".encode(), _OFFSET)

    def close(self) -> None:
        """Let the job go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def job_folders(state: Path) -> list[Path]:
    """Return the folders of the jobs that this machine knows, the latest first."""
    found = []
    for path in _files(state):
        with suppress(OSError):
            if folder := _read(path.read_bytes(), "folder"):
                found.append((path.stat().st_mtime, folder))
    return [Path(folder) for _, folder in sorted(found, reverse=True)]


def refuse_unmounted(state: Path, root: Path) -> None:
    """Refuse to begin a job where one was whose disk is not there now.

    Raises:
        FolderRefused: the file system that held it is not mounted.
    """
    for path in _files(state):
        with suppress(OSError):
            said = path.read_bytes()
            if _read(said, "folder") == os.path.realpath(root):
                mount = _read(said, "mount")
                if mount is not None and not os.path.ismount(mount):
                    raise FolderRefused(
                        f"{root} has a job on the disk of {mount}, and that is not mounted. "
                        f"Nothing was sent. If a new job is to begin here, remove {path}"
                    )


def _files(state: Path) -> list[Path]:
    try:
        return sorted((state / "jobs").glob("*.json"))
    except OSError:  # somebody else's
        return []


def _mount_of(path: Path) -> Path:
    while not os.path.ismount(path) and path != path.parent:
        path = path.parent
    return path


def _read(said: bytes, name: str) -> str | None:
    try:
        return str(json.loads(said)[name])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
