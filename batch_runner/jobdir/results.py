"""Where the result files of a job are: in its output folder, or in an object store.

A job in an object store has its journal, logs, lock and report in its folder all the same, and
`.batch/files.json` there names the address. Endpoint and credentials are not recorded.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol

from batch_runner.errors import FolderRefused
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.result_folders import find_blocked
from batch_runner.models import PlacedFile
from batch_runner.util.fs import replace_file, sync_folder
from batch_runner.util.locale import tr
from batch_runner.util.object_store import ObjectPrefix
from batch_runner.util.paths import Utf8Path, child_bytes, plain_path, utf8_text

#: Stands for the job's own folder where the address of an object store could be given.
IN_FOLDER = ""


class Results(Protocol):
    """The result files of one job.

    Every method may block and raise an OSError, and FolderRefused if the store cannot be used. All
    may be called by several threads at once.
    """

    readers: int  #: how many files are best read at the same time

    def address(self, name: str) -> str:
        """Return where a file is, for people: its path, or its s3:// address. No I/O."""
        ...

    def paths(self, files: Iterable[PlacedFile]) -> tuple[Path, ...]:
        """Return the absolute paths of files; none if they are in an object store. No I/O."""
        ...

    def has(self, file: PlacedFile) -> bool:
        """Return whether there is something under the file's name."""
        ...

    def size(self, file: PlacedFile) -> int | None:
        """Return the size of a file, None if there is none."""
        ...

    def modified(self, name: str) -> float | None:
        """Return when a file was written, None if there is none; objects are always old."""
        ...

    def local(self, file: PlacedFile) -> AbstractContextManager[Path]:
        """Return a context with the file's content at a local path.

        Raises:
            FileNotFoundError: there is no such file.
        """
        ...

    def take_out(self, name: str, target: Path) -> None:
        """Move a file, if there is one, to a local path that does not exist."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return a small file, such as a sidecar; None if there is none, b"" if it is no file."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write a small file, or replace the one that was read.

        Raises:
            FileExistsError: somebody else has written one since it was looked for; read it first.
        """
        ...


