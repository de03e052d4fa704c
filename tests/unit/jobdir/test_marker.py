from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_runner.errors import JournalUnreadable
from batch_runner.jobdir.marker import Marker, MarkerRecord
from batch_runner.jobdir.paths import JobFolder

JOB = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def marker(folder: JobFolder) -> Iterator[Marker]:
    made = Marker(folder)
    made.write(JOB, "cards")
    yield made
    made.close()


def test_missing_marker_reads_as_none(folder: JobFolder) -> None:
    assert Marker(folder).read() is None


def test_new_marker_has_its_job_and_no_event(marker: Marker, folder: JobFolder) -> None:
    assert marker.read() == MarkerRecord(JOB, 0)
    assert [path.name for path in folder.root.iterdir() if path.is_file()] == [folder.marker.name]


def test_last_event_is_overwritten_in_place(marker: Marker, folder: JobFolder) -> None:
    size, inode = folder.marker.stat().st_size, folder.marker.stat().st_ino

    for number in (1, 99, 100_000):
        marker.set_last_event(number)
        assert Marker(folder).read() == MarkerRecord(JOB, number)

    assert (folder.marker.stat().st_size, folder.marker.stat().st_ino) == (size, inode)
    assert json.loads(folder.marker.read_text())["name"] == "cards"


def test_job_name_that_looks_like_the_counter_is_kept(folder: JobFolder) -> None:
    marker = Marker(folder)
    marker.write(JOB, '"events": "7')

    marker.set_last_event(5)
    marker.close()

    assert Marker(folder).read() == MarkerRecord(JOB, 5)


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "{}", '{"job": "a"}', '{"job": "a", "events": "many"}', "\udcff"],
)
def test_damaged_marker_is_refused(folder: JobFolder, text: str) -> None:
    folder.marker.write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(JournalUnreadable, match=r"is damaged.*if you are sure.*remove this file"):
        Marker(folder).read()


def _write_and_die(folder: JobFolder) -> None:
    Path.replace = lambda *_: os._exit(9)  # type: ignore[method-assign]
    Marker(folder).write(JOB, "cards")


def test_kill_while_writing_leaves_nothing_among_the_results(folder: JobFolder) -> None:
    process = multiprocessing.get_context("fork").Process(target=_write_and_die, args=(folder,))
    process.start()
    process.join()

    assert process.exitcode == 9
    assert [path.name for path in folder.root.iterdir()] == [folder.batch.name]
    folder.clear_parts()
    assert list(folder.parts.iterdir()) == []
