"""Input files on their way to the workers: through the database, each content once.

`run --cluster` reads them where the manifest is, and checks them against their hashes. A file that
cannot be read there, or has changed, is the fault of its items, as in a run on one machine.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterable
from contextlib import suppress

from batch_runner.engine.context import Run
from batch_runner.engine.uploads import Uploader
from batch_runner.journal.postgres import contents
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.journal.records import PendingItem
from batch_runner.models import InputFile

#: Most bytes of an input file.
MAX_BYTES = 100_000_000
#: Bytes that are read from the database at a time.
PART = 4_000_000


class InputStore:
    """Stores the input files of a job in its database."""

    def __init__(self, run: Run, journal: PostgresJournal) -> None:
        self._uploader = Uploader(run)
        self._offload = run.context.offload
        self._journal = journal
        self._stored: set[str] = set()

    async def store(self, items: Iterable[PendingItem]) -> set[int]:
        """Store the input files of items; return the positions of items that lack one.

        Why an item lacks one has been recorded.
        """
        return {item.position for item in items if not await self._store_all(item)}

    async def _store_all(self, item: PendingItem) -> bool:
        for file in item.inputs:
            if file.sha256 not in self._stored and not await self._store(item, file):
                return False
            self._stored.add(file.sha256)
        return True

    async def _store(self, item: PendingItem, file: InputFile) -> bool:
        sha256 = file.sha256
        if await self._journal.call(lambda connection: contents.has(connection, sha256)):
            return True
        if (size := await self._offload(_size, file)) > MAX_BYTES:
            message = (
                f"{file.path} has {size / 1e6:.0f} MB; in a cluster an input file may have "
                f"{MAX_BYTES // 1_000_000} MB"
            )
            await self._uploader.reject(item, message)
            return False
        content = await self._uploader.read(item, file)
        if content is None:
            return False
        await self._journal.call(lambda connection: contents.store(connection, sha256, content))
        return True


def _size(file: InputFile) -> int:
    """Return the size of a file, 0 if there is none."""
    with suppress(OSError):
        return file.path.stat().st_size
    return 0


async def read_content(journal: PostgresJournal, sha256: str) -> bytes | None:
    """Return a file that is stored in the database; None: it is not."""
    content = bytearray()
    while (part := await _part(journal, sha256, len(content))) is not None:
        content += part
        if len(part) < PART:
            return bytes(content)
    return None


def _part(journal: PostgresJournal, sha256: str, start: int) -> asyncio.Future[bytes | None]:
    return journal.call(lambda connection: contents.read_part(connection, sha256, start, PART))


async def read_input(journal: PostgresJournal, file: InputFile) -> bytes:
    """Return the content of an input file from the database; see `engine.context.ReadInput`.

    Raises:
        JournalError: the database cannot be used.
        OSError: it is not there.
    """
    content = await read_content(journal, file.sha256)
    if content is None:
        raise OSError(errno.ENODATA, "its content is not in the database of the cluster")
    return content
