"""Input files that `run --cluster` stores for the workers."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from batch_runner.cluster.contents import InputStore, read_content
from batch_runner.engine.build import build_run
from batch_runner.engine.context import Run
from batch_runner.jobdir.open import open_job
from batch_runner.journal.postgres import contents
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.models import ItemSpec
from batch_runner.providers import open_provider
from tests.harness import (
    IDENTITY,
    service_at,
    simulated_service,
    some_items,
    some_settings,
    with_photo,
)
from tests.harness.postgres import new_schema, postgres

pytestmark = pytest.mark.anyio


@dataclass
class Given:
    """A job that is being given to workers."""

    run: Run
    journal: PostgresJournal

    async def store(self, *items: ItemSpec) -> set[int]:
        """Import items and store their files; return the positions of those that lack one."""
        self.journal.import_items(items)
        self.journal.start()
        pending = await self.journal.pending_items(-1, 100)
        return await InputStore(self.run, self.journal).store(pending)

    async def messages(self) -> list[str]:
        query = "SELECT status, message FROM items WHERE message IS NOT NULL ORDER BY position"
        rows = await self.journal.call(lambda connection: list(connection.execute(query)))
        return [f"{row[0]}: {row[1]}" for row in rows]


@pytest.fixture
async def given(tmp_path: Path) -> AsyncIterator[Given]:
    place, settings = (postgres().dsn, new_schema()), some_settings()
    with closing(PostgresJournal.create(*place, job="j", provider="baicai", origin="o")) as journal:
        async with (
            simulated_service() as simulator,
            open_provider(service_at(simulator), settings) as provider,
        ):
            with open_job(tmp_path / "out", IDENTITY) as job:
                yield Given(build_run(replace(job, journal=journal), settings, provider), journal)


async def test_file_is_read_in_parts_from_the_database(
    given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch_runner.cluster.contents.PART", 7)
    photo, content = tmp_path / "photo.jpg", bytes(range(256)) * 3
    photo.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()

    lacking = await given.store(*with_photo(some_items(3), photo, content))
    photo.unlink()

    assert lacking == set()
    assert await read_content(given.journal, digest) == content
    await given.journal.call(contents.delete_all)
    assert await read_content(given.journal, digest) is None


async def test_missing_and_changed_files_reject_their_items(given: Given, tmp_path: Path) -> None:
    items, good = some_items(3), tmp_path / "good.jpg"
    good.write_bytes(b"a wedding")
    with_photo(items[:1], tmp_path / "missing.jpg", b"a wedding, too")
    with_photo(items[1:2], good, b"what it was before")
    with_photo(items[2:], good, b"a wedding")

    assert await given.store(*items) == {0, 1}
    assert await given.messages() == [
        f"rejected: {tmp_path}/missing.jpg cannot be read: No such file or directory",
        f"rejected: {good} has changed since the manifest was read",
    ]
