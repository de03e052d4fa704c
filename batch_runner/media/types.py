"""The one table of types: names, file name extension, kind, magic bytes, check of the structure.

It is also the list of extensions that a result file may get.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from batch_runner.media import structure
from batch_runner.media.structure import Check

#: Kinds of results; "other" is everything that is binary and none of the rest.
Kind = Literal["image", "video", "audio", "model", "other", "text", "svg"]


@dataclass(frozen=True, slots=True)
class MediaType:
    """A type of file: MIME name, file name extension and kind."""

    name: str
    extension: str
    kind: Kind


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A type: all its names (MIME, extensions), and how to recognize and check its bytes.

    `magic` matches at the start of a file; None: no bytes mark this type. `is_complete` None: its
    structure does not tell.
    """

    type: MediaType
    names: frozenset[str]
    magic: re.Pattern[bytes] | None
    is_complete: Check | None


def _row(
    kind: Kind,
    names: str,
    magic: bytes | None = None,
    is_complete: Check | None = None,
) -> Row:
    """Return a row; the first MIME name and the first extension are those that files get."""
    every = names.split()
    name = next(one for one in every if "/" in one)
    extension = next(one for one in every if one.startswith("."))
    pattern = None if magic is None else re.compile(magic, re.DOTALL)
    return Row(MediaType(name, extension, kind), frozenset(every), pattern, is_complete)


_RIFF = structure.size_at(4, "little", more=8)
_SVG = (
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->).)*-->\s*)*"
    rb"<(?:svg\b|!DOCTYPE\s+svg\b)"
)
_HTML = (
    rb"(?i)(?:\xef\xbb\xbf)?\s*"
    rb"<(?:!doctype html|!--|(?:html|head|body|title|meta|script|div|p|h1|center)\b)"
)
_OBJ = rb"(?:(?:#|[ogs] |mtllib |usemtl |vn |vt )[^\n]*\n|\r?\n)*v +[-\d.]+ +[-\d.]"

