"""What this machine knows of a job outside of its folder."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from batch_runner.errors import FolderRefused, JobLocked
from batch_runner.registry.known_jobs import KnownJob, job_folders, refuse_unmounted

JOB = "0123456789abcdef0123456789abcdef"


def held(state: Path, root: Path) -> KnownJob:
    witness = KnownJob(root)
    witness.open(state, JOB)
    witness.hold()
    return witness


def test_what_was_seen_is_known_to_the_next_and_may_be_taken_back(tmp_path: Path) -> None:
    state, root = tmp_path / "state", tmp_path / "a long name of a folder"
    with closing(held(state, root)) as first:
        assert first.seen == 0
        first.begin(0)
        first.raise_to(41)
        first.raise_to(42)
    with closing(held(state, tmp_path / "short")) as second:
        assert second.seen == 42
        second.begin(7)
        assert second.seen == 7


def test_of_two_at_once_one_is_locked_out_and_told_of_the_other(tmp_path: Path) -> None:
    with closing(held(tmp_path, tmp_path / "one")) as first:
        first.begin(3)
        with pytest.raises(JobLocked, match=f"at work: {tmp_path / 'one'}"):
            held(tmp_path, tmp_path / "other")
    with closing(held(tmp_path, tmp_path / "other")) as third:
        assert third.seen == 3


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"events": "x"}', b"\0" * 40, b"[" * 100_000]
)
def test_a_damaged_file_says_nothing(tmp_path: Path, content: bytes) -> None:
    with closing(held(tmp_path, tmp_path)) as made:
        made.begin(1)
    (file,) = (tmp_path / "jobs").iterdir()
    file.write_bytes(content)
    with closing(held(tmp_path, tmp_path)) as witness:
        assert witness.seen == 0
        with pytest.raises(JobLocked, match="not named"):
            held(tmp_path, tmp_path)
        witness.begin(5)
        assert witness.seen == 5


def test_where_it_cannot_be_made_all_goes_on(tmp_path: Path) -> None:
    (tmp_path / "jobs").touch()
    with closing(held(tmp_path, tmp_path)) as witness:
        witness.begin(1)
        witness.raise_to(2)
        assert witness.seen == 0


def test_where_the_disk_of_a_job_is_not_mounted_no_other_job_begins(tmp_path: Path) -> None:
    root = tmp_path / "disk" / "out"
    with closing(held(tmp_path, root)) as witness:
        witness.begin(1)
    (file,) = (tmp_path / "jobs").iterdir()
    refuse_unmounted(tmp_path, root)  # that of / always is

    said = json.loads(file.read_text())
    file.write_text(json.dumps({**said, "mount": str(tmp_path / "disk")}))

    with pytest.raises(FolderRefused, match=f"not mounted.* remove {file}"):
        refuse_unmounted(tmp_path, root)
    refuse_unmounted(tmp_path, root.with_name("another"))
    file.unlink()
    refuse_unmounted(tmp_path, root)


@pytest.mark.parametrize("spelled", ["disk/out", "disk/../disk/out", "link/out"])
def test_a_folder_is_known_however_it_is_spelled(tmp_path: Path, spelled: str) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    with closing(held(tmp_path, tmp_path / spelled)) as witness:
        witness.begin(1)
    (file,) = (tmp_path / "jobs").iterdir()
    said = json.loads(file.read_text())

    assert said["folder"] == str(tmp_path / "disk" / "out")
    assert os.path.ismount(said["mount"])
    file.write_text(json.dumps({**said, "mount": str(tmp_path / "disk")}))
    with pytest.raises(FolderRefused):
        refuse_unmounted(tmp_path, tmp_path / "disk" / "out")


def test_what_cannot_be_looked_into_refuses_nothing(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")

    refuse_unmounted(loop, tmp_path)
    assert job_folders(loop) == []
