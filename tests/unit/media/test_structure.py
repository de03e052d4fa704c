from __future__ import annotations

import io
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from batch_runner.errors import FileRejected
from batch_runner.media import MAYBE_ERROR_PAGE, TYPES, MediaType, check

PNG, JPEG, WEBP, GIF, MP4 = (
    next(row.type for row in TYPES if row.type.extension == ending)
    for ending in (".png", ".jpg", ".webp", ".gif", ".mp4")
)

KINDS = {"PNG": PNG, "JPEG": JPEG, "WEBP": WEBP, "GIF": GIF}


def image_bytes(form: str, size: int = 16, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").resize((size, size)).convert("RGB").save(file, form, **options)
    return file.getvalue()


def animated_image(form: str, **options: Any) -> bytes:
    """Return three frames of noise, so that every byte value occurs."""
    first, *others = [Image.effect_noise((32, 32), spread) for spread in (20, 60, 100)]
    file = io.BytesIO()
    first.save(file, form, save_all=True, append_images=others, **options)
    return file.getvalue()


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (2 + len(content)).to_bytes(2) + content


def box(kind: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    checked = kind + content
    return len(content).to_bytes(4) + checked + zlib.crc32(checked).to_bytes(4)


def a_jpeg_with_thumbnails() -> bytes:
    """Return an image with another one in its APP1 and APP2, as cameras write them."""
    image, small = image_bytes("JPEG", size=64), image_bytes("JPEG")
    labels = segment(0xE1, b"Exif\0\0" + small) + segment(0xE2, b"MPF\0" + small)
    return image[:2] + labels + image[2:]


def a_jpeg_with_fill_bytes() -> bytes:
    image = image_bytes("JPEG")
    scan = image.index(b"\xff\xda")
    return image[:scan] + b"\xff\xff" + image[scan:-2] + b"\xff" + image[-2:]


def a_webp_without_padding() -> bytes:
    """Return an image of an odd number of bytes whose RIFF size leaves the padding out."""
    content = b"VP8L" + (5).to_bytes(4, "little") + b"\x2f\0\0\0\0"
    return b"RIFF" + (4 + len(content)).to_bytes(4, "little") + b"WEBP" + content


A_VIDEO = box(b"ftyp", b"isom\0\0\0\0") + box(b"mdat", b"frames") + box(b"moov", b"index")


A_STREAMED_VIDEO = box(b"ftyp", b"isom\0\0\0\0") + box(b"moov", b"index") + box(b"mdat", b"frames")
A_LONG_BOX = (1).to_bytes(4) + b"mdat" + (22).to_bytes(8) + b"frames"

#: A label that looks like the head of a box is taken for one that was cut off.
BOX_NAMES = (b"ftyp", b"moov", b"mdat", b"moof", b"mfra", b"free", b"skip", b"wide", b"meta")

#: Files as programs write them, and what they are. Each ends where its structure does.
COMPLETE = {
    "png": (PNG, image_bytes("PNG")),
    "apng": (PNG, animated_image("PNG")),
    "jpeg": (JPEG, image_bytes("JPEG")),
    "noisy-jpeg": (JPEG, image_bytes("JPEG", size=64, quality=100)),
    "progressive-jpeg": (JPEG, image_bytes("JPEG", size=64, progressive=True)),
    "jpeg-with-restart-markers": (JPEG, image_bytes("JPEG", size=64, restart_marker_blocks=1)),
    "jpeg-with-thumbnails": (JPEG, a_jpeg_with_thumbnails()),
    "jpeg-with-fill-bytes": (JPEG, a_jpeg_with_fill_bytes()),
    "gif": (GIF, image_bytes("GIF")),
    "moving-gif": (GIF, animated_image("GIF", comment=b"a ; in words;")),
    "webp": (WEBP, image_bytes("WEBP")),
    "lossless-webp": (WEBP, image_bytes("WEBP", lossless=True)),
    "moving-webp": (WEBP, animated_image("WEBP")),
    "webp-without-padding": (WEBP, a_webp_without_padding()),
    "video": (MP4, A_VIDEO),
    "streamed-video": (MP4, A_STREAMED_VIDEO),
    "video-with-a-long-box": (MP4, box(b"ftyp") + box(b"moov") + A_LONG_BOX),
}
every_file = pytest.mark.parametrize(("kind", "data"), COMPLETE.values(), ids=COMPLETE)


@every_file
def test_file_cut_off_anywhere_is_incomplete(kind: MediaType, data: bytes) -> None:
    assert check(data) is kind
    for length_known in (False, True):
        assert [cut for cut in range(len(data)) if is_accepted(data[:cut], length_known)] == []


@every_file
@given(label=st.binary(max_size=100).filter(lambda label: label[4:8] not in BOX_NAMES))
@example(label=b"\0" * 40)
@example(label=b'AIGC{"Label":"1"}')
@example(label=image_bytes("PNG"))
@example(label=image_bytes("JPEG")[:-9])
def test_bytes_after_the_end_keep_a_file_complete(
    kind: MediaType, data: bytes, label: bytes
) -> None:
    assert check(data + label) is kind


@pytest.mark.parametrize("form", KINDS)
def test_complete_image_has_its_type(form: str) -> None:
    assert check(image_bytes(form)) is KINDS[form]


@pytest.mark.parametrize(
    ("form", "options"),
    [
        pytest.param("JPEG", {"progressive": True}, id="progressive-jpeg"),
        pytest.param("JPEG", {"exif": b"Exif\0\0" + b"\xff\xd9" * 50}, id="jpeg-with-exif"),
        pytest.param("WEBP", {"lossless": True}, id="lossless-webp"),
        pytest.param("WEBP", {"quality": 1}, id="small-webp"),
    ],
)
def test_other_encodings_of_a_type_are_complete(form: str, options: dict[str, Any]) -> None:
    assert check(image_bytes(form, **options)) is KINDS[form]


def test_memoryview_is_accepted() -> None:
    assert check(memoryview(image_bytes("PNG"))) is PNG


FRAGMENT = box(b"moof", b"index") + box(b"mdat", b"frames")
TO_THE_END = (0).to_bytes(4) + b"mdat" + b"frames"


@pytest.mark.parametrize(
    "video",
    [
        pytest.param(A_VIDEO + TO_THE_END, id="last-box-without-a-size"),
        pytest.param(A_VIDEO + FRAGMENT * 2, id="fragments"),
    ],
)
def test_video_without_an_end_needs_a_known_length(video: bytes) -> None:
    assert check(video, length_known=True) is MP4
    with pytest.raises(FileRejected):
        check(video)
    with pytest.raises(FileRejected):
        check(A_VIDEO[:-1] + b"x" + FRAGMENT[:-1], length_known=True)


def test_fragmented_video_with_an_index_is_complete() -> None:
    assert check(A_VIDEO + FRAGMENT * 2 + box(b"mfra", b"offsets")) is MP4


@pytest.mark.parametrize("end", [box(b"moof"), box(b"mdat", b"more"), box(b"udta", b"title")])
def test_video_cut_off_in_a_later_box_is_incomplete(end: bytes) -> None:
    for cut in range(8, len(end)):
        assert not is_accepted(A_VIDEO + end[:cut])


def test_label_after_fragments_needs_a_known_length() -> None:
    labelled = A_VIDEO + FRAGMENT + b'AIGC{"Label":"1"}'

    assert check(labelled, length_known=True) is MP4
    assert not is_accepted(labelled)


def test_png_with_a_flipped_bit_is_rejected() -> None:
    data = image_bytes("PNG", size=4)

    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not is_accepted(bytes(flipped)), f"the flip of bit {bit} was not found"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x89PNG\r\n\x1a\n", id="only-a-png-head"),
        pytest.param(
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13)) + chunk(b"IEND"),
            id="png-without-pixels",
        ),
        pytest.param(b"GIF89a" + bytes(7) + b";", id="gif-without-an-image"),
        pytest.param(b"\xff\xd8\xff\xd9", id="only-a-jpeg-head-and-end"),
        pytest.param(b"GIF89a;", id="only-a-gif-head-and-end"),
        pytest.param(b"RIFF\x04\0\0\0WEBP", id="only-a-webp-head"),
        pytest.param(box(b"ftyp", b"isom") + box(b"mdat", b"frames"), id="video-without-index"),
        pytest.param(box(b"ftyp", b"isom") + box(b"moov"), id="video-without-frames"),
        pytest.param(b"RIFF\x0c\0\0\0WEBPEXIF" + bytes(4), id="webp-without-an-image"),
        pytest.param(b"RIFF\x10\0\0\0WEBPVP8 \x20" + bytes(40), id="webp-smaller-than-its-chunk"),
        pytest.param(box(b"ftyp", b"isom") + bytes(16), id="video-with-an-endless-box-of-zeros"),
        pytest.param(box(b"ftyp", b"isom") + b"\0\0\0\x02moov", id="video-with-a-box-too-small"),
        pytest.param(b"\xff\xd8" + b"\xff" * 50, id="jpeg-of-padding"),
        pytest.param(b"\xff\xd8" + b"\xff\xe0\0\0" * 50 + b"\xff\xd9", id="jpeg-without-a-scan"),
    ],
)
def test_structure_without_an_image_is_rejected(data: bytes) -> None:
    with pytest.raises(FileRejected, match="cut off or damaged"):
        check(data)


def test_empty_file_is_rejected() -> None:
    with pytest.raises(FileRejected, match="the file is empty"):
        check(b"")


def is_accepted(data: bytes, length_known: bool = False) -> bool:
    try:
        return check(data, length_known=length_known).kind not in MAYBE_ERROR_PAGE
    except FileRejected:
        return False
