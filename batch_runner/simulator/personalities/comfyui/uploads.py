"""The input files of the server, and the names that uploads get."""

from __future__ import annotations

from batch_runner.simulator.personalities.uploads import UploadedFile
from batch_runner.simulator.service import Service


class Uploads:
    """Input files; a restart keeps them, because the ledger does."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def names(self) -> set[str]:
        """Return every file, with its subfolder, as a workflow names it."""
        return set(self._by_path())

    def _by_path(self) -> dict[str, str]:
        return {each["path"]: each["sha256"] for each in self._service.ledger.uploads}

    def store(self, file: UploadedFile, subfolder: str, *, overwrite: bool) -> str:
        """Store a file and return its name: another one if a different file has it.

        A file that is there with the same content is not stored again.
        """
        there = self._by_path()
        stem, dot, ending = file.name.rpartition(".")
        name, number = file.name, 0
        while not overwrite and there.get(_path(subfolder, name), file.sha256) != file.sha256:
            number += 1
            name = f"{stem or ending} ({number}){dot}{ending if stem else ''}"
        self._service.store(file, _path(subfolder, name))
        return name


def _path(subfolder: str, name: str) -> str:
    return f"{subfolder}/{name}" if subfolder else name
