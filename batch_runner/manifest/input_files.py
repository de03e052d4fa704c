"""Input files: found, read once, known by their content."""

from __future__ import annotations

from pathlib import Path

from batch_runner.models import InputFile
from batch_runner.util.fs import file_sha256


class InputRefusedError(ValueError):
    """This input file cannot be uploaded."""


class Inputs:
    """Reads input files; one that did not change since is not read again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[str, int, int], InputFile] = {}

    def get(self, name: str) -> InputFile:
        """Return the file of this name, relative to the manifest's folder.

        Raises:
            InputRefusedError: there is none, or it cannot be read, or it is empty.
        """
        if not name.strip() or "\0" in name:
            raise InputRefusedError("the name of the file is empty")
        path = self._folder / name
        try:
            state = path.stat()
            key = (name, state.st_size, state.st_mtime_ns)
            if key in self._known:
                return self._known[key]
            if not path.is_file():
                raise InputRefusedError(f"{name} is not a file")
            if not state.st_size:
                raise InputRefusedError(f"{name} is empty")
            found = InputFile(path=path, sha256=file_sha256(path))
        except OSError as error:
            reason = "there is no file" if isinstance(error, FileNotFoundError) else error.strerror
            raise InputRefusedError(f"{reason}: {name}") from None
        self._known[key] = found
        return found
