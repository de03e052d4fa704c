from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from batch_runner.errors import FolderRefused, JobLocked
from batch_runner.registry.known_jobs import KnownJob, check_mounted, job_folders

JOB = "0123456789abcdef0123456789abcdef"


def locked(state: Path, root: Path) -> KnownJob:
    known = KnownJob(root)
    known.open(state, JOB)
    known.lock()
    return known


def record_of(state: Path) -> Path:
    """Return the file of the only job in the registry."""
    (path,) = (state / "jobs").iterdir()
    return path


def test_last_event_outlasts_a_run_and_can_be_reset(tmp_path: Path) -> None:
    state, root = tmp_path / "state", tmp_path / "a long name of a folder"
    with closing(locked(state, root)) as first:
        assert first.last_event == 0
        first.update(0)
        first.set_last_event(41)
        first.set_last_event(42)
    with closing(locked(state, tmp_path / "short")) as second:
        assert second.last_event == 42
        second.update(7)
        assert second.last_event == 7


def test_second_copy_of_a_job_is_locked_out(tmp_path: Path) -> None:
    with closing(locked(tmp_path, tmp_path / "one")) as first:
        first.update(3)
        with pytest.raises(JobLocked, match=f"runs in {tmp_path / 'one'}"):
            locked(tmp_path, tmp_path / "other")
    with closing(locked(tmp_path, tmp_path / "other")) as third:
        assert third.last_event == 3


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"events": "x"}', b"\0" * 40, b"[" * 100_000]
)
def test_damaged_record_is_ignored_and_rewritten(tmp_path: Path, content: bytes) -> None:
    with closing(locked(tmp_path, tmp_path)) as first:
        first.update(1)
    record_of(tmp_path).write_bytes(content)
    with closing(locked(tmp_path, tmp_path)) as known:
        assert known.last_event == 0
        with pytest.raises(JobLocked, match="unknown folder"):
            locked(tmp_path, tmp_path)
        known.update(5)
        assert known.last_event == 5


def test_registry_that_cannot_be_written_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "jobs").touch()
    with closing(locked(tmp_path, tmp_path)) as known:
        known.update(1)
        known.set_last_event(2)
        assert known.last_event == 0


def test_job_on_an_unmounted_disk_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "disk" / "out"
    with closing(locked(tmp_path, root)) as known:
        known.update(1)
    record = record_of(tmp_path)
    check_mounted(tmp_path, root)  # its mount point is a real one

    record.write_text(json.dumps(json.loads(record.read_text()) | {"mount": str(root.parent)}))

    with pytest.raises(
        FolderRefused, match=f"is on {root.parent}, .*not mounted.* remove {record}"
    ):
        check_mounted(tmp_path, root)
    check_mounted(tmp_path, root.with_name("another"))
    record.unlink()
    check_mounted(tmp_path, root)


@pytest.mark.parametrize("path", ["disk/out", "disk/../disk/out", "link/out"])
def test_every_path_to_a_folder_finds_its_job(tmp_path: Path, path: str) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    with closing(locked(tmp_path, tmp_path / path)) as known:
        known.update(1)
    record = record_of(tmp_path)
    content = json.loads(record.read_text())

    assert content["folder"] == str(tmp_path / "disk" / "out")
    assert os.path.ismount(content["mount"])
    record.write_text(json.dumps(content | {"mount": str(tmp_path / "disk")}))
    with pytest.raises(FolderRefused):
        check_mounted(tmp_path, tmp_path / "disk" / "out")


def test_unreadable_registry_refuses_nothing(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")

    check_mounted(loop, tmp_path)
    assert job_folders(loop) == []
