"""Check whether placed files still exist and are unchanged."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path

from batch_runner import media
from batch_runner.errors import FileRejected
from batch_runner.jobdir.paths import JobFolder
from batch_runner.models import PlacedFile
from batch_runner.util.fs import file_sha256, mapped
from batch_runner.util.paths import child_bytes


def find_damage(folder: JobFolder, file: PlacedFile, *, deep: bool = False) -> str | None:
    """Return what is wrong with a placed file as a sentence; None: nothing is. Blocks.

    Compares size and SHA-256 and checks the structure; `deep` also decodes every pixel of
    PNG, JPEG, WebP, GIF and BMP.
    """
    path = folder.result(file)
    try:
        if path.is_symlink() or not path.is_file():
            return f"{file.name} is missing"
        if path.stat().st_size != file.size:
            return f"{file.name} has {path.stat().st_size} bytes, expected {file.size}"
        if file_sha256(path) != file.sha256:
            return f"{file.name} has been changed"
        with path.open("rb") as content, mapped(content.fileno()) as data:
            found = media.check(data, length_known=True, declared=(file.media_type,))
        if found.name != file.media_type:
            return f"{file.name} is {found.name}, expected {file.media_type}"
    except OSError as error:
        return f"{file.name} cannot be read: {error.strerror}"
    except FileRejected as error:
        return f"{file.name}: {error}"
    return _decoding_error(path) if deep and file.media_type in media.DECODABLE else None


def _decoding_error(path: Path) -> str | None:
    from PIL import Image

    # About images that are valid, such as one with bytes after its end.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        with Image.open(path) as image:
            image.verify()
        with Image.open(path) as image:  # after verify() the object cannot be used any more
            image.load()
    except Exception as error:  # noqa: BLE001  decoders raise nearly anything for damaged bytes
        return f"{path.name} cannot be decoded: {error}"
    return None


def missing_files(folder: JobFolder, files: Iterable[PlacedFile]) -> list[str]:
    """Return the names of placed files that do not exist any more; one `stat` each."""
    return [
        file.name
        for file in files
        if not os.path.lexists(child_bytes(folder.root, file.name))
        and not os.path.lexists(folder.result(file))
    ]
