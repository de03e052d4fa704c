"""Outcomes of submissions that the journal could not store, kept for the next run.

Each of them may have been paid for. The file's blocks are allocated and the file is open before
they are needed: it works on a full disk, and without a free file descriptor.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from batch_runner.journal import current_words
from batch_runner.util.fs import replace_file, sync_file, write_all

#: Bytes allocated in advance: a few hundred entries.
RESERVED_BYTES = 65536


class LogPaths(Protocol):
    """Where a fallback log is; `JobFolder` is one."""

    @property
    def fallback_log(self) -> Path: ...
    @property
    def old_fallback_log(self) -> Path: ...


class FallbackLog:
    """The fallback log of a job folder, or of a worker."""

    def __init__(self, paths: LogPaths) -> None:
        self._path = paths.fallback_log
        self._old_path = paths.old_fallback_log
        self._descriptor: int | None = None

    def reserve(self) -> None:
        """Allocate the file's space and keep the file open."""
        descriptor = self._open()
        size = os.lseek(descriptor, 0, os.SEEK_END)
        if size < RESERVED_BYTES:
            write_all(descriptor, b"\n" * (RESERVED_BYTES - size))
            sync_file(descriptor)

    def append(self, entry: dict[str, Any]) -> None:
        """Append one entry, which is on the disk when this returns.

        Raises:
            OSError: it could not be written.
        """
        line = b"\n" + json.dumps(entry).encode() + b"\n"  # the previous line may be torn
        descriptor = self._open()
        if not os.fstat(descriptor).st_nlink:  # removed: no run would read it
            self.close()
            descriptor = self._open()
        os.lseek(descriptor, 0, os.SEEK_SET)
        used = len(os.read(descriptor, 1 << 24).rstrip(b"\n"))
        os.lseek(descriptor, used, os.SEEK_SET)
        write_all(descriptor, line)
        sync_file(descriptor)

    def _open(self) -> int:
        if self._descriptor is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
        return self._descriptor

    def close(self) -> None:
        """Close the file. May be called twice; `append` opens it again."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the entries, oldest first, without torn lines."""
        yield from map(current_words, _read_entries(self._old_path))
        yield from _read_entries(self._path)

    def keep_only(self, entries: Sequence[dict[str, Any]]) -> None:
        """Remove the entries that the journal has now; a crash leaves all, or only these.

        Raises:
            OSError: the file could not be written; it is unchanged.
        """
        self.close()
        if entries:
            with replace_file(self._path, mode=0o600) as file:
                file.writelines(json.dumps(entry).encode() + b"\n" for entry in entries)
        else:
            self._path.unlink(missing_ok=True)
        self._old_path.unlink(missing_ok=True)


def _read_entries(path: Path) -> Iterator[dict[str, Any]]:
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
