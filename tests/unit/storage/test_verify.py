from __future__ import annotations

import hashlib
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import results_of
from batch_runner.media import DEFAULT_KINDS, Kind
from batch_runner.models import PlacedFile, Received
from batch_runner.storage.partial_file import PartialFile
from batch_runner.storage.placing import Placement, place_all
from batch_runner.storage.verify import find_damage, missing_files
from tests.harness.images import png_bytes


def place(folder: JobFolder, data: bytes) -> PlacedFile:
    part = PartialFile(folder, max_bytes=1_000_000)
    part.write(data)
    placement = Placement(part, "card")
    place_all(folder, [placement])
    return placement.outcome()


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    made = JobFolder(tmp_path / "out")
    made.prepare()
    return made


def test_unchanged_file_has_no_damage(folder: JobFolder) -> None:
    placed = place(folder, png_bytes())

    assert find_damage(results_of(folder), placed) is None
    assert find_damage(results_of(folder), placed, deep=True) is None


def test_damage_is_described_in_a_sentence(folder: JobFolder) -> None:
    placed = place(folder, png_bytes())
    path = folder.root / "card.png"

    path.write_bytes(png_bytes()[:-1])
    assert (
        find_damage(results_of(folder), placed)
        == f"card.png has {placed.size - 1} bytes, expected {placed.size}"
    )

    path.write_bytes(b"x" * placed.size)
    assert find_damage(results_of(folder), placed) == "card.png has been changed"

    path.unlink()
    assert find_damage(results_of(folder), placed) == "card.png is missing"


def test_symlink_in_place_of_a_file_counts_as_missing(folder: JobFolder, tmp_path: Path) -> None:
    placed = place(folder, png_bytes())
    (folder.root / "card.png").rename(tmp_path / "moved.png")
    (folder.root / "card.png").symlink_to(tmp_path / "moved.png")

    assert find_damage(results_of(folder), placed) == "card.png is missing"


def test_file_of_an_unknown_type_is_damaged(folder: JobFolder) -> None:
    data = b"<html>busy</html>"
    (folder.root / "card.png").write_bytes(data)
    placed = PlacedFile(
        name="card.png",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        media_type="image/png",
    )

    damage = find_damage(results_of(folder), placed)
    assert "is declared as image/png, but is text/html" in (damage or "")


def test_undecodable_pixels_are_found_only_by_deep(folder: JobFolder) -> None:
    data = png_bytes()
    at = data.index(b"IDAT")
    length = int.from_bytes(data[at - 4 : at])
    content = b"IDAT" + bytes(length)  # structure closes, pixels do not
    checked = content + zlib.crc32(content).to_bytes(4)
    broken = data[:at] + checked + data[at + len(checked) :]
    placed = place(folder, broken)

    assert find_damage(results_of(folder), placed) is None
    assert "cannot be decoded" in (find_damage(results_of(folder), placed, deep=True) or "")


def test_missing_files_are_named(folder: JobFolder) -> None:
    placed = place(folder, png_bytes())

    files = [placed, replace(placed, name="gone.png")]
    assert missing_files(results_of(folder), files) == ["gone.png"]


def place_as(folder: JobFolder, data: bytes, kinds: tuple[Kind, ...] = DEFAULT_KINDS) -> PlacedFile:
    part = PartialFile(folder, max_bytes=1_000_000, kinds=kinds)
    part.received = Received(length_known=True)
    part.write(data)
    placement = Placement(part, "card")
    place_all(folder, [placement])
    return placement.outcome()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff\xfb\x90\x00" + bytes(range(200)), id="mp3"),
        pytest.param(b"v/1\x01" + bytes(range(200)), id="exr"),
        pytest.param(b"8BPS\0\1" + bytes(range(200)), id="psd"),
        pytest.param(bytes(range(200)), id="unknown"),
        pytest.param(b"<svg></svg>", id="svg"),
        pytest.param(b"a,b\n1,2\n", id="text"),
    ],
)
def test_unchanged_file_of_any_kind_has_no_damage(folder: JobFolder, data: bytes) -> None:
    """Nor has it for `deep`, which cannot decode it."""
    placed = place_as(folder, data, (*DEFAULT_KINDS, "svg", "text"))

    assert find_damage(results_of(folder), placed) is None
    assert find_damage(results_of(folder), placed, deep=True) is None


def test_file_of_another_type_than_recorded_is_damaged(folder: JobFolder) -> None:
    placed = place(folder, png_bytes())

    wrong = replace(placed, media_type="video/mp4")

    assert find_damage(results_of(folder), wrong) == "card.png is image/png, expected video/mp4"
