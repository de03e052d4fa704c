"""Placing files, step by step: what the contract tests cannot see from outside."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path

import pytest
from PIL import Image

from batch_runner.errors import DiskFailed, FileRejected
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import results_of
from batch_runner.models import PlacedFile
from batch_runner.storage.partial_file import PartialFile, supports_unnamed_files
from batch_runner.storage.placing import Placement, place_all
from batch_runner.storage.verify import find_damage
from tests.harness.images import png_bytes

ENOUGH = 50_000_000


def partial_file(folder: JobFolder, data: bytes = b"", max_bytes: int = ENOUGH) -> PartialFile:
    part = PartialFile(folder, max_bytes=max_bytes)
    if data:
        part.write(data)
    return part


def place(part: PartialFile, name: str) -> PlacedFile:
    placement = Placement(part, name)
    place_all(part.folder, [placement])
    return placement.outcome()


def path_of(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def results(folder: JobFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.root.iterdir() if path.is_file()}


def test_source_that_cannot_be_read_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "out")
    folder.prepare()

    for source in ("/proc/self/mem", str(tmp_path), str(tmp_path / "missing")):
        part = partial_file(folder)
        assert part.copy_from(Path(source)) is None
        part.discard()


@pytest.fixture(params=["unnamed", "named"])
def folder(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> JobFolder:
    """Return a job folder on a file system with unnamed files, and on one without."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE")
    made = JobFolder(tmp_path / "out")
    made.prepare()
    assert supports_unnamed_files(made.parts) is (request.param == "unnamed")
    return made


def test_file_is_placed_in_the_folders_of_its_name(folder: JobFolder) -> None:
    data = png_bytes()

    placed = place(partial_file(folder, data), "ink/a.b/card")
    beside = place(partial_file(folder, png_bytes("blue")), "ink/a.b/card")

    assert placed.name == "ink/a.b/card.png"
    assert (folder.root / "ink" / "a.b" / "card.png").read_bytes() == data
    assert beside.name.startswith("ink/a.b/card~")
    assert find_damage(results_of(folder), placed) is None
    assert find_damage(results_of(folder), beside) is None


def test_results_have_the_modes_that_the_umask_allows(folder: JobFolder, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "file").touch()

    place(partial_file(folder, png_bytes()), "ink/card")

    for made, plain in (("ink", "plain"), ("ink/card.png", "plain/file")):
        mode = (folder.root / made).stat().st_mode
        assert mode == (tmp_path / plain).stat().st_mode


def test_long_name_is_cut_in_its_last_part(folder: JobFolder) -> None:
    name = "x" * 200 + "/" + "y" * 251
    place(partial_file(folder, png_bytes()), name)

    placed = place(partial_file(folder, png_bytes("blue")), name)

    assert placed.name.startswith("x" * 200 + "/" + "y" * 242 + "~")