class FolderResults:
    """Files in the output folder."""

    readers = 1

    def __init__(self, folder: JobFolder) -> None:
        self._folder = folder

    def address(self, name: str) -> str:
        return utf8_text(self._folder.root / name)

    def paths(self, files: Iterable[PlacedFile]) -> tuple[Path, ...]:
        return tuple(plain_path(self._folder.root / file.name) for file in files)

    def has(self, file: PlacedFile) -> bool:
        return os.path.lexists(child_bytes(self._folder.root, file.name)) or os.path.lexists(
            self._folder.result(file)
        )

    def size(self, file: PlacedFile) -> int | None:
        path = self._folder.result(file)
        return path.stat().st_size if path.is_file() and not path.is_symlink() else None

    def modified(self, name: str) -> float | None:
        try:
            # Half the time of `Path.stat`, and there are many.
            return os.stat(child_bytes(self._folder.root, name)).st_mtime  # noqa: PTH116
        except OSError:
            return None

    @contextmanager
    def local(self, file: PlacedFile) -> Iterator[Path]:
        path = self._folder.result(file)
        if path.is_symlink() or not path.is_file():
            raise FileNotFoundError(f"{path} is missing")
        yield path

    def take_out(self, name: str, target: Path) -> None:
        path = self._folder.root / name
        if path.is_file() and not path.is_symlink():
            target.parent.mkdir(exist_ok=True, mode=0o700)
            path.rename(target)

    def read(self, name: str) -> bytes | None:
        root = self._folder.root
        if find_blocked(root, [name.rpartition("/")[0]]):
            return b""
        if not os.path.lexists(root / name):
            return None
        return b"" if (root / name).is_symlink() else (root / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        path, parts = self._folder.root / name, self._folder.parts
        with replace_file(path, through=parts, durable=False) as out:
            out.write(content)


class ObjectResults:
    """Objects below a prefix, which are listed once, when one is first looked up.

    One that is not in the list may be newer, and is looked up by itself.
    """

    readers = 16

    def __init__(self, address: str) -> None:
        self._objects = ObjectPrefix(address)
        self._listing = threading.Lock()
        self._sizes: dict[str, int] | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """Return the size of every object by its name.

        Raises:
            FolderRefused: they cannot be listed.
        """
        with self._listing:
            if self._sizes is None:
                with store_refused(self._objects.address):
                    self._sizes = self._objects.sizes()
            return self._sizes

    def address(self, name: str) -> str:
        return self._objects.of(name)

    def paths(self, files: Iterable[PlacedFile]) -> tuple[Path, ...]:
        return ()

    def has(self, file: PlacedFile) -> bool:
        return self._size(file.name) is not None

    def size(self, file: PlacedFile) -> int | None:
        return self._size(file.name)

    def modified(self, name: str) -> float | None:
        return None if self._size(name) is None else 0.0

    def _size(self, name: str) -> int | None:
        listed = self.sizes.get(name)
        return self._objects.size(name) if listed is None else listed

    @contextmanager
    def local(self, file: PlacedFile) -> Iterator[Path]:
        with tempfile.NamedTemporaryFile(suffix=PurePosixPath(file.name).suffix) as copy:
            self._objects.fetch(file.name, copy.file)
            copy.flush()
            yield Utf8Path(copy.name)

    def take_out(self, name: str, target: Path) -> None:
        """Fetch an object and remove it from the store."""
        if self._objects.size(name) is None:
            return
        target.parent.mkdir(exist_ok=True, mode=0o700)
        with replace_file(target, mode=0o600) as out:
            self._objects.fetch(name, out)
        self._objects.remove(name)

    def read(self, name: str) -> bytes | None:
        return self._objects.read(name) if name in self.sizes else None

    def write(self, name: str, content: bytes) -> None:
        if name in self.sizes:
            self._objects.put(name, content)
        elif not self._objects.put_new(name, content, "application/json"):
            self.sizes[name] = len(content)  # to be read before it is replaced
            raise FileExistsError(f"{self.address(name)} exists")


def results_of(folder: JobFolder) -> Results:
    """Return the result files of the job in a folder.

    Raises:
        FolderRefused: the record of where they are is damaged.
    """
    address = folder.objects
    return FolderResults(folder) if address is None else ObjectResults(address)


def check_place(folder: JobFolder, wanted: str, *, is_new: bool) -> None:
    """Check that a run may have its files at `wanted`, an address or IN_FOLDER. Writes nothing.

    Raises:
        FolderRefused: the job has its files elsewhere, or the object store cannot be read.
    """
    recorded = folder.objects or IN_FOLDER
    if not is_new and recorded != wanted:
        raise FolderRefused(
            tr(
                "the job in {root} has its files in {recorded}, not in {wanted}. Set output.folder "
                "back, or give the manifest another `job` name: a new job uses the results that "
                "this one has paid for",
                root=folder.root,
                recorded=recorded or folder.root,
                wanted=wanted or folder.root,
            )
        )
    if wanted:
        with store_refused(wanted):
            ObjectPrefix(wanted).check_readable()


def settle_place(folder: JobFolder, wanted: str, *, is_new: bool) -> None:
    """Record that the files of a new job are at `wanted`, where they can be stored.

    Raises:
        FolderRefused: the job has its files elsewhere, or they cannot be stored there.
        OSError: the record cannot be written.
    """
    check_place(folder, wanted, is_new=is_new)
    if wanted:
        with store_refused(wanted):
            ObjectPrefix(wanted).check_writable()
    if not is_new:
        return
    folder.prepare()
    if wanted:
        with replace_file(folder.files_record, through=folder.parts, mode=0o600) as out:
            out.write(f"{json.dumps({'address': wanted})}\n".encode())
    else:
        folder.files_record.unlink(missing_ok=True)
    sync_folder(folder.batch)


@contextmanager
def store_refused(address: str) -> Iterator[None]:
    """Raise FolderRefused for an error of the object store."""
    try:
        yield
    except OSError as error:
        raise FolderRefused(
            tr(
                "{address} cannot be used: {error}",
                address=address,
                error=error.strerror or error,
            )
        ) from None
