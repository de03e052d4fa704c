from __future__ import annotations

import io
import zlib
from typing import Any

import pytest
from PIL import Image

from batch_runner.errors import FileRejected
from batch_runner.media import EXTENSIONS, GIF, JPEG, MP4, PNG, WEBP, MediaType, check

KINDS = {"PNG": PNG, "JPEG": JPEG, "WEBP": WEBP, "GIF": GIF}


def a_picture(form: str, size: int = 16, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").resize((size, size)).convert("RGB").save(file, form, **options)
    return file.getvalue()


def box(kind: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    checked = kind + content
    return len(content).to_bytes(4) + checked + zlib.crc32(checked).to_bytes(4)


A_VIDEO = box(b"ftyp", b"isom\0\0\0\0") + box(b"mdat", b"frames") + box(b"moov", b"index")


@pytest.mark.parametrize("form", KINDS)
def test_a_whole_picture_is_what_it_is(form: str) -> None:
    assert check(a_picture(form)) is KINDS[form]


@pytest.mark.parametrize(
    ("form", "options"),
    [
        pytest.param("JPEG", {"progressive": True}, id="progressive-jpeg"),
        pytest.param("JPEG", {"exif": b"Exif\0\0" + b"\xff\xd9" * 50}, id="jpeg-with-exif"),
        pytest.param("WEBP", {"lossless": True}, id="lossless-webp"),
        pytest.param("WEBP", {"quality": 1}, id="small-webp"),
    ],
)
def test_other_ways_to_write_a_kind_are_whole_too(form: str, options: dict[str, Any]) -> None:
    assert check(a_picture(form, **options)) is KINDS[form]


def test_a_view_is_as_good_as_bytes() -> None:
    assert check(memoryview(a_picture("PNG"))) is PNG


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF"])
def test_a_picture_cut_off_anywhere_does_not_pass(form: str) -> None:
    whole = a_picture(form)

    passed = [length for length in range(len(whole)) if is_accepted(whole[:length])]

    assert passed == []


def test_a_moving_picture_cut_off_anywhere_does_not_pass() -> None:
    """A byte that looks like the end stands in every two hundred and fifty-sixth place."""
    noise = [Image.effect_noise((64, 64), spread) for spread in (20, 60, 100)]
    file = io.BytesIO()
    noise[0].save(file, "GIF", save_all=True, append_images=noise[1:], comment=b"a ; in words;")
    whole = file.getvalue()

    passed = [length for length in range(len(whole)) if is_accepted(whole[:length])]

    assert check(whole) is GIF
    assert whole.count(b";") > 10
    assert passed == []


@pytest.mark.parametrize("form", ["JPEG", "GIF"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_part_of_a_picture_does_not_pass(form: str, kept: float) -> None:
    whole = a_picture(form, size=64)

    assert not is_accepted(whole[: int(len(whole) * kept)])
    assert not is_accepted(whole[:-1])


def test_a_video_cut_off_anywhere_does_not_pass() -> None:
    passed = [length for length in range(len(A_VIDEO)) if is_accepted(A_VIDEO[:length])]

    assert check(A_VIDEO) is MP4
    assert passed == []


FRAGMENT = box(b"moof", b"index") + box(b"mdat", b"frames")
TO_THE_END = (0).to_bytes(4) + b"mdat" + b"frames"


@pytest.mark.parametrize(
    "video",
    [
        pytest.param(A_VIDEO + TO_THE_END, id="last-box-without-a-size"),
        pytest.param(A_VIDEO + FRAGMENT * 2, id="fragments"),
    ],
)
def test_a_video_whose_end_only_the_transfer_can_tell_passes_if_that_told_it(video: bytes) -> None:
    assert check(video, measured=True) is MP4
    with pytest.raises(FileRejected):
        check(video)
    with pytest.raises(FileRejected):
        check(A_VIDEO[:-1] + b"x" + FRAGMENT[:-1], measured=True)


def test_a_video_of_fragments_that_closes_by_itself_is_whole() -> None:
    assert check(A_VIDEO + FRAGMENT * 2 + box(b"mfra", b"offsets")) is MP4


def test_no_bit_of_a_png_may_flip() -> None:
    whole = a_picture("PNG", size=4)

    for place in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        assert not is_accepted(bytes(flipped)), f"bit {place} flipped and nobody saw it"


@pytest.mark.parametrize("form", KINDS)
@pytest.mark.parametrize("more", [b"\0\0", b"<html>", b"\x89PNG\r\n\x1a\n"])
def test_bytes_after_the_end_are_not_part_of_a_picture(form: str, more: bytes) -> None:
    assert not is_accepted(a_picture(form) + more)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"<!DOCTYPE html><html>busy</html>", id="html"),
        pytest.param(b'{"code":404}', id="json"),
        pytest.param(b"%PDF-1.7", id="pdf"),
        pytest.param(b"RIFF\x10\0\0\0WAVEfmt data data", id="another-riff"),
        pytest.param(b"\x1f\x8b\x08\0" + bytes(20), id="gzip"),
        pytest.param(bytes(100), id="zeros"),
        pytest.param(b"\x89", id="one-byte"),
    ],
)
def test_what_is_no_known_kind_is_refused(data: bytes) -> None:
    with pytest.raises(FileRejected, match="no known kind"):
        check(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x89PNG\r\n\x1a\n", id="only-a-png-head"),
        pytest.param(
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13)) + chunk(b"IEND"),
            id="png-without-pixels",
        ),
        pytest.param(b"GIF89a" + bytes(7) + b";", id="gif-without-a-picture"),
        pytest.param(b"\xff\xd8\xff\xd9", id="only-a-jpeg-head-and-end"),
        pytest.param(b"GIF89a;", id="only-a-gif-head-and-end"),
        pytest.param(b"RIFF\x04\0\0\0WEBP", id="only-a-webp-head"),
        pytest.param(box(b"ftyp", b"isom") + box(b"mdat", b"frames"), id="video-without-index"),
        pytest.param(box(b"ftyp", b"isom") + bytes(16), id="video-with-an-endless-box-of-zeros"),
        pytest.param(box(b"ftyp", b"isom") + b"\0\0\0\x02moov", id="video-with-a-box-too-small"),
        pytest.param(b"\xff\xd8" + b"\xff" * 50, id="jpeg-of-padding"),
        pytest.param(b"\xff\xd8" + b"\xff\xe0\0\0" * 50 + b"\xff\xd9", id="jpeg-without-a-scan"),
    ],
)
def test_a_shell_without_content_is_damaged(data: bytes) -> None:
    with pytest.raises(FileRejected, match="cut off or damaged"):
        check(data)


def test_nothing_is_no_file() -> None:
    with pytest.raises(FileRejected, match="the file is empty"):
        check(b"")


def test_each_kind_has_an_extension_of_its_own() -> None:
    kinds: list[MediaType] = [PNG, JPEG, WEBP, GIF, MP4]

    assert {kind.extension for kind in kinds} == set(EXTENSIONS)
    assert len(set(EXTENSIONS)) == len(kinds)


def is_accepted(data: bytes) -> bool:
    try:
        check(data)
    except FileRejected:
        return False
    return True
