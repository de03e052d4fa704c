"""The folder of a job, and where its files are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from batch_runner.api import rehearsal
from batch_runner.errors import UsageError
from batch_runner.jobdir.paths import JobFolder, find_job
from batch_runner.jobdir.results import IN_FOLDER
from batch_runner.models import REHEARSAL
from batch_runner.util.locale import tr
from batch_runner.util.object_store import is_address
from batch_runner.util.paths import Utf8Path, is_utf8, utf8_text
from batch_runner.util.text import printable

if TYPE_CHECKING:  # a slow import
    from batch_runner.manifest import Manifest


def output_folder(
    manifest: Manifest | None, output: str | Path | None, *, rehearse: bool = False
) -> Path:
    """Return the job's absolute output folder; a rehearsal has one of its own beside it.

    `manifest` may be None if `output` is given.

    Raises:
        UsageError: the folder does not exist, and its path is not valid UTF-8; or the provider
            cannot be rehearsed.
        FolderRefused: the folder cannot be read.
    """
    if rehearse and manifest is not None:
        rehearsal.check_rehearsal(manifest)
    folder: Path
    within: Path
    if output is not None:
        if is_address(str(Utf8Path(output))):
            raise UsageError(
                tr("an object store is named in the manifest (output.folder), not with --output")
            )
        folder, within = Utf8Path(output).absolute(), Utf8Path.cwd()
    elif manifest is not None:
        folder, within = manifest.output_folder, manifest.path.absolute().parent
    else:
        raise ValueError("neither a manifest nor an output folder")
    if rehearse:
        folder = folder.with_name(f"{utf8_text(folder.name)}.{REHEARSAL}")
    folder = find_job(folder, within)
    if not is_utf8(str(folder)) and not os.path.lexists(folder):
        path = printable(utf8_text(folder))
        raise UsageError(tr("{path}: a path must be UTF-8", path=path))
    _check_readable(JobFolder(folder))
    return folder


def _check_readable(folder: JobFolder) -> None:
    for path in (folder.marker, folder.journal):
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise folder.output_folder_error(error) from error


def existing_folder(
    manifest: Manifest | None, output: str | Path | None, *, rehearse: bool = False
) -> JobFolder:
    """Return the existing folder of a job; `manifest` and `output` as in `output_folder`.

    Raises:
        UsageError: the job has never been run.
    """
    from batch_runner.journal import journal_exists

    folder = JobFolder(output_folder(manifest, output, rehearse=rehearse))
    if not journal_exists(folder.journal) and not folder.marker.exists():
        raise UsageError(tr("the job in {folder} has not been run yet", folder=folder.root))
    return folder


def place_of_files(manifest: Manifest, root: Path) -> str | None:
    """Return where a run of the manifest in `root` stores files: an address, or `IN_FOLDER`.

    None: where the job in `root` has them; so it is for a rehearsal, and if another folder is given
    with --output.
    """
    own = find_job(manifest.output_folder, manifest.path.absolute().parent)
    return (manifest.objects or IN_FOLDER) if own == root else None


def shown_place(manifest: Manifest, root: Path) -> str:
    """Return where the files of the job in `root` are or will be, for people."""
    return place_of_files(manifest, root) or JobFolder(root).objects or utf8_text(root)
