"""This user's record of the jobs on this host: one small file per job, named by its id.

The marker in a folder shows that its journal is an older copy. Only a record outside of the folder
shows that the folder itself is an older copy, such as a restored backup. What has been paid for
since would be paid for again. The record also names the folder and the mount point of its disk:
while that is not mounted, a new job in the empty folder would pay for everything again. The file is
locked while the job is, so that only one of two copies can run.

The record is optional: without a home, or where it cannot be written, a run continues without it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from contextlib import suppress
from pathlib import Path

from batch_runner.errors import FolderRefused, JobLocked
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, find_existing, same_name, utf8_text

_DIGITS = 15  # a fixed width, so that the number can be overwritten in place
_START = re.compile(rb'\{"events": "(\d{15})"')
_OFFSET = len('{"events": "')


class KnownJob:
    """The record of one job, which stays open until `close`; before `open` there is none."""

    def __init__(self, root: Path) -> None:
        self._root = Utf8Path(root).resolve()
        self._descriptor: int | None = None

    def open(self, state: Path, job_id: str) -> None:
        """Open the record in the state directory, or create it."""
        if not job_id.isalnum():  # from a journal that this program did not write
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with suppress(OSError):
            (state / "jobs").mkdir(parents=True, exist_ok=True, mode=0o700)
            self._descriptor = os.open(state / "jobs" / f"{job_id}.json", flags, 0o600)

    def lock(self) -> None:
        """Lock the job.

        Raises:
            JobLocked: another run has a copy of it.
        """
        if self._descriptor is None:
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            record = os.pread(self._descriptor, 8192, 0)
            other = utf8_text(_field(record, "folder") or "an unknown folder")
            raise JobLocked(
                tr(
                    "another run has a copy of the job in {root}: it runs in {other}",
                    root=self._root,
                    other=other,
                )
            ) from None
        except OSError:  # a file system without locks
            return

    @property
    def last_event(self) -> int:
        """Return the number of the last event that was recorded, 0 if none was."""
        if self._descriptor is None:
            return 0
        match = _START.match(os.pread(self._descriptor, _OFFSET + _DIGITS + 1, 0))
        return int(match[1]) if match else 0

    def update(self, last_event: int) -> None:
        """Write the record: the job's folder, its mount point, and its last event."""
        if self._descriptor is not None:
            record = {
                "events": f"{last_event:0{_DIGITS}d}",
                "folder": str(self._root),
                "mount": str(_mount_of(self._root)),
            }
            content = f"{json.dumps(record)}\n".encode()
            with suppress(OSError):
                os.pwrite(self._descriptor, content, 0)
                os.ftruncate(self._descriptor, len(content))

    def set_last_event(self, number: int) -> None:
        """Record the number of the journal's last event, after its commit. Not synced."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.pwrite(self._descriptor, f"{number:0{_DIGITS}d}".encode(), _OFFSET)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def job_folders(state: Path) -> list[Path]:
    """Return the folders of the known jobs, the most recently used first."""
    found = []
    for path in _records(state):
        with suppress(OSError):
            if folder := _field(path.read_bytes(), "folder"):
                found.append((path.stat().st_mtime, folder))
    return [find_existing(folder) for _, folder in sorted(found, reverse=True)]


def check_mounted(state: Path, root: Path) -> None:
    """Check that no known job is in `root` on a disk that is not mounted.

    Raises:
        FolderRefused: there is one.
    """
    for path in _records(state):
        with suppress(OSError):
            record = path.read_bytes()
            if same_name(_field(record, "folder") or "", str(Utf8Path(root).resolve())):
                mount = _field(record, "mount")
                if mount is not None and not os.path.ismount(find_existing(mount)):
                    raise FolderRefused(
                        tr(
                            "the job in {root} is on {mount}, which is not mounted. Nothing "
                            "was sent. Mount it; or, to start a new job here, remove {path}",
                            root=root,
                            mount=utf8_text(mount),
                            path=path,
                        )
                    )


def _records(state: Path) -> list[Path]:
    try:
        return sorted((state / "jobs").glob("*.json"))
    except OSError:  # no permission
        return []


def _mount_of(path: Path) -> Path:
    while not os.path.ismount(path) and path != path.parent:
        path = path.parent
    return path


def _field(record: bytes, name: str) -> str | None:
    """Return a field of a record, None if it has none or is damaged."""
    try:
        return str(json.loads(record)[name])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
