"""Received bytes that are not accepted as a result: kept until their item is done.

They may be the result that was paid for, which another setting accepts, or an error page that says
why there is none. They are in `.batch/aside`, in a folder for each task, up to a limit for the job;
what is beyond it is downloaded again when it is wanted.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection
from pathlib import Path

from batch_runner.errors import DiskFailed, FileNotAccepted
from batch_runner.jobdir.paths import JobFolder
from batch_runner.media import HEAD_BYTES, Kind, identify, kind_refusal
from batch_runner.storage.base import SetAside
from batch_runner.storage.partial_file import PartialFile
from batch_runner.util.fs import file_sha256, truncate_file_name
from batch_runner.util.paths import child_bytes, utf8_text

#: Most bytes kept for one job.
MAX_BYTES = 1_000_000_000
#: Ending of bytes that are damaged, or may not be all of the file.
UNVERIFIED = ".unverified"

log = logging.getLogger(__name__)


class AsideFolder:
    """The bytes that are set aside in one job's folder. Every method blocks, and none raises."""

    def __init__(self, folder: JobFolder, *, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def keep(self, part: PartialFile, task_id: str, name: str) -> SetAside:
        """Keep the bytes of `part` beside the first ones that were kept under the same name."""
        try:
            return self._keep(part, task_id, name)
        except (OSError, DiskFailed) as error:
            log.warning("%s: the received bytes are not set aside: %s", name, error)
            return SetAside()

    def _keep(self, part: PartialFile, task_id: str, name: str) -> SetAside:
        if part.size == 0:
            return SetAside()
        media_type, complete, sha256 = part.describe()
        earlier = self._kept(task_id, name)
        for path in earlier:
            if path.stat().st_size == part.size and file_sha256(path) == sha256:
                return SetAside(utf8_text(path), again=True)
        for path in earlier[1:]:  # the first and the newest are kept
            path.unlink()
        if self._total() + part.size > self._max_bytes:
            return SetAside()
        folder = self._folder.aside / task_id
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = ".2" if earlier else ""
        ending = media_type.extension + ("" if complete else UNVERIFIED)
        path = folder / f"{_stem(name)}{number}{ending}"
        part.link_as(path)
        return SetAside(utf8_text(path))

    def find(self, task_id: str, name: str) -> list[Path]:
        """Return the complete bytes kept under this name, the newest first."""
        found = self._kept(task_id, name)
        return [path for path in reversed(found) if path.suffix != UNVERIFIED]

    def refusal(
        self, task_id: str, name: str, kinds: Collection[Kind]
    ) -> tuple[FileNotAccepted, SetAside] | None:
        """Return why the newest complete bytes are not accepted: their kind; None: they are."""
        try:
            for path in self.find(task_id, name)[:1]:
                with path.open("rb") as file:
                    found = identify(file.read(HEAD_BYTES), (path.suffix,))
                refused = kind_refusal(found, kinds)
                if refused is not None:
                    return refused, SetAside(utf8_text(path), again=True)
        except OSError as error:
            log.info("%s: what was set aside cannot be read: %s", name, error)
        return None

    def clear(self, task_id: str) -> None:
        """Remove what is kept of a task."""
        shutil.rmtree(child_bytes(self._folder.aside, task_id), ignore_errors=True)

    def _kept(self, task_id: str, name: str) -> list[Path]:
        """Return the files kept under a name, whatever their ending: none, one or two."""
        folder, start = self._folder.aside / task_id, f"{_stem(name)}."
        if not folder.is_dir():
            return []
        found = (path for path in folder.iterdir() if path.name.startswith(start))
        return sorted(found, key=lambda path: path.name.startswith(f"{start}2."))

    def _total(self) -> int:
        if not self._folder.aside.is_dir():
            return 0
        tasks = self._folder.aside.iterdir()
        return sum(path.stat().st_size for task in tasks for path in task.iterdir())


def _stem(name: str) -> str:
    room = " " * 32  # for the endings
    return truncate_file_name(name.replace("/", "-"), room).removesuffix(room)
