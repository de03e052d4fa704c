"""Bytes that are not accepted: where they are kept, how many, and how long."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batch_runner.jobdir.paths import JobFolder
from batch_runner.models import Received
from batch_runner.storage.partial_file import PartialFile
from batch_runner.storage.set_aside import AsideFolder

TASK, OTHER = "a" * 32, "b" * 32
SVG = b"<svg></svg>"


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    made = JobFolder(tmp_path / "out")
    made.prepare()
    return made


def a_part(folder: JobFolder, data: bytes, *, length_known: bool = True) -> PartialFile:
    part = PartialFile(folder, max_bytes=10_000_000)
    part.write(data)
    part.received = Received(length_known=length_known)
    return part


def kept_in(folder: JobFolder) -> list[str]:
    files = (path for task in folder.aside.iterdir() for path in task.iterdir())
    return sorted(f"{path.parent.name[0]}/{path.name}" for path in files)


def test_bytes_are_kept_by_task_with_the_ending_of_their_type(folder: JobFolder) -> None:
    aside = AsideFolder(folder)

    found = aside.keep(a_part(folder, SVG), TASK, "card-1")
    aside.keep(a_part(folder, b"busy", length_known=False), OTHER, "card-10")

    assert found.place == str(folder.aside / TASK / "card-1.svg")
    assert not found.again
    assert kept_in(folder) == ["a/card-1.svg", "b/card-10.txt.unverified"]
    assert (folder.aside / TASK / "card-1.svg").read_bytes() == SVG
    assert (folder.aside / TASK).stat().st_mode & 0o077 == 0
    assert (folder.aside / TASK / "card-1.svg").stat().st_mode & 0o077 == 0
    assert [path.name for path in aside.find(TASK, "card-1")] == ["card-1.svg"]
    assert aside.find(OTHER, "card-10") == []
    assert aside.find(OTHER, "card-1") == []


def test_bytes_of_a_file_in_a_folder_are_kept_beside_the_others(folder: JobFolder) -> None:
    aside = AsideFolder(folder)

    aside.keep(a_part(folder, SVG), TASK, "ink/card")

    assert kept_in(folder) == ["a/ink-card.svg"]
    assert [path.name for path in aside.find(TASK, "ink/card")] == ["ink-card.svg"]


def test_same_bytes_again_are_recognized_and_kept_once(folder: JobFolder) -> None:
    aside = AsideFolder(folder)
    aside.keep(a_part(folder, SVG), TASK, "card")

    assert aside.keep(a_part(folder, SVG), TASK, "card").again
    assert not aside.keep(a_part(folder, b"busy"), TASK, "card").again
    assert kept_in(folder) == ["a/card.2.txt", "a/card.svg"]


def test_first_and_newest_bytes_are_kept(folder: JobFolder) -> None:
    aside = AsideFolder(folder)
    for data in (SVG, b"busy", b"{}", b"closed"):
        aside.keep(a_part(folder, data), TASK, "card")

    assert kept_in(folder) == ["a/card.2.txt", "a/card.svg"]
    assert aside.find(TASK, "card")[0].read_bytes() == b"closed"


def test_bytes_over_the_limit_of_the_job_are_not_kept(folder: JobFolder) -> None:
    aside = AsideFolder(folder, max_bytes=25)
    aside.keep(a_part(folder, SVG), TASK, "one")
    aside.keep(a_part(folder, SVG), OTHER, "two")

    assert aside.keep(a_part(folder, SVG + b" "), OTHER, "three").place is None
    assert kept_in(folder) == ["a/one.svg", "b/two.svg"]

    aside.clear(TASK)
    assert aside.keep(a_part(folder, SVG + b" "), OTHER, "three").place is not None
    assert kept_in(folder) == ["b/three.svg", "b/two.svg"]


def test_large_bytes_are_kept_from_the_disk(folder: JobFolder) -> None:
    data = os.urandom(3_000_000)
    part = a_part(folder, data[:2_000_000])
    part.flush()
    part.write(data[2_000_000:])

    found = AsideFolder(folder).keep(part, TASK, "card")

    assert found.place is not None
    assert Path(found.place).read_bytes() == data
    part.discard()
    assert list(folder.parts.iterdir()) == []


def test_longest_name_is_kept(folder: JobFolder) -> None:
    name, aside = "马" * 82, AsideFolder(folder)

    assert aside.keep(a_part(folder, SVG), TASK, name).place is not None
    assert aside.keep(a_part(folder, SVG), TASK, name).again


def test_failing_disk_is_no_error(folder: JobFolder) -> None:
    folder.aside.write_text("in the way")
    aside = AsideFolder(folder)

    assert aside.keep(a_part(folder, SVG), TASK, "card").place is None
    aside.clear(TASK)
    assert aside.find(TASK, "card") == []
