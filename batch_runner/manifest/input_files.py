"""Find input files and hash their contents."""

from __future__ import annotations

import os
import re
import unicodedata
from contextlib import suppress
from pathlib import Path, PurePosixPath

from batch_runner.manifest.diagnostics import closest
from batch_runner.models import InputFile
from batch_runner.util.fs import file_sha256
from batch_runner.util.fullwidth import ascii_form
from batch_runner.util.locale import tr
from batch_runner.util.paths import find_existing, is_utf8, list_names


class InputRefusedError(ValueError):
    """This input file cannot be uploaded; with a hint, or None for a general one."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Inputs:
    """Finds and hashes input files; a file is hashed again only if it has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[str, int, int], InputFile] = {}

    def get(self, name: str) -> InputFile:
        """Return the file at the path `name`, relative to the manifest's folder.

        Raises:
            InputRefusedError: it does not exist, cannot be read or is empty.
        """
        if not name.strip() or "\0" in name:
            raise InputRefusedError(tr("the path of the input file is empty"))
        if not is_utf8(name):
            raise InputRefusedError(tr("the path of the input file is not UTF-8"))
        path = find_input(self._folder, name)
        try:
            state = path.stat()
            key = (name, state.st_size, state.st_mtime_ns)
            if key in self._known:
                return self._known[key]
            if not path.is_file():
                raise InputRefusedError(
                    tr("the input file {name} is not a regular file", name=name)
                )
            if not state.st_size:
                raise InputRefusedError(tr("the input file {name} is empty", name=name))
            found = InputFile(path=path, sha256=file_sha256(path))
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                message = tr("the input file {name} does not exist", name=name)
                raise InputRefusedError(message, missing_hint(self._folder, name)) from None
            message = tr(
                "the input file {name} cannot be read: {strerror}",
                name=name,
                strerror=error.strerror,
            )
            raise InputRefusedError(message) from None
        self._known[key] = found
        return found


def missing_hint(folder: Path, name: str) -> str | None:
    """Return what may be wrong with the path of a file that does not exist."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name):
        return tr("download the file first: only local files are uploaded")
    if name.startswith("~"):
        return tr('use an absolute path: "~" depends on the user')
    for typed in (name.strip(), ascii_form(name), name.replace("\\", "/")):
        if typed != name and os.path.lexists(find_input(folder, typed)):
            return tr("did you mean {found}?", found=typed)
    if "\\" in name:
        return tr("folders are separated by /, not by \\")
    beside = _names_in(find_input(folder, name).parent)
    found = closest(name.rpartition("/")[2], beside, cutoff=0.8)
    return tr("did you mean {found}?", found=found) if found else None


def find_input(folder: Path, name: str) -> Path:
    """Return the path of the file `name`, which is relative to `folder`.

    A name that exists only in another Unicode form or encoding is found: macOS stores é as e and an
    accent, and archives and network drives keep that.
    """
    path = find_existing(folder / name, folder)
    if name.isascii() or os.path.lexists(path):
        return path
    found = folder
    for part in PurePosixPath(name).parts:
        forms = (unicodedata.normalize("NFC", part), unicodedata.normalize("NFD", part))
        paths = (find_existing(found / form, found) for form in (part, *forms))
        existing = next((one for one in paths if os.path.lexists(one)), None)
        if existing is None:
            return path
        found = existing
    return found


def _names_in(folder: Path) -> list[str]:
    """Return the names in a folder; none if it cannot be listed."""
    with suppress(OSError):
        return [name for name in list_names(folder) if is_utf8(name)]
    return []
