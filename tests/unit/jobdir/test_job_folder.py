from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_runner.errors import FolderRefused, JobLocked, JournalUnreadable
from batch_runner.jobdir.fallback_log import EMERGENCY_BYTES, FallbackLog
from batch_runner.jobdir.layout import JobFolder, Lock, Marker

JOB = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    made = JobFolder(tmp_path / "out")
    made.prepare()
    return made


@pytest.fixture
def marker(folder: JobFolder) -> Iterator[Marker]:
    made = Marker(folder)
    made.write(JOB, "cards")
    yield made
    made.close()


@pytest.fixture
def emergency(folder: JobFolder) -> Iterator[FallbackLog]:
    made = FallbackLog(folder)
    yield made
    made.close()


def test_folders_are_made_for_their_owner_only(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "deep" / "out")

    folder.prepare()
    folder.prepare()

    for path in (folder.root, folder.batch, folder.parts, folder.logs):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert list(folder.parts.iterdir()) == []


def test_a_file_in_the_way_is_named_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("not a folder")

    with pytest.raises(FolderRefused, match=r"out cannot be used: File exists; choose another"):
        JobFolder(tmp_path / "out").prepare()


def test_a_link_to_elsewhere_is_not_written_through(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "out")
    folder.root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    folder.batch.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(FolderRefused, match="is a link"):
        folder.prepare()

    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_a_killed_run_left_half_written_is_removed_and_nothing_else(
    folder: JobFolder,
) -> None:
    (folder.parts / "a.part").write_bytes(b"half")
    (folder.root / "card.png").write_bytes(b"whole")

    folder.clear_parts()

    assert list(folder.parts.iterdir()) == []
    assert (folder.root / "card.png").read_bytes() == b"whole"


def test_a_job_is_held_once_and_the_second_is_told_by_whom(folder: JobFolder) -> None:
    with Lock(folder), pytest.raises(JobLocked) as caught:
        Lock(folder)

    said = str(caught.value)
    assert f"another run holds {folder.root}" in said
    assert f"process {os.getpid()} on {socket.gethostname()}, since " in said


def test_a_lock_that_was_let_go_can_be_taken_again(folder: JobFolder) -> None:
    Lock(folder).release()

    with Lock(folder):
        pass


def test_a_lock_file_that_an_ended_run_left_holds_nobody_up(folder: JobFolder) -> None:
    (folder.batch / "lock").write_text('{"pid": 1, "host": "gone", "since": 0}' + " " * 500)

    with Lock(folder):
        owner = json.loads((folder.batch / "lock").read_text())

    assert owner["pid"] == os.getpid()


def test_who_only_looks_keeps_no_run_from_its_job(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    Lock(folder).release()
    looking = os.open(folder.batch / "lock", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda _: os.close(looking))

    with Lock(folder):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid":1,"host":"a","since":"x"}'])
def test_an_owner_that_cannot_be_read_still_holds_the_job(folder: JobFolder, text: str) -> None:
    with Lock(folder):
        (folder.batch / "lock").write_text(text)

        with pytest.raises(JobLocked, match="its owner did not write its name"):
            Lock(folder)


def test_a_folder_without_a_marker_says_nothing(folder: JobFolder) -> None:
    assert Marker(folder).read() is None


def test_a_new_marker_names_its_job_and_no_event(marker: Marker, folder: JobFolder) -> None:
    assert marker.read() == {"job": JOB, "events": 0}
    assert [path.name for path in folder.root.iterdir() if path.is_file()] == [folder.marker.name]


def test_a_marker_is_raised_in_place(marker: Marker, folder: JobFolder) -> None:
    size, inode = folder.marker.stat().st_size, folder.marker.stat().st_ino

    for events in (1, 99, 100_000):
        marker.raise_to(events)
        assert Marker(folder).read() == {"job": JOB, "events": events}

    assert (folder.marker.stat().st_size, folder.marker.stat().st_ino) == (size, inode)
    assert json.loads(folder.marker.read_text())["name"] == "cards"


def test_a_name_like_the_counter_does_not_mislead_the_marker(folder: JobFolder) -> None:
    marker = Marker(folder)
    marker.write(JOB, '"events": "7')

    marker.raise_to(5)
    marker.close()

    assert Marker(folder).read() == {"job": JOB, "events": 5}


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "{}", '{"job": "a"}', '{"job": "a", "events": "many"}', "\udcff"],
)
def test_a_damaged_marker_is_refused_with_a_way_out(folder: JobFolder, text: str) -> None:
    folder.marker.write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(JournalUnreadable, match=r"is damaged.*if you are sure it is, remove"):
        Marker(folder).read()


