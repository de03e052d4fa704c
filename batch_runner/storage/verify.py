"""Check whether placed files still exist and are unchanged."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

from batch_runner import media
from batch_runner.errors import FileRejected
from batch_runner.jobdir.results import Results
from batch_runner.models import PlacedFile
from batch_runner.util.fs import file_sha256, mapped


def find_damage(results: Results, file: PlacedFile, *, deep: bool = False) -> str | None:
    """Return what is wrong with a placed file as a sentence; None: nothing is. Blocks.

    Compares size and SHA-256 and checks the structure; `deep` also decodes every pixel of
    PNG, JPEG, WebP, GIF and BMP.

    Raises:
        FolderRefused: the object store cannot be read.
    """
    try:
        size = results.size(file)
        if size is None:
            return f"{file.name} is missing"
        if size != file.size:
            return f"{file.name} has {size} bytes, expected {file.size}"
        with results.local(file) as path:
            return _content_damage(path, file, deep=deep)
    except FileNotFoundError:
        return f"{file.name} is missing"
    except OSError as error:
        return f"{file.name} cannot be read: {error.strerror}"
    except FileRejected as error:
        return f"{file.name}: {error}"


def _content_damage(path: Path, file: PlacedFile, *, deep: bool) -> str | None:
    if file_sha256(path) != file.sha256:
        return f"{file.name} has been changed"
    with path.open("rb") as content, mapped(content.fileno()) as data:
        found = media.check(data, length_known=True, declared=(file.media_type,))
    if found.name != file.media_type:
        return f"{file.name} is {found.name}, expected {file.media_type}"
    if deep and file.media_type in media.DECODABLE and (error := _decoding_error(path)):
        return f"{file.name.rpartition('/')[2]} cannot be decoded: {error}"
    return None


def _decoding_error(path: Path) -> Exception | None:
    from PIL import Image

    # About images that are valid, such as one with bytes after its end.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        with Image.open(path) as image:
            image.verify()
        with Image.open(path) as image:  # after verify() the object cannot be used any more
            image.load()
    except Exception as error:  # noqa: BLE001  decoders raise nearly anything for damaged bytes
        return error
    return None


def missing_files(results: Results, files: Iterable[PlacedFile]) -> list[str]:
    """Return the names of placed files that do not exist any more.

    Raises:
        FolderRefused: the object store cannot be read.
    """
    return [file.name for file in files if not results.has(file)]
