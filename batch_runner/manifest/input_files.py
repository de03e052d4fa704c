"""Find input files and hash their contents."""

from __future__ import annotations

from pathlib import Path

from batch_runner.models import InputFile
from batch_runner.util.fs import file_sha256
from batch_runner.util.locale import tr
from batch_runner.util.paths import find_existing, is_utf8


class InputRefusedError(ValueError):
    """This input file cannot be uploaded."""


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
        path = find_existing(self._folder / name, self._folder)
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
                raise InputRefusedError(
                    tr("the input file {name} does not exist", name=name)
                ) from None
            message = tr(
                "the input file {name} cannot be read: {strerror}",
                name=name,
                strerror=error.strerror,
            )
            raise InputRefusedError(message) from None
        self._known[key] = found
        return found
