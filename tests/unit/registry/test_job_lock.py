from __future__ import annotations

import fcntl
import os
import time
from contextlib import closing
from pathlib import Path

import pytest

from batch_runner.registry import JobLock

JOB = "0123456789abcdef0123456789abcdef"


def locked(state: Path) -> JobLock:
    lock = JobLock(state, JOB)
    assert lock.acquire()
    return lock


def test_last_event_outlasts_a_process_that_was_killed(tmp_path: Path) -> None:
    with closing(locked(tmp_path)) as lock:
        assert lock.last_event == 0
        lock.set_last_event(41)
        lock.set_last_event(42)
    with closing(locked(tmp_path)) as lock:
        assert lock.last_event == 42


def test_second_holder_is_refused_until_the_first_closes(tmp_path: Path) -> None:
    with closing(locked(tmp_path)):
        assert not JobLock(tmp_path, JOB).acquire()
    locked(tmp_path).close()


def test_removed_lock_is_taken_anew(tmp_path: Path) -> None:
    first = locked(tmp_path)
    first.set_last_event(7)
    first.remove()
    with closing(locked(tmp_path)) as second:  # of a file of its own, while the first is open
        first.close()
        assert second.last_event == 0
        assert not JobLock(tmp_path, JOB).acquire()


@pytest.mark.parametrize("content", [b"", b"12", b"x" * 15, b"\0" * 40])
def test_damaged_number_counts_as_none(tmp_path: Path, content: bytes) -> None:
    locked(tmp_path).close()
    (tmp_path / "running" / JOB).write_bytes(content)

    with closing(locked(tmp_path)) as lock:
        assert lock.last_event == 0


def test_lock_that_cannot_be_written_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "running").touch()

    with closing(locked(tmp_path)) as lock:
        lock.set_last_event(2)
        assert lock.last_event == 0


def test_lock_waits_for_a_process_that_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked(tmp_path).close()
    reader = os.open(tmp_path / "running" / JOB, os.O_RDONLY)
    fcntl.flock(reader, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda _: os.close(reader))

    locked(tmp_path).close()
