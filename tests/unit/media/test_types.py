"""Which type a file is found to be, from its bytes and from what the service declares."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest
from PIL import Image

from batch_runner.errors import FileNotAccepted, FileRejected
from batch_runner.media import EXTENSIONS, TYPES, check, identify


def image(form: str, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, (8, 8)).save(file, form)
    return file.getvalue()


def riff(form: bytes, content: bytes = b"data\4\0\0\0abcd") -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(content)) + form + content


def box(kind: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def boxes(brand: bytes, *kinds: bytes) -> bytes:
    return box(b"ftyp", brand + bytes(4)) + b"".join(box(kind, b"content") for kind in kinds)


def ebml(doctype: bytes, *, streamed: bool = False) -> bytes:
    head = b"\x42\x82" + bytes([0x80 | len(doctype)]) + doctype
    segment = b"\x01" + b"\xff" * 7 if streamed else b"\x88"
    return (
        b"\x1a\x45\xdf\xa3" + bytes([0x80 | len(head)]) + head
        + b"\x18\x53\x80\x67" + segment + b"clusters"
    )  # fmt: skip


def zipped(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "content")
    return file.getvalue()


def ogg(codec: bytes) -> bytes:
    return b"OggS\0\2" + bytes(21) + b"\x01" + codec


BODY = bytes(range(256))
GLB = b"glTF\2\0\0\0" + struct.pack("<I", 12 + len(BODY)) + BODY

#: One file of each type by its extension; `name` is what tells those of one extension apart.
FILES = {
    ".avif": boxes(b"avif", b"meta", b"mdat"),
    ".heic": boxes(b"heic", b"meta", b"mdat"),
    ".jxl": box(b"JXL ", b"\r\n\x87\n") + boxes(b"jxl ", b"jxlc"),
    ".jxl bare": b"\xff\x0a" + BODY,
    ".tif": image("TIFF"),
    ".bmp": image("BMP"),
    ".ico": image("ICO"),
    ".dds": image("DDS", "RGBA"),
    ".psd": b"8BPS\0\1" + BODY,
    ".exr": b"v/1\1\2\0\0\0" + BODY,
    ".hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n" + BODY,
    ".mov": boxes(b"qt  ", b"moov", b"mdat"),
    ".mov old": box(b"moov", b"index") + box(b"mdat", b"frames"),
    ".m4a": boxes(b"M4A ", b"moov", b"mdat"),
    ".mp4": boxes(b"isom", b"moov", b"mdat"),
    ".webm": ebml(b"webm"),
    ".mkv": ebml(b"matroska"),
    ".avi": riff(b"AVI "),
    ".mpg": b"\0\0\1\xba" + BODY,
    ".ts": (b"G" + bytes(187)) * 3,
    ".flv": b"FLV\1\5" + BODY,
    ".wav": riff(b"WAVE"),
    ".mp3": b"\xff\xfb\x90\x00" + BODY,
    ".mp3 tagged": b"ID3\4\0\0" + BODY,
    ".aac": b"\xff\xf1\x50\x80" + BODY,
    ".flac": b"fLaC\0\0\0\x22" + BODY,
    ".opus": ogg(b"OpusHead"),
    ".ogg": ogg(b"\1vorbis"),
    ".ogv": ogg(b"\x80theora"),
    ".aiff": b"FORM" + struct.pack(">I", 4 + len(BODY)) + b"AIFF" + BODY,
    ".mid": b"MThd\0\0\0\6" + BODY,
    ".glb": GLB,
    ".ply": b"ply\nformat binary_little_endian 1.0\nend_header\n" + BODY,
    ".ply text": b"ply\r\nformat ascii 1.0\r\nelement vertex 1\r\nend_header\r\n0 0 0\r\n",
    ".obj": b"# made by a service\n\no card\nv 0.0 -1.5 2\nv 1 1 1\n",
    ".obj normals first": b"mtllib a.mtl\nvn 0 0 1\ns off\nv 0 0 0\n",
    ".stl": b"solid card\n  facet normal 0 0 1\n    outer loop\n",
    ".usda": b"#usda 1.0\n",
    ".usdc": b"PXR-USDC" + BODY,
    ".usdz": zipped("scene.usdc"),
    ".3mf": zipped("3D/3dmodel.model"),
    ".fbx": b"Kaydara FBX Binary  \0" + BODY,
    ".blend": b"BLENDER-v300" + BODY,
    ".safetensors": struct.pack("<Q", 20) + b'{"weights": [1,2,3]}' + BODY,
    ".zip": zipped("cards/1.png"),
    ".gz": b"\x1f\x8b\x08" + BODY,
    ".7z": b"7z\xbc\xaf\x27\x1c" + BODY,
    ".pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + BODY,
    ".npy": b"\x93NUMPY\1\0" + BODY,
    ".bin": BODY,
    ".bin zeros": bytes(100),
    ".svg": b'<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>',
    ".svg document": b'<?xml version="1.0"?>\n<!-- made -->\n<!-- by -->\n<svg></svg>',
    ".html": b"<!DOCTYPE html><title>busy</title>",
    ".html gbk": "<html><p>系统繁忙</p>".encode("gbk"),
    ".xml": b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>",
    ".json": b'\xef\xbb\xbf {"code": 404}',
    ".json list": b'[{"a": 1}]',
    ".txt": b"Try again later.\n",
    ".txt gbk": "系统繁忙，请稍后再试".encode("gbk"),
    ".txt utf-16": "busy".encode("utf-16"),
    ".txt lyrics": b"[Verse 1]\nA horse in the snow\n",
}  # fmt: skip
every_file = pytest.mark.parametrize(
    ("extension", "data"), [(name.split()[0], data) for name, data in FILES.items()], ids=FILES
)
#: Types whose head or end shows that bytes are missing.
CLOSING = {".webm", ".mkv", ".wav", ".avi", ".aiff", ".glb", ".bmp", ".zip", ".usdz", ".3mf"}


@every_file
@pytest.mark.parametrize("declared", [(), ("application/octet-stream", ".dat", "binary/x")])
def test_file_is_of_the_type_its_bytes_show(
    extension: str, data: bytes, declared: tuple[str, ...]
) -> None:
    assert check(data, length_known=True, declared=declared).extension == extension


def test_every_type_with_magic_bytes_has_a_file_here() -> None:
    tested = {name.split()[0] for name in FILES} | {".png", ".jpg", ".webp", ".gif"}

    assert {row.type.extension for row in TYPES if row.magic} <= tested
    assert tested <= set(EXTENSIONS)


@every_file
def test_cut_off_file_is_rejected_if_its_structure_tells(extension: str, data: bytes) -> None:
    for cut in range(1, len(data)):
        try:
            found = check(data[:cut], length_known=True)
        except FileRejected:
            continue
        assert found.extension not in CLOSING


@every_file
def test_cut_off_file_of_unknown_length_is_never_taken_as_its_type(
    extension: str, data: bytes
) -> None:
    for cut in range(1, len(data)):
        try:
            assert check(data[:cut]).extension != extension
        except FileRejected:
            continue


@pytest.mark.parametrize("extension", sorted(CLOSING))
def test_file_that_closes_needs_no_known_length(extension: str) -> None:
    label = b'AIGC{"Label":"1"}'

    assert check(FILES[extension]).extension == extension
    assert check(FILES[extension] + label).extension == extension


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(ebml(b"webm", streamed=True), id="webm"),
        pytest.param(b"RIFF\xff\xff\xff\xffWAVEfmt data", id="wav"),
        pytest.param(b"RIFF\0\0\0\0WAVEfmt data", id="wav-without-a-size"),
        pytest.param(FILES[".mp3"], id="mp3"),
        pytest.param(FILES[".avif"], id="avif"),
        pytest.param(BODY, id="unknown"),
    ],
)
def test_file_without_an_end_mark_needs_a_known_length(data: bytes) -> None:
    check(data, length_known=True)

    with pytest.raises(FileNotAccepted, match="may be cut off") as caught:
        check(data)
    assert caught.value.reason == "unknown-length"


@pytest.mark.parametrize(
    ("declared", "data", "extension"),
    [
        ("model/stl", bytes(80) + BODY, ".stl"),
        (".stl", bytes(80) + BODY, ".stl"),
        ("text/csv", b"a,b\n1,2\n", ".csv"),
        (".md", b"# A horse\n", ".md"),
        ("model/gltf+json", b'{"asset": {"version": "2.0"}}', ".gltf"),
        ("video/mp4", FILES[".m4a"], ".mp4"),
        ("video/mp4", FILES[".avif"], ".avif"),
        ("model/vnd.usdz+zip", zipped("a/b.txt"), ".zip"),
        ("image/jpeg", FILES[".webm"], ".webm"),
        ("text/plain", BODY, ".bin"),
        ("text/plain", b'{"code": 1}', ".txt"),
        (".exe", BODY, ".bin"),
    ],
)
def test_declared_type_decides_where_bytes_do_not(
    declared: str, data: bytes, extension: str
) -> None:
    assert check(data, length_known=True, declared=[declared]).extension == extension


@pytest.mark.parametrize("data", [BODY, bytes(100), b"Try again later", FILES[".html"]])
@pytest.mark.parametrize("declared", ["image/png", ".glb", "audio/mpeg"])
def test_bytes_unlike_the_declared_type_are_rejected(declared: str, data: bytes) -> None:
    with pytest.raises(FileRejected, match="declared as"):
        check(data, length_known=True, declared=[declared])
    assert identify(data, [declared]).extension in (".bin", ".txt", ".html")


@pytest.mark.parametrize("data", [b"<!---->" * 600, b"<!--" * 1000, b"#\n" * 2000, b"\n" * 4096])
def test_type_of_repeated_marks_is_found_at_once(data: bytes) -> None:
    assert identify(data).kind == "text"


@pytest.mark.parametrize("declared", [(), (".png",)])
def test_bytes_too_few_to_tell_a_type_are_other(declared: tuple[str, ...]) -> None:
    assert identify(b"\x89PNG\r\n\x1a", declared).kind == "other"