def test_the_room_for_an_emergency_is_there_before_it_is_needed(
    emergency: FallbackLog, folder: JobFolder
) -> None:
    emergency.reserve()
    emergency.reserve()

    assert folder.emergency.stat().st_size == EMERGENCY_BYTES
    assert folder.emergency.stat().st_blocks * 512 >= EMERGENCY_BYTES
    assert list(emergency.entries()) == []


@pytest.mark.parametrize("reserved", [True, False])
def test_what_is_kept_comes_back_in_its_order(
    emergency: FallbackLog, folder: JobFolder, reserved: bool
) -> None:
    if reserved:
        emergency.reserve()

    for number in range(5):
        emergency.append({"key": f"{number}", "message": "第一行\nsecond line"})

    assert [entry["key"] for entry in emergency.entries()] == list("01234")
    assert next(emergency.entries())["message"] == "第一行\nsecond line"
    assert folder.emergency.stat().st_size == EMERGENCY_BYTES or not reserved


def test_room_is_made_again_without_losing_what_is_kept(
    emergency: FallbackLog, folder: JobFolder
) -> None:
    emergency.append({"key": "a"})

    emergency.reserve()
    emergency.append({"key": "b"})

    assert [entry["key"] for entry in emergency.entries()] == ["a", "b"]


def test_an_emergency_without_a_free_descriptor_is_kept(
    emergency: FallbackLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    emergency.reserve()

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(os, "open", refuse)
    emergency.append({"key": "a"})
    monkeypatch.undo()

    assert [entry["key"] for entry in emergency.entries()] == ["a"]


def test_more_than_there_was_room_for_is_kept_too(
    emergency: FallbackLog, folder: JobFolder
) -> None:
    emergency.reserve()

    for number in range(70):
        emergency.append({"key": number, "message": "x" * 1000})

    assert [entry["key"] for entry in emergency.entries()] == list(range(70))


def test_a_torn_last_line_is_passed_over(emergency: FallbackLog, folder: JobFolder) -> None:
    emergency.append({"key": "a"})
    with folder.emergency.open("ab") as file:
        file.write(b'{"key": "b", "tas')

    assert list(emergency.entries()) == [{"key": "a"}]


def test_a_torn_line_does_not_take_the_next_one_with_it(
    emergency: FallbackLog, folder: JobFolder
) -> None:
    emergency.append({"key": "a"})
    with folder.emergency.open("ab") as file:
        file.write(b'{"key": "b", "tas')

    emergency.append({"key": "c"})

    assert [entry["key"] for entry in emergency.entries()] == ["a", "c"]


def test_lines_that_are_no_entries_are_passed_over(
    emergency: FallbackLog, folder: JobFolder
) -> None:
    folder.emergency.write_bytes(b'null\n[]\n"x"\n\xff\xfe\n{"key": "a"}\n')

    assert list(emergency.entries()) == [{"key": "a"}]


def test_nothing_is_kept_after_it_was_brought_in(emergency: FallbackLog, folder: JobFolder) -> None:
    emergency.append({"key": "a"})

    emergency.clear()
    emergency.clear()

    assert list(emergency.entries()) == []
