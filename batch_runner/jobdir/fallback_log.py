"""What is kept when the journal cannot be written: the outcomes of creates, each maybe paid for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from batch_runner.jobdir.layout import JobFolder
from batch_runner.journal import current_words
from batch_runner.util.fs import write_all

#: Bytes of the file that are there before they are needed: a full disk has no more.
EMERGENCY_BYTES = 65536


class FallbackLog:
    """Outcomes of creates that the journal could not take, kept for the next run.

    Its blocks are on the disk and the file is open before they are needed: a full disk and a
    process out of descriptors still take the ids.
    """

    def __init__(self, folder: JobFolder) -> None:
        self._path = folder.emergency
        self._old_path = folder.old_fallback_log
        self._descriptor: int | None = None

    def reserve(self) -> None:
        """Make the file with room for a few hundred entries, and hold it open."""
        descriptor = self._open()
        held = os.lseek(descriptor, 0, os.SEEK_END)
        if held < EMERGENCY_BYTES:
            write_all(descriptor, b"\n" * (EMERGENCY_BYTES - held))
            os.fsync(descriptor)

    def append(self, entry: dict[str, Any]) -> None:
        """Keep one entry, on the disk when this returns.

        Raises:
            OSError: not even this could be written.
        """
        line = b"\n" + json.dumps(entry).encode() + b"\n"  # the line before may be torn
        descriptor = self._open()
        if not os.fstat(descriptor).st_nlink:  # removed: nobody would look into it
            self.close()
            descriptor = self._open()
        os.lseek(descriptor, 0, os.SEEK_SET)
        used = len(os.read(descriptor, 1 << 24).rstrip(b"\n"))
        os.lseek(descriptor, used, os.SEEK_SET)
        write_all(descriptor, line)
        os.fsync(descriptor)

    def _open(self) -> int:
        if self._descriptor is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
        return self._descriptor

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def entries(self) -> Iterator[dict[str, Any]]:
        """Return what was kept, oldest first; a torn last line is passed over."""
        yield from map(current_words, _entries_of(self._old_path))
        yield from _entries_of(self._path)

    def clear(self) -> None:
        """Forget what was kept: the journal has it now."""
        self.close()
        self._path.unlink(missing_ok=True)
        self._old_path.unlink(missing_ok=True)


def _entries_of(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for line in path.read_bytes().strip(b"\n").splitlines():
        if line.strip():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry
