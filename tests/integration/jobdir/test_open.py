from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import shutil
import sqlite3
import time
from pathlib import Path

import anyio
import pytest

from batch_runner.engine.context import Run
from batch_runner.engine.summary import ExitCode
from batch_runner.errors import FolderRefused, JournalUnreadable
from batch_runner.integrations.log_files import run_log
from batch_runner.jobdir.open import open_job
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import Change
from batch_runner.lifecycle import Event, ItemStatus
from batch_runner.models import REHEARSAL
from batch_runner.registry import open_registry
from tests.harness import (
    IDENTITY,
    run_job,
    simulated_service,
    some_items,
    some_settings,
    statuses,
    submissions_per_prompt,
)

pytestmark = pytest.mark.anyio


async def when_some_are_done(run: Run) -> None:
    while run.state.stats.counts[ItemStatus.DONE] < 5:  # noqa: ASYNC110  the service's side
        await anyio.sleep(0.1)


async def test_truncated_journal_stops_the_run(tmp_path: Path) -> None:
    async def truncate(run: Run) -> None:
        await when_some_are_done(run)
        connection = sqlite3.connect(run.context.folder.journal, isolation_level=None)
        with contextlib.closing(connection):
            # Between two commits: one in progress would extend the file again, with holes.
            connection.execute("BEGIN EXCLUSIVE")
            os.truncate(run.context.folder.journal, 8192)
        await anyio.sleep_forever()

    async with simulated_service(service_time="1") as simulator:
        summary = await run_job(tmp_path, simulator, some_items(80), background_tasks=[truncate])
        submitted = submissions_per_prompt(simulator).total()
        with pytest.raises(JournalUnreadable):
            await run_job(tmp_path, simulator, some_items(80))

    assert summary.exit_code is ExitCode.STOPPED
    assert summary.stop is not None
    assert submitted == submissions_per_prompt(simulator).total() < 80


async def test_removed_folder_stops_the_run(tmp_path: Path) -> None:
    root = tmp_path / "out"

    async def remove(run: Run) -> None:
        await when_some_are_done(run)
        while root.exists():  # the run may add a file in the meantime
            shutil.rmtree(root, ignore_errors=True)
        await anyio.sleep_forever()

    async with simulated_service(service_time="1") as simulator:
        summary = await run_job(root, simulator, some_items(80), background_tasks=[remove])

    assert summary.exit_code is ExitCode.STOPPED
    assert submissions_per_prompt(simulator).total() < 80


@pytest.mark.parametrize("origin", ["https://service.example", REHEARSAL])
def test_replaced_journal_file_is_refused_if_paid(tmp_path: Path, origin: str) -> None:
    identity = dataclasses.replace(IDENTITY, origin=origin)
    journal = JobFolder(tmp_path / "out").journal
    with open_job(tmp_path / "out", identity, state=tmp_path / "state"):
        pass
    journal.rename(tmp_path / "first")  # so that its copy gets another inode
    shutil.copy(tmp_path / "first", journal)

    refused = contextlib.nullcontext() if origin == REHEARSAL else pytest.raises(JournalUnreadable)
    with refused, open_job(tmp_path / "out", identity):
        pass


def test_job_on_an_unmounted_disk_is_not_started_again(tmp_path: Path) -> None:
    root, state = tmp_path / "disk" / "out", tmp_path / "state"
    with open_job(root, IDENTITY, state=state):
        pass
    with open_registry(state) as registry:
        (job,) = registry.jobs()
        registry.record_job(dataclasses.replace(job, mount=str(root.parent)))
    with open_job(root, IDENTITY):  # not checked while the folder is there
        pass
    root.rename(tmp_path / "elsewhere")

    with pytest.raises(FolderRefused, match="not mounted"), open_job(root, IDENTITY, state=state):
        pass

    assert not root.exists()
    with open_job(root.with_name("another"), IDENTITY, state=state):
        pass


@pytest.mark.parametrize("name", ["lock", "fallback.jsonl"])
def test_folder_in_place_of_a_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / ".batch" / name).mkdir(parents=True)

    with pytest.raises(FolderRefused, match="cannot be used"), open_job(tmp_path, IDENTITY):
        pass


def test_folder_whose_log_cannot_be_created_is_refused(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    folder.prepare()
    folder.logs.rmdir()

    with (
        pytest.raises(FolderRefused),
        run_log(folder, secrets=(), quiet=True, logger=logging.getLogger()),
    ):
        pass


@pytest.mark.parametrize(
    ("ahead", "asked", "done"),
    [
        pytest.param(0, 3600, 0, id="asked-by-the-service"),
        pytest.param(8 * 3600, 60, 1, id="clock-was-hours-ahead"),
        pytest.param(365 * 86400, 60, 1, id="clock-was-a-year-ahead"),
    ],
)
async def test_item_waits_no_longer_than_the_service_asked(
    tmp_path: Path, ahead: float, asked: float, done: int
) -> None:
    (item,) = some_items(1)
    with open_job(tmp_path, IDENTITY, wall_clock=lambda: time.time() + ahead) as job:
        job.journal.import_items([item])
        job.journal.apply(Change(key=item.key, event=Event.SUBMIT_STARTED))
        until = time.time() + ahead + asked
        unsent = Change(key=item.key, event=Event.SUBMIT_UNSENT, reason="", not_before=until)
        job.journal.apply(unsent)

    async with simulated_service() as simulator:
        summary = await run_job(tmp_path, simulator, [item], some_settings())

    assert submissions_per_prompt(simulator).total() == done
    assert statuses(tmp_path)[ItemStatus.DONE] == done
    assert (summary.stop is None) is bool(done)


def test_kill_during_the_first_commit_begins_again(tmp_path: Path) -> None:
    """The file is not empty until SQLite has rolled it back, by its own rollback journal."""
    written = tmp_path / "written.sqlite"
    with contextlib.closing(sqlite3.connect(written, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")  # pages reach the disk before the commit
        connection.execute("BEGIN")
        for number in range(20):
            connection.execute(f"CREATE TABLE a_{number} (b)")
        journal = JobFolder(tmp_path / "out").journal
        journal.parent.mkdir(parents=True)
        shutil.copy(written, journal)
        shutil.copy(f"{written}-journal", f"{journal}-journal")
    assert journal.stat().st_size > 0

    with open_job(tmp_path / "out", IDENTITY) as job:
        assert job.journal.job()["name"] == IDENTITY.job
