"""The protocol between the engine and a store of result files."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from batch_runner.models import PlacedFile


class IncomingFile(Protocol):
    """One file while it is received."""

    length_known: bool  #: the service announced the length, and that many bytes were received

    def write(self, chunk: bytes) -> Awaitable[None] | None:
        """Append bytes; an awaitable that is returned must be awaited before the next call.

        Raises:
            FileRejected: the file is larger than allowed.
            DiskFailed: the bytes cannot be stored (from the awaitable).
        """
        ...

    async def place(self, name: str) -> PlacedFile:
        """Verify the bytes and store them as `name` plus the extension of their type.

        When this returns, the file and its name survive a power cut. An existing file is never
        overwritten: if it has the same bytes it is taken as this file, otherwise this file gets a
        longer name.

        Raises:
            FileRejected: the bytes are not a complete file of a known type.
            DiskFailed: the file cannot be stored.
        """
        ...

    def discard(self) -> None:
        """Free the bytes that were not placed; may be called twice."""
        ...


class FileStore(Protocol):
    """Where the result files of one job are stored."""

    @property
    def location(self) -> str:
        """Return where the files are, for messages."""
        ...

    def new_file(self) -> IncomingFile:
        """Start to receive a file; no I/O."""
        ...

    def free_bytes(self) -> int:
        """Return the space left for files.

        Raises:
            DiskFailed: the store cannot be used.
        """
        ...
