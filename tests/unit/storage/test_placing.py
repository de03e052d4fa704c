from __future__ import annotations

import errno
import hashlib
import io
import os
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from batch_runner.errors import DiskFailed, FileRejected
from batch_runner.jobdir.layout import JobFolder
from batch_runner.models import PlacedFile
from batch_runner.storage.partial_file import PartialFile, takes_nameless
from batch_runner.storage.placing import Placement, damage, missing, output_names, place_all

ENOUGH = 50_000_000


def png_bytes(colour: str = "red", *, noise: int = 0) -> bytes:
    """Return a small picture; with `noise`, one of that many pixels squared that cannot shrink."""
    file = io.BytesIO()
    if noise:
        Image.frombytes("RGB", (noise, noise), os.urandom(3 * noise**2)).save(file, "PNG")
    else:
        Image.new("RGB", (8, 8), colour).save(file, "PNG")
    return file.getvalue()


def a_part(folder: JobFolder, data: bytes = b"", max_bytes: int = ENOUGH) -> PartialFile:
    part = PartialFile(folder, max_bytes=max_bytes)
    if data:
        part.feed(data)
    return part


def place(part: PartialFile, name: str) -> PlacedFile:
    placing = Placement(part, name)
    place_all(part.folder, [placing])
    return placing.outcome()


def behind(descriptor: int) -> Path:
    """Return the path of an open file or folder."""
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def results(folder: JobFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.root.iterdir() if path.is_file()}


