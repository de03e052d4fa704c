from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from batch_runner.errors import FolderRefused, RegistryError
from batch_runner.jobdir.identity import service_host
from batch_runner.jobdir.open import OpenJob, open_job
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import Change
from batch_runner.lifecycle import Event
from batch_runner.registry import read_registry
from tests.harness import IDENTITY, some_items


@pytest.fixture
def job(tmp_path: Path) -> Iterator[OpenJob]:
    with open_job(tmp_path / "out", IDENTITY, state=tmp_path / "state") as job:
        yield job


def test_claims_and_copies_of_two_threads_keep_the_registry(job: OpenJob) -> None:
    items = some_items(300)
    job.journal.import_items(items)
    keys = [item.key for item in items]

    with ThreadPoolExecutor(1) as thread:
        claims = [thread.submit(job.claims.claim, [key]) for key in keys]
        while not claims[-1].done():
            job.claims.sync()

    assert not job.claims.unusable


@contextmanager
def without_table(state: Path, table: str) -> Iterator[None]:
    """Make the registry fail where it needs a table."""
    path = state / "registry.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"ALTER TABLE {table} RENAME TO hidden")
        yield
        database.execute(f"ALTER TABLE hidden RENAME TO {table}")


def test_failed_copy_is_made_up_for_and_claims_go_on(job: OpenJob, tmp_path: Path) -> None:
    items = some_items(2)
    job.journal.import_items(items)
    keys = [item.key for item in items]
    job.claims.claim(keys[:1])
    submit(job, keys[0])

    with without_table(tmp_path / "state", "claims"):
        job.claims.sync()
    assert others(tmp_path / "state", keys) == {keys[0]: "claimed"}
    job.claims.sync()

    assert others(tmp_path / "state", keys) == {keys[0]: "submitted"}
    assert job.claims.claim(keys) == frozenset()
    assert others(tmp_path / "state", keys) == {keys[0]: "submitted", keys[1]: "claimed"}


def test_claim_after_a_failed_claim_fails_too(job: OpenJob, tmp_path: Path) -> None:
    keys = [item.key for item in some_items(2)]

    with (
        without_table(tmp_path / "state", "claims"),
        pytest.raises(RegistryError, match="cannot be used"),
    ):
        job.claims.claim(keys)

    for call in (job.claims.claim, job.claims.claims_of_others, job.claims.approve):
        with pytest.raises(RegistryError, match="cannot be used"):
            call(keys)


def test_claim_of_a_submission_that_was_not_copied_stays(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (item,) = some_items(1)
    with open_job(tmp_path / "out", IDENTITY, state=state) as job:
        job.journal.import_items([item])
        job.claims.claim([item.key])
        submit(job, item.key)
        with closing(sqlite3.connect(state / "registry.sqlite")) as database:
            database.execute(
                "CREATE TRIGGER full BEFORE UPDATE ON claims "
                "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
            )

    assert others(state, [item.key]) == {item.key: "claimed"}


def others(state: Path, keys: Sequence[str]) -> dict[str, str]:
    """Return the statuses of the claims that a new job would find."""
    registry = read_registry(state)
    assert registry is not None
    with registry:
        host = service_host(IDENTITY.origin)
        claims = registry.claims_of_others(IDENTITY.provider, host, None, keys)
        return {claim.key: claim.status for claim in claims}


def submit(job: OpenJob, key: str) -> None:
    """Journal a submission that was accepted."""
    job.journal.apply(Change(key=key, event=Event.SUBMIT_STARTED))
    job.journal.apply(Change(key=key, event=Event.SUBMIT_CONFIRMED, task_id=key))


@pytest.mark.parametrize("readable", [True, False])
def test_old_record_of_a_moved_job_is_completed_later(tmp_path: Path, *, readable: bool) -> None:
    (item,) = some_items(1)
    root, state = tmp_path / "out", tmp_path / "state"
    with open_job(root, IDENTITY) as job:
        job.journal.import_items([item])
        submit(job, item.key)
        number, job_id = job.journal.last_event, job.journal.job()["id"]
    (state / "jobs").mkdir(parents=True)
    folder = root if readable else tmp_path / "before"
    record = {"folder": str(folder), "mount": "/", "events": number}
    (state / "jobs" / f"{job_id}.json").write_text(json.dumps(record))
    with open_job(tmp_path / "another", dataclasses.replace(IDENTITY, job="another"), state=state):
        pass
    assert others(state, [item.key]) == ({item.key: "submitted"} if readable else {})

    with open_job(root, None, state=state):
        pass

    assert others(state, [item.key]) == {item.key: "submitted"}


def test_older_journal_that_is_accepted_keeps_what_was_paid(tmp_path: Path) -> None:
    (item,) = some_items(1)
    root, state = tmp_path / "out", tmp_path / "state"
    folder = JobFolder(root)
    with open_job(root, IDENTITY, state=state) as job:
        job.journal.import_items([item])
    older = folder.journal.read_bytes()
    with open_job(root, IDENTITY, state=state) as job:
        submit(job, item.key)
    folder.journal.write_bytes(older)
    folder.marker.unlink()

    with open_job(root, IDENTITY, state=state):
        pass

    assert others(state, [item.key]) == {item.key: "submitted"}


def test_new_job_is_refused_if_the_state_folder_cannot_be_read(tmp_path: Path) -> None:
    state = tmp_path / ("x" * 300)  # as a folder without permission, which root would have

    with (
        pytest.raises(FolderRefused, match=r"the registry .* cannot be used"),
        open_job(tmp_path / "out", IDENTITY, state=state, require_registry=True),
    ):
        pass
    with open_job(tmp_path / "out", IDENTITY, state=state) as job:
        assert job.claims.unusable
