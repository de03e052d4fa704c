from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import stat
from pathlib import Path

import pytest

from batch_runner.util import fs
from batch_runner.util.fs import (
    MAX_FILE_NAME,
    file_sha256,
    link_new,
    replace_file,
    sync_file,
    sync_folder,
    truncate_file_name,
    write_all,
)


def test_short_writes_are_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    written = bytearray()

    def write_three_bytes(descriptor: int, data: memoryview) -> int:
        written.extend(data[:3])
        return len(data[:3])

    monkeypatch.setattr(os, "write", write_three_bytes)

    write_all(7, b"eleven bytes")

    assert written == b"eleven bytes"


def test_write_of_zero_bytes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda descriptor, data: 0)

    with pytest.raises(OSError, match="returned 0 bytes"):
        write_all(7, b"bytes")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that cannot be synced")
def test_unsyncable_folder_is_a_single_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fs, "_warned", set())

    with caplog.at_level(logging.WARNING):
        sync_folder(Path("/proc/self"))
        sync_folder(Path("/proc/self"))

    assert len(caplog.records) == 1
    assert "/proc/self cannot sync folders" in caplog.text


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.EINVAL])
def test_full_sync_of_macos_is_used_where_it_works(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    asked: list[str] = []
    failure: list[OSError] = []

    def full_sync(descriptor: int, command: int) -> None:
        asked.append(f"fcntl {descriptor} {command}")
        if failure:
            raise failure[0]

    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", full_sync)
    monkeypatch.setattr(os, "fsync", lambda descriptor: asked.append(f"fsync {descriptor}"))

    sync_file(7)
    failure[:] = [OSError(number, "a network drive")]
    sync_file(8)
    failure[:] = [OSError(errno.EIO, "a broken disk")]
    with pytest.raises(OSError, match="a broken disk"):
        sync_file(9)

    assert asked == ["fcntl 7 51", "fcntl 8 51", "fsync 8", "fcntl 9 51"]


def test_link_new_keeps_an_existing_file(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")

    assert not link_new(tmp_path / "new", tmp_path / "old")
    assert link_new(tmp_path / "new", tmp_path / "free")

    assert (tmp_path / "old").read_text() == "old"
    assert (tmp_path / "free").read_text() == "new"


def test_replaced_file_has_new_content_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    with replace_file(path, mode=0o600) as out:
        out.write(b"new")
        assert path.read_text() == "old"

    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_failed_replacement_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    with pytest.raises(TypeError), replace_file(path) as out:
        out.write("no bytes")  # type: ignore[call-overload]

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_file_sha256_of_large_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)

    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_long_file_name_is_cut_between_characters() -> None:
    assert truncate_file_name("card", ".png") == "card.png"
    name = truncate_file_name("贺" * 100, "~1234.png")
    assert len(name.encode()) in range(MAX_FILE_NAME - 2, MAX_FILE_NAME + 1)
    assert name.endswith("贺~1234.png")