def test_every_folder_of_a_new_file_is_synced(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("batch_runner.storage.placing.sync_folder", synced.append)

    place(partial_file(folder, png_bytes()), "a/b/card")

    assert [path.relative_to(folder.root).as_posix() for path in synced] == ["a/b", "a", "."]


@pytest.mark.parametrize("kind", ["link", "file"])
def test_folder_that_is_none_gets_no_file(folder: JobFolder, tmp_path: Path, kind: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if kind == "link":
        (folder.root / "ink").symlink_to(elsewhere)
    else:
        (folder.root / "ink").write_text("mine")

    with pytest.raises(DiskFailed, match=f"ink is (a symbolic {kind}|not a folder); remove it"):
        place(partial_file(folder, png_bytes()), "ink/b/card")

    assert list(elsewhere.iterdir()) == []
    place(partial_file(folder, png_bytes()), "paper/card")


def test_symlink_is_neither_followed_nor_taken_as_the_file(
    folder: JobFolder, tmp_path: Path
) -> None:
    data = png_bytes()
    (tmp_path / "elsewhere.png").write_bytes(data)
    (folder.root / "card.png").symlink_to(tmp_path / "elsewhere.png")

    placed = place(partial_file(folder, data), "card")

    assert placed.name != "card.png"
    assert (folder.root / "card.png").is_symlink()


def test_longest_name_is_cut_to_make_it_unique(folder: JobFolder) -> None:
    name = "马" * 82 + "x" * 5  # 251 bytes, and four of the ending
    (folder.root / f"{name}.png").write_bytes(b"taken")

    placed = place(partial_file(folder, png_bytes()), name)

    assert len(placed.name.encode()) <= 255
    assert placed.name.startswith("马" * 70)
    assert placed.name.endswith(f"~{placed.sha256[:8]}.png")
    assert (folder.root / placed.name).read_bytes() == png_bytes()


def test_large_file_is_flushed_to_disk(folder: JobFolder) -> None:
    data = png_bytes(noise=700)
    part = partial_file(folder)

    for at in range(0, len(data), 1 << 16):
        part.write(data[at : at + (1 << 16)])
        if part.buffer_full:
            part.flush()
    there = [path.stat().st_size for path in folder.parts.iterdir()]
    assert there == ([] if supports_unnamed_files(folder.parts) else [1 << 20])

    placed = place(part, "card")
    assert placed.sha256 == hashlib.sha256(data).hexdigest()
    assert results(folder) == {"card.png": data}
    assert list(folder.parts.iterdir()) == []


@pytest.mark.parametrize("flushed", [False, True])
def test_cut_off_file_leaves_nothing(folder: JobFolder, flushed: bool) -> None:
    part = partial_file(folder, png_bytes()[:-5])
    if flushed:
        part.flush()

    with pytest.raises(FileRejected, match="cut off"):
        place(part, "card")
    part.discard()

    assert results(folder) == {}
    assert list(folder.parts.iterdir()) == []


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP"])
def test_label_after_the_end_is_placed_and_no_damage(tmp_path: Path, form: str) -> None:
    folder = JobFolder(tmp_path)
    folder.prepare()
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, form)
    data = file.getvalue() + b'AIGC{"Label":"1"}'

    placed = place(partial_file(folder, data), "card")

    assert find_damage(results_of(folder), placed, deep=True) is None
    assert (folder.root / placed.name).read_bytes() == data


def test_crash_before_the_link_leaves_no_final_name(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The final name is linked last, to a complete file."""

    def die(part: str, target: str, **options: object) -> None:
        assert Path(part).read_bytes() == png_bytes()
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", die)

    with pytest.raises(KeyboardInterrupt):
        place(partial_file(folder, png_bytes()), "card")

    assert results(folder) == {}


def test_file_system_without_hard_links_gets_the_files(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(part: str, target: str, **options: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    supports_unnamed_files.cache_clear()

    first = place(partial_file(folder, png_bytes("red")), "card")
    second = place(partial_file(folder, png_bytes("blue")), "card")

    assert results(folder) == {first.name: png_bytes("red"), second.name: png_bytes("blue")}
    assert list(folder.parts.iterdir()) == []


def test_bytes_are_synced_before_names_and_names_before_done(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a power cut could show it: after a kill, unsynced bytes are read back from memory."""
    unnamed = supports_unnamed_files(folder.parts)
    steps: list[str] = []
    sync, name = os.fsync, os.link

    def note_sync(descriptor: int) -> None:
        where = path_of(descriptor)
        steps.append("folder" if where == folder.root else "file")
        sync(descriptor)

    def note_name(part: str, target: str, **options: object) -> None:
        steps.append("name")
        name(part, target, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "link", note_name)
    placements = [
        Placement(partial_file(folder, png_bytes(color)), color) for color in ("red", "blue")
    ]

    place_all(folder, placements)

    again = ["file", "file"] if unnamed else []
    assert steps == ["file", "file", "name", "name", *again, "folder"]
    assert all(placement.placed is not None for placement in placements)


def test_failed_folder_sync_is_a_failure(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if path_of(descriptor) == folder.root:
            raise OSError(errno.EIO, "input/output error")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)

    with pytest.raises(DiskFailed):
        place(partial_file(folder, png_bytes()), "card")


def test_short_file_after_sync_is_not_linked(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def cut_off(descriptor: int) -> None:
        sync(descriptor)
        if not path_of(descriptor).is_dir():
            os.ftruncate(descriptor, 10)

    monkeypatch.setattr(os, "fsync", cut_off)

    with pytest.raises(DiskFailed, match="fewer bytes"):
        place(partial_file(folder, png_bytes()), "card")
    assert results(folder) == {}


def test_failed_close_does_not_keep_others_from_discard(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    close = os.close

    def fail_once(descriptor: int) -> None:
        is_folder = path_of(descriptor).is_dir()
        close(descriptor)
        if not is_folder:
            closed.append(descriptor)
            if len(closed) == 1:
                raise OSError(errno.EIO, "input/output error")

    placements = [
        Placement(partial_file(folder, png_bytes(color)), color) for color in ("red", "blue")
    ]
    supports_unnamed_files(folder.parts)
    monkeypatch.setattr(os, "close", fail_once)
    place_all(folder, placements)
    for placement in placements:
        placement.part.discard()
    monkeypatch.undo()

    assert len(closed) == 2
    assert set(results(folder)) == {"red.png", "blue.png"}
    assert list(folder.parts.iterdir()) == []


def test_damaged_file_does_not_affect_files_placed_with_it(folder: JobFolder) -> None:
    good = png_bytes()
    contents = {"a": good, "b": good[:-5], "c": good}
    placements = [Placement(partial_file(folder, data), name) for name, data in contents.items()]

    place_all(folder, placements)

    assert [placements[n].outcome().name for n in (0, 2)] == ["a.png", "c.png"]
    with pytest.raises(FileRejected):
        placements[1].outcome()
    assert results(folder).keys() == {"a.png", "c.png"}
    assert not list(folder.parts.iterdir())