#: The first row that matches is the type, unless the service declares another that matches.
TYPES: tuple[Row, ...] = (
    _row("image", "image/png .png", rb"\x89PNG\r\n\x1a\n", structure.png),
    _row("image", "image/jpeg .jpg .jpeg image/jpg", rb"\xff\xd8\xff", structure.jpeg),
    _row("image", "image/webp .webp", rb"RIFF....WEBP", structure.webp),
    _row("image", "image/gif .gif", rb"GIF8[79]a", structure.gif),
    _row("image", "image/avif .avif", rb"....ftypavi[fs]", structure.picture_in_boxes),
    _row(
        "image",
        "image/heic .heic image/heif .heif",
        rb"....ftyp(?:he[iv][cmsx]|m[is]f1)",
        structure.picture_in_boxes,
    ),
    _row("image", "image/jxl .jxl", rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", structure.jxl),
    _row("image", "image/tiff .tif .tiff", rb"II[*+]\0|MM\0[*+]"),
    _row("image", "image/bmp .bmp", rb"BM.{4}\0{4}", structure.size_at(2, "little")),
    _row("image", "image/vnd.adobe.photoshop .psd", rb"8BPS\0[\x01\x02]"),
    _row("image", "image/x-exr .exr", rb"v/1\x01"),
    _row("image", "image/vnd.radiance .hdr", rb"#\?(?:RADIANCE|RGBE)\n"),
    _row("image", "image/x-icon .ico image/vnd.microsoft.icon", rb"\0\0\x01\0[^\0]\0"),
    _row("image", "image/vnd-ms.dds .dds", rb"DDS \x7c\0\0\0"),
    _row(
        "video",
        "video/quicktime .mov",
        rb"....(?:ftypqt|moov|mdat|wide|free)",
        structure.movie,
    ),
    _row("audio", "audio/mp4 .m4a audio/x-m4a audio/m4a", rb"....ftypM4[AB]", structure.movie),
    _row(
        "video",
        "video/mp4 .mp4 .m4v",
        rb"....ftyp(?!avi[fs]|he[iv][cmsx]|m[is]f1|jxl)",
        structure.movie,
    ),
    _row(
        "video",
        "video/webm .webm audio/webm",
        rb"\x1aE\xdf\xa3.{1,64}?webm",
        structure.matroska,
    ),
    _row("video", "video/x-matroska .mkv", rb"\x1aE\xdf\xa3", structure.matroska),
    _row("video", "video/x-msvideo .avi video/avi", rb"RIFF....AVI ", _RIFF),
    _row("video", "video/mpeg .mpg .mpeg", rb"\0\0\x01[\xb3\xba]"),
    _row("video", "video/mp2t .ts", rb"G.{187}G.{187}G"),
    _row("video", "video/x-flv .flv", rb"FLV\x01"),
    _row("audio", "audio/wav .wav audio/x-wav audio/wave", rb"RIFF....WAVE", _RIFF),
    _row("audio", "audio/mpeg .mp3 audio/mp3", rb"ID3[\x02-\x04]|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]"),
    _row("audio", "audio/aac .aac", rb"\xff[\xf0\xf1\xf8\xf9]"),
    _row("audio", "audio/flac .flac audio/x-flac", rb"fLaC"),
    _row("audio", "audio/opus .opus", rb"OggS\0.{20,40}?OpusHead"),
    _row("video", "video/ogg .ogv", rb"OggS\0.{20,40}?\x80theora"),
    _row("audio", "audio/ogg .ogg .oga application/ogg", rb"OggS\0"),
    _row(
        "audio",
        "audio/aiff .aiff .aif audio/x-aiff",
        rb"FORM....AIF[FC]",
        structure.size_at(4, "big", more=8),
    ),
    _row("audio", "audio/midi .mid .midi audio/x-midi", rb"MThd\0\0\0\x06"),
    _row(
        "model",
        "model/gltf-binary .glb",
        rb"glTF[\x01\x02]\0\0\0",
        structure.size_at(8, "little"),
    ),
    _row("model", "model/ply .ply application/ply", rb"ply\r?\nformat "),
    _row("model", "model/obj .obj", _OBJ),
    _row("model", "model/stl .stl", rb"solid\b[^\n]*\n\s*facet normal"),
    _row("model", "model/stl .stl"),  # binary: any 80 bytes
    _row("model", "model/vnd.usda .usda", rb"#usda "),
    _row("model", "model/vnd.usd .usdc .usd", rb"PXR-USDC"),
    _row(
        "model",
        "model/vnd.usdz+zip .usdz",
        rb"PK\x03\x04.{26}[^/]{1,99}?\.usd[ac]",
        structure.zip_file,
    ),
    _row("model", "model/3mf .3mf", rb"PK\x03\x04.{26}(?:3D|_rels)/", structure.zip_file),
    _row("model", "application/x-fbx .fbx", rb"Kaydara FBX Binary"),
    _row("model", "application/x-blender .blend", rb"BLENDER[-_]"),
    _row("model", "application/x-safetensors .safetensors", rb".{5}\0{3}\{\""),
    _row(
        "other",
        "application/zip .zip application/x-zip-compressed",
        rb"PK\x03\x04",
        structure.zip_file,
    ),
    _row("other", "application/gzip .gz application/x-gzip", rb"\x1f\x8b\x08"),
    _row("other", "application/x-7z-compressed .7z", rb"7z\xbc\xaf\x27\x1c"),
    _row("other", "application/pdf .pdf", rb"%PDF-\d"),
    _row("other", "application/x-npy .npy", rb"\x93NUMPY"),
    _row("svg", "image/svg+xml .svg", _SVG),
    _row("text", "text/html .html .htm application/xhtml+xml", _HTML),
    _row("text", "application/xml .xml text/xml", rb"(?:\xef\xbb\xbf)?\s*<[?!a-zA-Z]"),
    _row("text", "application/json .json text/json", rb"(?:\xef\xbb\xbf)?\s*[\[{]\s*[\"\[{}\]\d-]"),
    _row("text", "model/gltf+json .gltf"),
    _row("text", "text/csv .csv"),
    _row("text", "text/markdown .md"),
    _row("text", "application/x-subrip .srt"),
    _row("text", "text/vtt .vtt"),
    _row("text", "text/plain .txt"),
)
TEXT_ROW = TYPES[-1]
#: The type of a binary file that is none of TYPES.
BINARY_ROW = _row("other", "application/octet-stream .bin")

_BY_NAME: dict[str, list[Row]] = {}
for _each in TYPES:
    for _name in _each.names:
        _BY_NAME.setdefault(_name, []).append(_each)
_KINDS: dict[str, Kind] = {row.type.name: row.type.kind for row in TYPES}
#: Types that are decoded everywhere. Of others, an error may mean a format that Pillow lacks.
DECODABLE = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp")


def rows_named(names: Collection[str]) -> list[Row]:
    """Return the rows that have one of these names, in the order of the table."""
    found = {id(row): row for name in names for row in _BY_NAME.get(name, ())}
    return sorted(found.values(), key=TYPES.index) if len(found) > 1 else list(found.values())


def kind_of(name: str) -> Kind:
    """Return the kind of a MIME name."""
    return _KINDS.get(name, "other")


#: Every extension that a result file may get.
EXTENSIONS = tuple(sorted({row.type.extension for row in (*TYPES, BINARY_ROW)}))
#: Every extension that is removed from a name in the manifest.
MEDIA_EXTENSIONS = tuple(
    sorted(
        name
        for name in {
            name for row in TYPES if row.type.kind not in ("text", "other") for name in row.names
        }
        if name.startswith(".")
    )
)
