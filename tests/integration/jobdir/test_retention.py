"""What `output.keep` removes, and what it never does."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.retention import remove_old
from batch_runner.lifecycle import Event
from tests.harness.stored_job import StoredJob, an_item

DAY = 86_400.0
TASK = "a" * 32


@pytest.fixture
def job(tmp_path: Path) -> StoredJob:
    made = StoredJob(tmp_path / "out")
    JobFolder(made.folder).prepare()
    made.list(an_item(0), an_item(1))
    return made


def write_old(path: Path, *, days: float = 10) -> Path:
    """Write a file that was last written some days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    then = time.time() - days * DAY
    os.utime(path, (then, then))
    return path


def clean(job: StoredJob, *, days: float = 7, later: float = 0) -> int:
    return remove_old(JobFolder(job.folder), keep=days * DAY, now=time.time() + later * DAY)


def test_old_logs_are_removed_and_the_newest_stays(job: StoredJob) -> None:
    logs = job.folder / ".batch" / "logs"
    old = [write_old(logs / f"run-2026010{n}-000000.log") for n in (1, 2)]
    young = write_old(logs / "run-20260103-000000.log", days=6)
    other = write_old(logs / "notes.txt")

    assert clean(job) == 2
    assert not any(path.exists() for path in old)
    assert (young.exists(), other.exists()) == (True, True)
    assert clean(job, later=100) == 0


def test_set_aside_bytes_of_settled_items_are_removed(job: StoredJob) -> None:
    job.done(an_item(0))
    aside = write_old(job.folder / ".batch" / "aside" / TASK / "card-0.svg")

    assert clean(job) == 0  # moved a moment ago
    assert clean(job, later=8) == 1
    assert not aside.parent.exists()


def test_set_aside_bytes_of_unfinished_items_stay(job: StoredJob) -> None:
    job.download_pending(an_item(0))
    aside = write_old(job.folder / ".batch" / "aside" / "task-0" / "card-0.svg")

    assert clean(job, later=100) == 0
    assert aside.exists()


def test_files_moved_away_stay_until_their_item_is_settled(job: StoredJob) -> None:
    first, second = an_item(0), an_item(1)
    removed = job.folder / ".batch" / "removed"
    waiting = write_old(removed / f"card-0.png.{first.key[:8]}")
    job.done(first)
    job.record(first, Event.REOPENED)
    job.done(second)

    # Both keys start alike, so neither is removed.
    assert clean(job, later=100) == 0
    assert waiting.exists()
    job.record(first, Event.DROPPED)
    assert clean(job, later=100) == 1
    assert not waiting.exists()
