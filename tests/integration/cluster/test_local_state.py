"""What a worker keeps on its own host: outcomes that the database could not store, and a mark."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.cluster.local_state import LocalState, schemas_with_outcomes
from batch_runner.journal.postgres.connection import NO_MARK, Mark
from batch_runner.journal.postgres.shards import Lease

OUTCOME = {"key": "1", "event": "submit_confirmed", "task_id": "task-1"}


@pytest.fixture
def local(tmp_path: Path) -> LocalState:
    local = LocalState(tmp_path, "job_1")
    local.prepare()
    return local


def test_log_without_entries_is_removed(local: LocalState, tmp_path: Path) -> None:
    with local.new_log(Lease(3, 7, 1)):
        assert len(list(tmp_path.rglob("*.jsonl"))) == 1

    assert list(tmp_path.rglob("*.jsonl")) == []


def test_entries_are_found_with_shard_and_lease(local: LocalState, tmp_path: Path) -> None:
    with local.new_log(Lease(3, 7, 1)) as log:
        log.append(OUTCOME)

    assert schemas_with_outcomes(tmp_path) == ["job_1"]
    assert [
        (one.shard, one.lease, list(one.entries.entries())) for one in local.abandoned_logs()
    ] == [(3, 7, [OUTCOME])]


def test_log_that_a_process_still_writes_is_left_alone(local: LocalState) -> None:
    with local.new_log(Lease(3, 7, 1)) as log:
        log.append(OUTCOME)

        assert not local.has_abandoned_logs


def test_there_are_none_where_no_worker_was(tmp_path: Path) -> None:
    local = LocalState(tmp_path, "job_1")

    assert schemas_with_outcomes(tmp_path) == []
    assert local.read_mark() == (NO_MARK, 0)


def test_mark_is_read_as_it_was_written(local: LocalState) -> None:
    mark = Mark(event=12, at=1700000000.1234567)

    local.write_mark(mark, approvals=2)

    assert local.read_mark() == (mark, 2)


def test_damaged_mark_is_none(local: LocalState, tmp_path: Path) -> None:
    local.write_mark(Mark(1, 2.0), 0)
    (tmp_path / "cluster" / "job_1" / "last-event").write_text("{")

    assert local.read_mark() == (NO_MARK, 0)