@pytest.fixture(params=["nameless", "named"])
def folder(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> JobFolder:
    """A job's folder, on a file system that has files without a name, and on one that has none."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE")
    made = JobFolder(tmp_path / "out")
    made.prepare()
    assert takes_nameless(made.parts) is (request.param == "nameless")
    return made


def test_a_whole_file_stands_under_its_name_with_the_extension_it_deserves(
    folder: JobFolder,
) -> None:
    data = png_bytes()

    placed = place(a_part(folder, data), "card")

    assert results(folder) == {"card.png": data}
    assert placed == PlacedFile(
        name="card.png",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        media_type="image/png",
    )
    assert list(folder.parts.iterdir()) == []


def test_bytes_come_in_any_chunks(folder: JobFolder) -> None:
    data = png_bytes()
    part = a_part(folder)

    for at in range(0, len(data), 7):
        part.feed(data[at : at + 7])
    place(part, "card")

    assert results(folder) == {"card.png": data}


def test_what_stands_there_already_keeps_its_name_and_its_bytes(folder: JobFolder) -> None:
    (folder.root / "card.png").write_bytes(b"somebody else's")
    data = png_bytes()

    placed = place(a_part(folder, data), "card")

    assert placed.name == f"card~{hashlib.sha256(data).hexdigest()[:8]}.png"
    assert results(folder) == {"card.png": b"somebody else's", placed.name: data}


def test_two_items_of_one_name_get_two_files(folder: JobFolder) -> None:
    first = place(a_part(folder, png_bytes("red")), "card")
    second = place(a_part(folder, png_bytes("blue")), "card")

    assert first.name != second.name
    assert results(folder) == {first.name: png_bytes("red"), second.name: png_bytes("blue")}


def test_the_same_bytes_under_the_name_are_ours_already(folder: JobFolder) -> None:
    data = png_bytes()
    place(a_part(folder, data), "card")

    again = place(a_part(folder, data), "card")

    assert again.name == "card.png"
    assert results(folder) == {"card.png": data}
    assert list(folder.parts.iterdir()) == []


def test_a_link_is_neither_followed_nor_taken_for_ours(folder: JobFolder, tmp_path: Path) -> None:
    data = png_bytes()
    (tmp_path / "elsewhere.png").write_bytes(data)
    (folder.root / "card.png").symlink_to(tmp_path / "elsewhere.png")

    placed = place(a_part(folder, data), "card")

    assert placed.name != "card.png"
    assert (folder.root / "card.png").is_symlink()


def test_the_longest_name_has_room_for_what_tells_it_from_one_that_is_taken(
    folder: JobFolder,
) -> None:
    name = "马" * 82 + "x" * 5  # 251 bytes, and four of the ending
    (folder.root / f"{name}.png").write_bytes(b"taken")

    placed = place(a_part(folder, png_bytes()), name)

    assert len(placed.name.encode()) <= 255
    assert placed.name.startswith("马" * 70)
    assert placed.name.endswith(f"~{placed.sha256[:8]}.png")
    assert (folder.root / placed.name).read_bytes() == png_bytes()


def test_names_that_are_all_taken_are_a_failure_and_not_a_loss(folder: JobFolder) -> None:
    data, sha256 = png_bytes(), hashlib.sha256(png_bytes()).hexdigest()
    for name in ("card", f"card~{sha256[:8]}", f"card~{sha256[:16]}"):
        (folder.root / f"{name}.png").write_bytes(b"taken")

    with pytest.raises(DiskFailed, match=r"no free name for card\.png"):
        place(a_part(folder, data), "card")

    assert set(results(folder).values()) == {b"taken"}


def test_more_than_a_megabyte_goes_through_a_file(folder: JobFolder) -> None:
    data = png_bytes(noise=700)
    part = a_part(folder)

    for at in range(0, len(data), 1 << 16):
        part.feed(data[at : at + (1 << 16)])
        if part.full:
            part.spill()
    there = [path.stat().st_size for path in folder.parts.iterdir()]
    assert there == ([] if takes_nameless(folder.parts) else [1 << 20])

    placed = place(part, "card")
    assert placed.sha256 == hashlib.sha256(data).hexdigest()
    assert results(folder) == {"card.png": data}
    assert list(folder.parts.iterdir()) == []


@pytest.mark.parametrize("spilled", [False, True])
def test_a_file_that_is_cut_off_leaves_nothing(folder: JobFolder, spilled: bool) -> None:
    part = a_part(folder, png_bytes()[:-5])
    if spilled:
        part.spill()

    with pytest.raises(FileRejected, match="cut off"):
        place(part, "card")
    part.discard()

    assert results(folder) == {}
    assert list(folder.parts.iterdir()) == []


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP"])
def test_file_with_a_label_after_its_end_is_placed_and_undamaged(tmp_path: Path, form: str) -> None:
    folder = JobFolder(tmp_path)
    folder.prepare()
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, form)
    data = file.getvalue() + b'AIGC{"Label":"1"}'

    placed = place(a_part(folder, data), "card")

    assert damage(folder, placed, deep=True) is None
    assert (folder.root / placed.name).read_bytes() == data


def test_nothing_is_no_file(folder: JobFolder) -> None:
    with pytest.raises(FileRejected, match="empty"):
        place(a_part(folder), "card")


def test_a_file_may_have_its_most_bytes_and_not_one_more(folder: JobFolder) -> None:
    data = png_bytes()

    place(a_part(folder, data, max_bytes=len(data)), "card")

    with pytest.raises(FileRejected, match=f"larger than {len(data) - 1} bytes"):
        a_part(folder, data, max_bytes=len(data) - 1)


def test_a_part_may_be_discarded_twice(folder: JobFolder) -> None:
    part = a_part(folder, png_bytes())
    part.spill()

    part.discard()
    part.discard()

    assert list(folder.parts.iterdir()) == []


def test_a_machine_that_dies_before_the_last_step_leaves_no_torn_file(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The final name is given last, to a file that is whole; until then it names nothing."""

    def die(part: str, target: str, **options: object) -> None:
        assert Path(part).read_bytes() == png_bytes()
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", die)

    with pytest.raises(KeyboardInterrupt):
        place(a_part(folder, png_bytes()), "card")

    assert results(folder) == {}


def test_a_file_system_without_hard_links_gets_its_files_too(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(part: str, target: str, **options: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    takes_nameless.cache_clear()

    first = place(a_part(folder, png_bytes("red")), "card")
    second = place(a_part(folder, png_bytes("blue")), "card")

    assert results(folder) == {first.name: png_bytes("red"), second.name: png_bytes("blue")}
    assert list(folder.parts.iterdir()) == []


def test_a_disk_that_takes_nothing_is_named(folder: JobFolder) -> None:
    folder.parts.rmdir()

    with pytest.raises(DiskFailed, match=r"out does not take files: No such file"):
        place(a_part(folder, png_bytes()), "card")


@pytest.mark.parametrize(
    ("count", "names"), [(1, ["card"]), (3, ["card-1", "card-2", "card-3"]), (0, [])]
)
def test_several_outputs_of_one_item_are_numbered(count: int, names: list[str]) -> None:
    assert output_names("card", count) == names


def test_a_file_that_is_as_it_was_has_no_damage(folder: JobFolder) -> None:
    placed = place(a_part(folder, png_bytes()), "card")

    assert damage(folder, placed) is None
    assert damage(folder, placed, deep=True) is None


def test_damage_is_told_in_a_sentence(folder: JobFolder) -> None:
    placed = place(a_part(folder, png_bytes()), "card")
    path = folder.root / "card.png"

    path.write_bytes(png_bytes()[:-1])
    assert damage(folder, placed) == f"card.png has {placed.size - 1} bytes, wanted {placed.size}"

    path.write_bytes(b"x" * placed.size)
    assert damage(folder, placed) == "card.png has been changed"

    path.unlink()
    assert damage(folder, placed) == "card.png is missing"


def test_a_link_in_place_of_a_file_counts_as_missing(folder: JobFolder, tmp_path: Path) -> None:
    placed = place(a_part(folder, png_bytes()), "card")
    (folder.root / "card.png").rename(tmp_path / "moved.png")
    (folder.root / "card.png").symlink_to(tmp_path / "moved.png")

    assert damage(folder, placed) == "card.png is missing"


def test_a_file_that_was_never_a_picture_is_damage_although_its_hash_fits(
    folder: JobFolder,
) -> None:
    data = b"<html>busy</html>"
    (folder.root / "card.png").write_bytes(data)
    placed = PlacedFile(
        name="card.png",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        media_type="image/png",
    )

    assert "no known kind" in (damage(folder, placed) or "")


def test_pixels_that_cannot_be_decoded_are_seen_only_when_looked_at(folder: JobFolder) -> None:
    whole = png_bytes()
    at = whole.index(b"IDAT")
    length = int.from_bytes(whole[at - 4 : at])
    content = b"IDAT" + bytes(length)  # structure closes, pixels do not
    checked = content + zlib.crc32(content).to_bytes(4)
    broken = whole[:at] + checked + whole[at + len(checked) :]
    placed = place(a_part(folder, broken), "card")

    assert damage(folder, placed) is None
    assert "cannot be decoded" in (damage(folder, placed, deep=True) or "")


def test_files_that_have_gone_are_named(folder: JobFolder) -> None:
    placed = place(a_part(folder, png_bytes()), "card")

    assert missing(folder, [placed, replace(placed, name="gone.png")]) == ["gone.png"]


def test_bytes_are_on_the_disk_before_the_name_and_the_name_before_it_is_told(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No kill can show this, only a power cut: what is written is read back from memory."""
    nameless = takes_nameless(folder.parts)
    steps: list[str] = []
    sync, name = os.fsync, os.link

    def note_sync(descriptor: int) -> None:
        where = behind(descriptor)
        steps.append("folder" if where == folder.root else "file")
        sync(descriptor)

    def note_name(part: str, target: str, **options: object) -> None:
        steps.append("name")
        name(part, target, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "link", note_name)
    placings = [Placement(a_part(folder, png_bytes(colour)), colour) for colour in ("red", "blue")]

    place_all(folder, placings)

    again = ["file", "file"] if nameless else []
    assert steps == ["file", "file", "name", "name", *again, "folder"]
    assert all(placing.placed is not None for placing in placings)


def test_a_folder_that_cannot_be_synced_has_placed_nothing(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if behind(descriptor) == folder.root:
            raise OSError(errno.EIO, "input/output error")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)

    with pytest.raises(DiskFailed):
        place(a_part(folder, png_bytes()), "card")


def test_a_disk_that_kept_fewer_bytes_gives_no_name(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def cut_off(descriptor: int) -> None:
        sync(descriptor)
        if not behind(descriptor).is_dir():
            os.ftruncate(descriptor, 10)

    monkeypatch.setattr(os, "fsync", cut_off)

    with pytest.raises(DiskFailed, match="fewer bytes"):
        place(a_part(folder, png_bytes()), "card")
    assert results(folder) == {}


def test_a_part_that_cannot_be_closed_keeps_no_other_from_being_discarded(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    close = os.close

    def fail_once(descriptor: int) -> None:
        is_folder = behind(descriptor).is_dir()
        close(descriptor)
        if not is_folder:
            closed.append(descriptor)
            if len(closed) == 1:
                raise OSError(errno.EIO, "input/output error")

    placings = [Placement(a_part(folder, png_bytes(colour)), colour) for colour in ("red", "blue")]
    takes_nameless(folder.parts)
    monkeypatch.setattr(os, "close", fail_once)
    place_all(folder, placings)
    for placing in placings:
        placing.part.discard()
    monkeypatch.undo()

    assert len(closed) == 2
    assert set(results(folder)) == {"red.png", "blue.png"}
    assert list(folder.parts.iterdir()) == []
