"""Small pictures for the contact sheet. A picture that cannot be decoded is a fact to report."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from batch_runner.models import PlacedFile
from batch_runner.util.fs import replace_file

if TYPE_CHECKING:
    from PIL import Image

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
    LATER = "later"  #: no thumbnail yet: the time was up, or the disk full
    OTHER = "other"  #: not a picture


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """What the page knows of one placed file; `name` is in the thumbnail folder, or None."""

    state: PictureState
    name: str | None = None


_LATER = Thumbnail(PictureState.LATER)


class Thumbnails:
    """The thumbnails of a job's pictures; those that are missing or old are made, for a time.

    Reads the pictures under `folder`, writes only under `thumbnails`.
    """

    def __init__(self, folder: Path, thumbnails: Path, *, seconds: float = math.inf) -> None:
        """When all calls together have made some for `seconds`, no more are made."""
        thumbnails.mkdir(parents=True, exist_ok=True)
        self._folder, self._thumbnails = folder, thumbnails
        self._left = seconds
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="thumbnails")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def of(self, files: Iterable[PlacedFile]) -> dict[str, Thumbnail]:
        """Return the thumbnail of each of `files` by its hash. Never raises for a picture."""
        found: dict[str, Thumbnail] = {}
        wanted: dict[str, PlacedFile] = {}
        # By content: a picture that was replaced gets a new thumbnail, two equal ones share theirs.
        for file in {file.sha256: file for file in files}.values():
            if (known := self._known(file)) is None:
                wanted[file.sha256] = file
            else:
                found[file.sha256] = known
        began = time.monotonic()
        make = partial(self._make, end=began + self._left)
        found.update(zip(wanted, self._pool.map(make, wanted.values()), strict=True))
        self._left -= time.monotonic() - began
        return found

    def _known(self, file: PlacedFile) -> Thumbnail | None:
        """Return what is known without decoding the picture, None: not enough."""
        if not file.media_type.startswith("image/"):
            return Thumbnail(PictureState.OTHER)
        if (written := _written(f"{self._folder}/{file.name}")) is None:
            return Thumbnail(PictureState.MISSING)
        made = _written(f"{self._thumbnails}/{_name(file)}")
        if made is not None and made > written:
            return Thumbnail(PictureState.SHOWN, _name(file))
        return None

    def _make(self, file: PlacedFile, *, end: float) -> Thumbnail:
        if time.monotonic() >= end:
            return _LATER
        return _make(self._folder / file.name, self._thumbnails / _name(file))


def _written(path: str) -> float | None:
    """Return when a file was written, None if there is none."""
    try:
        return os.stat(path).st_mtime  # noqa: PTH116  half the time, and there are many
    except OSError:
        return None


def _name(file: PlacedFile) -> str:
    return f"{file.sha256[:32]}.webp"


def _make(source: Path, target: Path) -> Thumbnail:
    from PIL import Image

    try:
        small = _small(source)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Thumbnail(PictureState.LARGE)
    except Exception:  # noqa: BLE001  decoders raise nearly anything for damaged bytes
        return Thumbnail(PictureState.DAMAGED)
    if small is None:
        return Thumbnail(PictureState.LARGE)
    try:
        with replace_file(target, durable=False) as out:
            small.save(out, "WEBP", quality=78, method=2)
    except OSError:  # a full disk, and no fault of the picture's
        return _LATER
    return Thumbnail(PictureState.SHOWN, target.name)


def _small(source: Path) -> Image.Image | None:
    """Return a picture made small, None if it has too many pixels to be decoded for that."""
    from PIL import Image

    with Image.open(source) as image:
        if image.width * image.height > MOST_PIXELS:
            return None
        # `load` passes a PNG without its last bytes, `verify` half a JPEG: so both.
        image.verify()
    with Image.open(source) as image:
        image.draft("RGB", (LONGEST_SIDE * 2, LONGEST_SIDE * 2))
        image.load()
        upright = _upright(image).convert("RGBA" if _sees_through(image) else "RGB")
    upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE), reducing_gap=2.0)
    return upright


def _upright(image: Image.Image) -> Image.Image:
    """Return the picture turned as its EXIF says; as it is if that cannot be read."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  labels are written there, and the pixels are what counts
        return image


def _sees_through(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
