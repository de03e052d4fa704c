"""The protocol between the engine and a store of result files."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from batch_runner.errors import FileNotAccepted
from batch_runner.jobdir.results import Results
from batch_runner.models import PlacedFile, Received


@dataclass(frozen=True, slots=True)
class SetAside:
    """Bytes that are kept though they are not accepted as a result.

    `place` is where, for messages; None: they could not be kept. `again`: the same bytes were
    received before.
    """

    place: str | None = None
    again: bool = False


class IncomingFile(Protocol):
    """One file while it is received."""

    received: Received  #: how the bytes came; set before they are placed or set aside

    def write(self, chunk: bytes) -> Awaitable[None] | None:
        """Append bytes; an awaitable that is returned must be awaited before the next call.

        Raises:
            FileNotAccepted: the file is larger than allowed.
            DiskFailed: the bytes cannot be stored (from the awaitable).
        """
        ...

    async def place(self, name: str) -> PlacedFile:
        """Verify the bytes and store them as `name` plus the extension of their type.

        When this returns, the file and its name survive a power cut. An existing file is never
        overwritten: if it has the same bytes it is taken as this file, otherwise this file gets a
        longer name.

        Raises:
            FileRejected: the bytes are not a complete file. They can be set aside.
            FileNotAccepted: they may be one, but the settings do not accept it.
            DiskFailed: the file cannot be stored.
        """
        ...

    async def set_aside(self, task_id: str, name: str) -> SetAside:
        """Keep bytes that were not placed, for the user and for later settings. Never raises."""
        ...

    def discard(self) -> None:
        """Free the bytes that were not placed; may be called twice."""
        ...


class FileStore(Protocol):
    """Where the result files of one job are stored."""

    @property
    def location(self) -> str:
        """Return the folder that needs free space, for messages."""
        ...

    def new_file(self) -> IncomingFile:
        """Start to receive a file; no I/O."""
        ...

    async def still_refused(
        self, task_id: str, name: str
    ) -> tuple[FileNotAccepted, SetAside] | None:
        """Return why complete bytes that were set aside under this name are still not accepted.

        None if there are none, or if they are accepted by now.
        """
        ...

    async def place_kept(self, task_id: str, name: str) -> PlacedFile | None:
        """Place bytes that were set aside under this name, if the settings accept them by now.

        Returns None if there are no such bytes.

        Raises:
            DiskFailed: the file cannot be stored.
        """
        ...

    async def copy(self, source: Results, expected: PlacedFile, name: str) -> PlacedFile | None:
        """Place a copy of a file of another job; shares its blocks where the file system can.

        Returns None if there is no such file any more, or it has other bytes than `expected`.

        Raises:
            FileRejected: the settings do not accept it.
            DiskFailed: the copy cannot be stored.
        """
        ...

    async def clear_aside(self, task_id: str) -> None:
        """Remove what was set aside of a task, whose files are all placed. Never raises."""
        ...

    def free_bytes(self) -> int:
        """Return the space left for files.

        Raises:
            DiskFailed: the store cannot be used.
        """
        ...
