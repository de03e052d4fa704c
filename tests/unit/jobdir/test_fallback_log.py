from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest

from batch_runner.jobdir.fallback_log import RESERVED_BYTES, FallbackLog
from batch_runner.jobdir.paths import JobFolder


@pytest.fixture
def log(folder: JobFolder) -> Iterator[FallbackLog]:
    made = FallbackLog(folder)
    yield made
    made.close()


def test_reserve_allocates_the_space_once(log: FallbackLog, folder: JobFolder) -> None:
    log.reserve()
    log.reserve()

    assert folder.fallback_log.stat().st_size == RESERVED_BYTES
    assert folder.fallback_log.stat().st_blocks * 512 >= RESERVED_BYTES
    assert list(log.entries()) == []


@pytest.mark.parametrize("reserved", [True, False])
def test_entries_come_back_in_order(log: FallbackLog, folder: JobFolder, reserved: bool) -> None:
    if reserved:
        log.reserve()

    for number in range(5):
        log.append({"key": f"{number}", "message": "第一行\nsecond line"})

    assert [entry["key"] for entry in log.entries()] == list("01234")
    assert next(log.entries())["message"] == "第一行\nsecond line"
    assert folder.fallback_log.stat().st_size == RESERVED_BYTES or not reserved


def test_reserve_keeps_existing_entries(log: FallbackLog) -> None:
    log.append({"key": "a"})

    log.reserve()
    log.append({"key": "b"})

    assert [entry["key"] for entry in log.entries()] == ["a", "b"]


def test_append_works_without_a_free_descriptor(
    log: FallbackLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.reserve()

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(os, "open", refuse)
    log.append({"key": "a"})
    monkeypatch.undo()

    assert [entry["key"] for entry in log.entries()] == ["a"]


def test_entries_beyond_the_reserved_space_are_kept(log: FallbackLog) -> None:
    log.reserve()

    for number in range(70):
        log.append({"key": number, "message": "x" * 1000})

    assert [entry["key"] for entry in log.entries()] == list(range(70))


def test_torn_last_line_is_skipped(log: FallbackLog, folder: JobFolder) -> None:
    log.append({"key": "a"})
    with folder.fallback_log.open("ab") as file:
        file.write(b'{"key": "b", "tas')

    assert list(log.entries()) == [{"key": "a"}]


def test_entry_after_a_torn_line_is_read(log: FallbackLog, folder: JobFolder) -> None:
    log.append({"key": "a"})
    with folder.fallback_log.open("ab") as file:
        file.write(b'{"key": "b", "tas')

    log.append({"key": "c"})

    assert [entry["key"] for entry in log.entries()] == ["a", "c"]


def test_lines_that_are_no_entries_are_skipped(log: FallbackLog, folder: JobFolder) -> None:
    folder.fallback_log.write_bytes(b'null\n[]\n"x"\n\xff\xfe\n{"key": "a"}\n')

    assert list(log.entries()) == [{"key": "a"}]


def test_cleared_log_is_empty(log: FallbackLog) -> None:
    log.append({"key": "a"})

    log.keep_only([])
    log.keep_only([])

    assert list(log.entries()) == []
