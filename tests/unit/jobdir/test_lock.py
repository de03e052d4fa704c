from __future__ import annotations

import fcntl
import json
import os
import socket
import time

import pytest

from batch_runner.errors import JobLocked
from batch_runner.jobdir.lock import Lock, lock_owner
from batch_runner.jobdir.paths import JobFolder


def test_second_lock_is_refused_and_names_the_owner(folder: JobFolder) -> None:
    with Lock(folder), pytest.raises(JobLocked) as caught:
        Lock(folder)

    message = str(caught.value)
    assert f"another run holds {folder.root}" in message
    assert f"process {os.getpid()} on {socket.gethostname()}, since " in message


def test_released_lock_can_be_taken_again(folder: JobFolder) -> None:
    Lock(folder).release()

    with Lock(folder):
        pass


def test_lock_file_of_an_ended_run_is_taken_over(folder: JobFolder) -> None:
    folder.lock.write_text('{"pid": 1, "host": "other", "since": 0}' + " " * 500)
    assert lock_owner(folder) is None

    with Lock(folder):
        owner = json.loads(folder.lock.read_text())

    assert owner["pid"] == os.getpid()


def test_lock_waits_for_a_reader_of_its_owner(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    Lock(folder).release()
    reader = os.open(folder.lock, os.O_RDONLY)
    fcntl.flock(reader, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda _: os.close(reader))

    with Lock(folder):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid":1,"host":"a","since":"x"}'])
def test_unreadable_owner_still_holds_the_lock(folder: JobFolder, text: str) -> None:
    with Lock(folder):
        folder.lock.write_text(text)

        assert lock_owner(folder) == "owner unknown"
        with pytest.raises(JobLocked, match="owner unknown"):
            Lock(folder)
