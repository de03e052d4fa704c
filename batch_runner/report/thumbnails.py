"""Small pictures for the contact sheet. A picture that cannot be decoded is a fact to report."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from batch_runner.report.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

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
    OTHER = "other"  #: not a picture


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """What the page knows of one placed file; `name` is in the thumbnail folder, or None."""

    state: PictureState
    name: str | None = None


def make_thumbnails(
    files: Iterable[PlacedFile], *, folder: Path, thumbnails: Path
) -> dict[str, Thumbnail]:
    """Return the thumbnail of each of `files` by its name, making those that are missing or old.

    Reads the pictures under `folder`, writes only under `thumbnails`. Never raises for a picture.
    """
    thumbnails.mkdir(parents=True, exist_ok=True)
    # By content: a picture that was replaced gets a new thumbnail, two equal ones share theirs.
    by_content = {file.sha256: file for file in files}
    with ThreadPoolExecutor(THREADS, thread_name_prefix="thumbnails") as pool:
        made = pool.map(lambda one: _thumbnail(one, folder, thumbnails), by_content.values())
        return dict(zip(by_content, made, strict=True))


def _thumbnail(file: PlacedFile, folder: Path, thumbnails: Path) -> Thumbnail:
    if not file.media_type.startswith("image/"):
        return Thumbnail(PictureState.OTHER)
    source = folder / file.name
    target = thumbnails / f"{file.sha256[:32]}.webp"
    try:
        written = source.stat().st_mtime
    except OSError:
        return Thumbnail(PictureState.MISSING)
    try:
        if target.stat().st_mtime > written:
            return Thumbnail(PictureState.SHOWN, target.name)
    except OSError:
        pass  # not made yet
    return _make(source, target)


def _make(source: Path, target: Path) -> Thumbnail:
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
