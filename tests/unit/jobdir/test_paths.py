from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from batch_runner.errors import FolderRefused
from batch_runner.jobdir.paths import JobFolder, find_job
from batch_runner.util.fs import temporary_name


def test_folders_but_that_of_results_are_private(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "deep" / "out")
    plain = tmp_path / "plain"
    plain.mkdir()

    folder.prepare()
    folder.prepare()

    assert folder.root.stat().st_mode == plain.stat().st_mode
    for path in (folder.batch, folder.parts, folder.logs):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert list(folder.parts.iterdir()) == []


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("not a folder")

    with pytest.raises(FolderRefused, match=r"out cannot be used: File exists; choose another"):
        JobFolder(tmp_path / "out").prepare()


def test_link_in_place_of_the_batch_folder_is_refused(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "out")
    folder.root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    folder.batch.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(FolderRefused, match="is a symbolic link; remove it"):
        folder.prepare()

    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_clear_parts_removes_only_incomplete_files(folder: JobFolder) -> None:
    (folder.parts / "a.part").write_bytes(b"half")
    (folder.root / "card.png").write_bytes(b"complete")

    folder.clear_parts()

    assert list(folder.parts.iterdir()) == []
    assert (folder.root / "card.png").read_bytes() == b"complete"


def test_clear_parts_of_a_cluster_job_keeps_what_others_write(folder: JobFolder) -> None:
    folder.cluster.write_text("{}")
    with subprocess.Popen(["sleep", "60"]) as process:
        own = temporary_name(".part")
        of_living = own.replace(f"-{os.getpid()}-", f"-{process.pid}-")
        of_other_host = f"another-{own}"
        names = [own, of_living, of_other_host, "unknown.part"]
        for name in names:
            (folder.parts / name).write_bytes(b"half")

        folder.clear_parts()
        while_living = {path.name for path in folder.parts.iterdir()}
        process.kill()
    folder.clear_parts()

    assert while_living == {of_living, of_other_host, "unknown.part"}
    assert {path.name for path in folder.parts.iterdir()} == {of_other_host, "unknown.part"}


@pytest.mark.parametrize("name", ["journal.sqlite", "cluster.json"])
def test_folder_with_a_journal_of_any_kind_has_a_job(folder: JobFolder, name: str) -> None:
    before = folder.has_job()
    (folder.batch / name).write_text("{}")

    assert (before, folder.has_job()) == (False, True)
    assert find_job(folder.root, folder.root.parent) == folder.root
