"""Small pictures for the contact sheet. A picture that cannot be decoded is a fact to report."""

from __future__ import annotations

import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from batch_runner.report.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from PIL import Image

    from batch_runner.models import PlacedFile

#: Longest side in pixels: sharp at 176 CSS pixels on a screen of double density.
LONGEST_SIDE = 352
#: Pictures with more pixels are not decoded: a small file can unfold to gigabytes.
MOST_PIXELS = 80_000_000
#: Decoding leaves the interpreter's lock, and a run may still need a core.
THREADS = 2


class PictureState(StrEnum):
    """What a look at a placed file found."""

    SHOWN = "shown"  #: there is a thumbnail
    MISSING = "missing"  #: the file is not there any more
    DAMAGED = "damaged"  #: it cannot be decoded
    LARGE = "large"  #: more pixels than are decoded for a thumbnail
    LATER = "later"  #: not decoded yet: the time was up
    OTHER = "other"  #: not a picture


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """What the page knows of one placed file; `name` is in the thumbnail folder, or None."""

    state: PictureState
    name: str | None = None


_LATER = Thumbnail(PictureState.LATER)


def make_thumbnails(
    files: Iterable[PlacedFile], *, folder: Path, thumbnails: Path, seconds: float = math.inf
) -> dict[str, Thumbnail]:
    """Return the thumbnail of each of `files` by its hash, making those that are missing or old.

    Reads the pictures under `folder`, writes only under `thumbnails`. When `seconds` are over, no
    more are made. Never raises for a picture.
    """
    thumbnails.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    there = _written(thumbnails)
    found: dict[str, Thumbnail] = {}
    wanted: dict[str, PlacedFile] = {}
    # By content: a picture that was replaced gets a new thumbnail, two equal ones share theirs.
    for file in {file.sha256: file for file in files}.values():
        known = _known(file, f"{folder}/{file.name}", there.get(_name(file)))
        if known is None:
            wanted[file.sha256] = file
        else:
            found[file.sha256] = known

    def make(file: PlacedFile) -> Thumbnail:
        if time.monotonic() >= end:
            return _LATER
        return _make(folder / file.name, thumbnails / _name(file))

    if wanted and seconds > 0:
        with ThreadPoolExecutor(THREADS, thread_name_prefix="thumbnails") as pool:
            found.update(zip(wanted, pool.map(make, wanted.values()), strict=True))
    else:
        found.update(dict.fromkeys(wanted, _LATER))
    return found


def _written(thumbnails: Path) -> dict[str, float]:
    """Return when each thumbnail that is there was written."""
    with os.scandir(thumbnails) as entries:
        return {entry.name: entry.stat().st_mtime for entry in entries}


def _name(file: PlacedFile) -> str:
    return f"{file.sha256[:32]}.webp"


def _known(file: PlacedFile, source: str, made: float | None) -> Thumbnail | None:
    """Return what is known without decoding the picture, None: not enough."""
    if not file.media_type.startswith("image/"):
        return Thumbnail(PictureState.OTHER)
    try:
        written = os.stat(source).st_mtime  # noqa: PTH116  half the time, and there are many
    except OSError:
        return Thumbnail(PictureState.MISSING)
    if made is not None and made > written:
        return Thumbnail(PictureState.SHOWN, _name(file))
    return None


def _make(source: Path, target: Path) -> Thumbnail:
    from PIL import Image, ImageOps

    try:
        with Image.open(source) as image:
            if image.width * image.height > MOST_PIXELS:
                return Thumbnail(PictureState.LARGE)
            # `load` passes a PNG without its last bytes, `verify` half a JPEG: so both.
            image.verify()
        with Image.open(source) as image:
            image.draft("RGB", (LONGEST_SIDE * 2, LONGEST_SIDE * 2))
            image.load()
            upright = ImageOps.exif_transpose(image).convert(
                "RGBA" if _sees_through(image) else "RGB"
            )
        upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE), reducing_gap=2.0)
        with replace_file(target, durable=False) as out:
            upright.save(out, "WEBP", quality=78, method=2)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Thumbnail(PictureState.LARGE)
    except Exception:  # noqa: BLE001  decoders raise nearly anything for damaged bytes
        return Thumbnail(PictureState.DAMAGED)
    return Thumbnail(PictureState.SHOWN, target.name)


def _sees_through(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
