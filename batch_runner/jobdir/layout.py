"""The output folder of one job: what lies where, who holds it, and whether it may be trusted.

::

    OUT/*.png …                 verified files, and nothing else
    OUT/index.html              the report
    OUT/.batch-job.json         the marker: whose folder this is, and how far its journal had come
    OUT/.batch/journal.sqlite   the journal
    OUT/.batch/lock             held by the run at work, naming it; freed when its process ends
    OUT/.batch/fallback.jsonl   outcomes of creates that the journal could not take
    OUT/.batch/logs, parts      one log a run; files on their way

The marker protects the money when the journal is lost: marker there, journal gone or older than
the marker says: nothing is created. It is written after the journal's first durable commit and
before the first create, and after every commit its event number is raised in place.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import re
import secrets
import shutil
import socket
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batch_runner.errors import FolderRefused, JobLocked, JournalUnreadable
from batch_runner.util.fs import replace_file, sync_folder
from batch_runner.util.text import date_time

MARKER = ".batch-job.json"
BATCH = ".batch"
_EVENT_DIGITS = 15
#: Times that a lock is tried, and seconds from one to the next, until another run holds it.
_LOOKS, _A_LOOK = 5, 0.02


@dataclass(frozen=True)
class JobFolder:
    """The paths of one job's output folder."""

    root: Path

    @functools.cached_property
    def batch(self) -> Path:
        """Return the folder for everything that is not a result."""
        return self.root / BATCH

    @functools.cached_property
    def journal(self) -> Path:
        """Return the journal's path."""
        return self.batch / "journal.sqlite"

    @functools.cached_property
    def parts(self) -> Path:
        """Return the folder of files on their way."""
        return self.batch / "parts"

    @functools.cached_property
    def logs(self) -> Path:
        """Return the folder of the runs' logs."""
        return self.batch / "logs"

    @functools.cached_property
    def marker(self) -> Path:
        """Return the marker's path."""
        return self.root / MARKER

    @functools.cached_property
    def emergency(self) -> Path:
        """Return the path of outcomes that the journal could not take."""
        return self.batch / "fallback.jsonl"

    @functools.cached_property
    def old_fallback_log(self) -> Path:
        """Return the fallback log's path as programs of journal version 1 called it."""
        return self.batch / "emergency.jsonl"

    def prepare(self) -> None:
        """Make the folders, readable by their owner only, and see that they can be written.

        Raises:
            FolderRefused: it is a file, a link leads elsewhere, or it cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (self.batch, self.parts, self.logs):
                folder.mkdir(exist_ok=True, mode=0o700)
                if not stat.S_ISDIR(folder.lstat().st_mode):
                    raise FolderRefused(f"{folder} is a link; wanted a folder of its own")
            probe = self.parts / f"probe-{secrets.token_hex(4)}"
            probe.touch(mode=0o600)
            probe.unlink()
            for folder in (self.batch, self.root, self.root.parent):
                sync_folder(folder)
        except OSError as error:
            raise self.refused(error) from error

    def refused(self, error: OSError) -> FolderRefused:
        """Return our error for one of the disk's."""
        return FolderRefused(
            f"the output folder {self.root} cannot be used: {error.strerror or error}; "
            "choose another with --output or `output: {folder: …}`"
        )

    def clear_parts(self) -> None:
        """Remove what a killed run left half written."""
        for part in self.parts.iterdir():
            part.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Return the space left for files."""
        return shutil.disk_usage(self.batch).free


class Lock:
    """One run a job: held by the process, freed by its end however it comes, never stale."""

    def __init__(self, folder: JobFolder) -> None:
        """Take the lock.

        Raises:
            JobLocked: another run has it; the message names it.
        """
        self._path = folder.batch / "lock"
        # The file is never unlinked: a second file of the same name would be a second lock.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        if not self._taken():
            owner = _owner_text(os.read(self._descriptor, 4096))
            os.close(self._descriptor)
            raise JobLocked(f"another run holds {folder.root}: {owner}")
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()})
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def _taken(self) -> bool:
        for _ in range(_LOOKS):  # whoever only looks holds it for a moment
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_A_LOOK)
            else:
                return True
        return False

    def release(self) -> None:
        """Let another run take it."""
        os.close(self._descriptor)

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()


def lock_owner(folder: JobFolder) -> str | None:
    """Return who holds the job, None when nobody does; makes no file.

    Who is named in it may be gone, and another process have its number, here or elsewhere: so it is
    tried, for a moment.
    """
    try:
        descriptor = os.open(folder.batch / "lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
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
        since = date_time(owner["since"])
        return f"process {owner['pid']} on {owner['host']}, since {since}"
    except (ValueError, KeyError, TypeError):
        return "its owner did not write its name"


class Marker:
    """The marker of a folder: its job, and the last event its journal is known to hold."""

    def __init__(self, folder: JobFolder) -> None:
        self._path = folder.marker
        self._descriptor: int | None = None
        self._offset = 0

    def read(self) -> dict[str, Any] | None:
        """Return what the marker says, None when there is none.

        Raises:
            JournalUnreadable: it is damaged.
        """
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            marker = json.loads(text)
            return {"job": str(marker["job"]), "events": int(marker["events"])}
        except (ValueError, KeyError, TypeError) as error:
            raise JournalUnreadable(
                f"{self._path} is damaged, so it cannot be told whether the journal is the right "
                "one; if you are sure it is, remove this file"
            ) from error

    def write(self, job: str, name: str) -> None:
        """Write a new marker for the job of id `job`; on the disk when this returns."""
        text = json.dumps({"job": job, "name": name, "events": "0" * _EVENT_DIGITS}) + "\n"
        with replace_file(self._path, mode=0o600) as out:
            out.write(text.encode())
        sync_folder(self._path.parent)

    def raise_to(self, events: int) -> None:
        """Note that the journal holds `events` events on the disk.

        Not synced: after a power cut the marker may lag behind the journal, which is harmless.
        It is never ahead of it.
        """
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            match = re.search(rb'"events": "', os.pread(self._descriptor, 4096, 0))
            self._offset = match.end() if match else -1
        if self._offset >= 0:
            os.pwrite(self._descriptor, f"{events:0{_EVENT_DIGITS}d}".encode(), self._offset)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
