"""Thumbnails for the contact sheet; an image that cannot be decoded is reported as damaged."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from batch_runner.errors import FolderRefused
from batch_runner.jobdir.results import Results
from batch_runner.media import DECODABLE, kind_of
from batch_runner.models import PlacedFile
from batch_runner.util.fs import replace_file
from batch_runner.util.paths import child_bytes

if TYPE_CHECKING:
    from PIL import Image

#: Longest side in pixels: sharp at 176 CSS pixels on a screen of double density.
LONGEST_SIDE = 352
#: Images with more pixels are not decoded: a small file can decompress to gigabytes.
MAX_PIXELS = 80_000_000
#: Decoding releases the interpreter's lock; a run may need a core, too.
THREADS = 2


class ImageState(StrEnum):
    """State of a result file."""

    SHOWN = "shown"  #: there is a thumbnail
    MISSING = "missing"  #: the file does not exist
    DAMAGED = "damaged"  #: it cannot be decoded
    LARGE = "large"  #: more pixels than are decoded for a thumbnail
    LATER = "later"  #: no thumbnail yet: out of time, or the disk is full
    OTHER = "other"  #: not an image, or of a type that is not decoded here


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """State of a result file and the name of its thumbnail, None if it has none."""

    state: ImageState
    name: str | None = None


_LATER = Thumbnail(ImageState.LATER)


class Thumbnails:
    """The thumbnails of a job; missing and outdated ones are made, within a time limit.

    Reads the images, writes only under `thumbnails`.
    """

    def __init__(self, results: Results, thumbnails: Path, *, seconds: float = math.inf) -> None:
        """Make thumbnails for `seconds` in all, then no more."""
        # About images that are valid, such as one with bytes after its end.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        for own in (thumbnails.parent, thumbnails):
            own.mkdir(exist_ok=True, mode=0o700)
        self._results, self._thumbnails = results, thumbnails
        self._left = seconds
        self.finished = True  # False: there was not time or space for all
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="thumbnails")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def of(self, files: Iterable[PlacedFile]) -> dict[str, Thumbnail]:
        """Return the thumbnail of each file by its hash. Never raises for a damaged image."""
        found: dict[str, Thumbnail] = {}
        wanted: dict[str, PlacedFile] = {}
        # By content: a replaced image gets a new thumbnail, two equal ones share theirs.
        for file in {file.sha256: file for file in files}.values():
            if (known := self._known(file)) is None:
                wanted[file.sha256] = file
            else:
                found[file.sha256] = known
        began = time.monotonic()
        make = partial(self._make, end=began + self._left)
        found.update(zip(wanted, self._pool.map(make, wanted.values()), strict=True))
        self._left -= time.monotonic() - began
        self.finished &= _LATER not in found.values()
        return found

    def _known(self, file: PlacedFile) -> Thumbnail | None:
        """Return the thumbnail if no decoding is needed, else None."""
        try:
            written = self._results.modified(file.name)
        except (OSError, FolderRefused):  # the object store cannot be asked
            return _LATER
        if written is None:
            return Thumbnail(ImageState.MISSING)
        if kind_of(file.media_type) != "image":
            return Thumbnail(ImageState.OTHER)
        made = _modified(child_bytes(self._thumbnails, _name(file)))
        if made is not None and made > written:
            return Thumbnail(ImageState.SHOWN, _name(file))
        return None

    def _make(self, file: PlacedFile, *, end: float) -> Thumbnail:
        if time.monotonic() >= end:
            return _LATER
        try:
            with self._results.local(file) as source:
                made = _write_thumbnail(source, self._thumbnails / _name(file))
        except FileNotFoundError:
            return Thumbnail(ImageState.MISSING)
        except OSError:
            return _LATER
        if made.state is ImageState.DAMAGED and file.media_type not in DECODABLE:
            return Thumbnail(ImageState.OTHER)
        return made


def _modified(path: bytes) -> float | None:
    """Return the modification time of a file, None if there is none."""
    try:
        return os.stat(path).st_mtime  # noqa: PTH116  half the time, and there are many
    except OSError:
        return None


def _name(file: PlacedFile) -> str:
    return f"{file.sha256[:32]}.webp"


def _write_thumbnail(source: Path, target: Path) -> Thumbnail:
    from PIL import Image

    try:
        small = small_image(source, LONGEST_SIDE)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Thumbnail(ImageState.LARGE)
    except Exception:  # noqa: BLE001  decoders raise nearly anything for damaged bytes
        return Thumbnail(ImageState.DAMAGED)
    if small is None:
        return Thumbnail(ImageState.LARGE)
    try:
        with replace_file(target, durable=False, mode=0o600) as out:
            small.save(out, "WEBP", quality=78, method=2)
    except OSError:  # the disk is full; the image may be valid
        return _LATER
    return Thumbnail(ImageState.SHOWN, target.name)


def small_image(source: Path, side: int) -> Image.Image | None:
    """Return the image scaled down to a longest side of `side`; None if it has too many pixels.

    Raises:
        Exception: of nearly any type, from the decoder of a damaged image.
    """
    from PIL import Image

    with Image.open(source) as image:
        if image.width * image.height > MAX_PIXELS:
            return None
        # `load` accepts a PNG without its last bytes, `verify` half a JPEG: use both.
        image.verify()
    with Image.open(source) as image:
        image.draft("RGB", (side * 2, side * 2))
        image.load()
        upright = _upright(image).convert("RGBA" if _has_transparency(image) else "RGB")
    upright.thumbnail((side, side), reducing_gap=2.0)
    return upright


def _upright(image: Image.Image) -> Image.Image:
    """Return the image rotated as its EXIF data says; unchanged if that cannot be read."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  generators write labels there; the pixels may be valid
        return image


def _has_transparency(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
