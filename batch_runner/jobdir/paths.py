"""The output folder of one job, and the paths in it.

::

    OUT/*.png …                 verified files, and nothing else; in folders if output.name has some
    OUT/index.html              the report
    OUT/.batch-job.json         the marker: the job's id, and the last event of its journal
    OUT/.batch/journal.sqlite   the journal
    OUT/.batch/cluster.json     instead of it, of a cluster job: which schema of the database has it
    OUT/.batch/files.json       where the files are, if they are not here: in an object store
    OUT/.batch/lock             locked by the run that has the job, which it names
    OUT/.batch/fallback.jsonl   outcomes of submissions that the journal could not store
    OUT/.batch/logs/            one log per run
    OUT/.batch/parts/           incomplete downloads
    OUT/.batch/aside/           files that were downloaded and are not accepted, by task id
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from batch_runner.errors import FolderRefused
from batch_runner.models import PlacedFile
from batch_runner.util.fs import is_abandoned, lock_records, sync_folder, temporary_name
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, find_existing, path_variants


@dataclass(frozen=True)
class JobFolder:
    """The paths of one job's output folder."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Utf8Path(self.root))

    @functools.cached_property
    def batch(self) -> Path:
        """Return the folder for everything that is not a result."""
        return self.root / ".batch"

    @functools.cached_property
    def journal(self) -> Path:
        return self.batch / "journal.sqlite"

    @functools.cached_property
    def cluster(self) -> Path:
        """Return the file of a cluster job that names the schema of its journal."""
        return self.batch / "cluster.json"

    @functools.cached_property
    def files_record(self) -> Path:
        return self.batch / "files.json"

    @functools.cached_property
    def lock(self) -> Path:
        return self.batch / "lock"

    @functools.cached_property
    def parts(self) -> Path:
        return self.batch / "parts"

    @functools.cached_property
    def aside(self) -> Path:
        return self.batch / "aside"

    @functools.cached_property
    def logs(self) -> Path:
        return self.batch / "logs"

    @functools.cached_property
    def marker(self) -> Path:
        return self.root / ".batch-job.json"

    @functools.cached_property
    def fallback_log(self) -> Path:
        return self.batch / "fallback.jsonl"

    @functools.cached_property
    def old_fallback_log(self) -> Path:
        """Return where programs of journal version 1 kept the fallback log."""
        return self.batch / "emergency.jsonl"

    def result(self, file: PlacedFile) -> Path:
        """Return where a placed file is, also if the locale's encoding once spelt its name."""
        return find_existing(self.root / file.name, self.root)

    @property
    def objects(self) -> str | None:
        """Return the s3:// address where the job's files are; None: they are in the folder.

        Raises:
            FolderRefused: the record is damaged.
        """
        try:
            return str(json.loads(self.files_record.read_bytes())["address"])
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FolderRefused(
                tr(
                    "{path} is damaged: it says where the files of the job are; restore it from "
                    "a backup",
                    path=self.files_record,
                )
            ) from error

    def has_job(self) -> bool:
        return any(path.exists() for path in (self.journal, self.cluster, self.marker))

    def prepare(self) -> None:
        """Create the folders, and check that they are writable.

        Results have the modes that the umask allows; the rest is readable by its owner only.

        Raises:
            FolderRefused: a file or a link is in the way, or a folder is not writable.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for folder in (self.batch, self.parts, self.logs):
                folder.mkdir(exist_ok=True, mode=0o700)
                if not stat.S_ISDIR(folder.lstat().st_mode):
                    raise FolderRefused(tr("{folder} is a symbolic link; remove it", folder=folder))
            probe = self.parts / temporary_name(".probe")
            try:
                self._check_locks(probe)
            finally:
                probe.unlink(missing_ok=True)
            for folder in (self.batch, self.root, self.root.parent):
                sync_folder(folder)
        except OSError as error:
            raise self.output_folder_error(error) from error

    def _check_locks(self, probe: Path) -> None:
        """Create the file `probe` and check that it can be locked as SQLite locks the journal.

        Raises:
            FolderRefused: it cannot.
            OSError: the file cannot be created.
        """
        descriptor = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            lock_records(descriptor)
        except OSError as error:
            raise FolderRefused(
                tr(
                    "the file system of {folder} cannot lock files ({error}), which the journal "
                    "needs. Nothing was sent. Choose a folder on a local disk with --output, or "
                    "let the server of this file system allow locks",
                    folder=self.root,
                    error=error.strerror or error,
                )
            ) from error
        finally:
            os.close(descriptor)

    def output_folder_error(self, error: OSError) -> FolderRefused:
        return FolderRefused(
            tr(
                "the output folder {folder} cannot be used: {error}; choose another with --output "
                "or output.folder in the manifest",
                folder=self.root,
                error=error.strerror or error,
            )
        )

    def clear_parts(self, *, shared: bool = False) -> None:
        """Remove the incomplete downloads of killed runs.

        Other hosts and processes may be working on a cluster job, or on another one in a `shared`
        folder: of theirs, only those of processes of this host that have ended are removed.
        """
        shared = shared or self.cluster.exists()
        for part in self.parts.iterdir():
            if not shared or is_abandoned(part.name):
                part.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.batch).free


def find_job(path: Path, within: Path) -> Path:
    """Return the folder of the job that `path` means, `path` itself if there is none.

    An earlier version may have encoded the names below `within` as the locale said.
    """

    def has_job(root: Path) -> bool:
        folder = JobFolder(root)
        return any(map(os.path.lexists, (folder.marker, folder.journal, folder.cluster)))

    return next((one for one in path_variants(path, within) if has_job(one)), Utf8Path(path))
