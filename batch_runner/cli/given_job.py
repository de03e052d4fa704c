"""The job that a command is given: by its manifest, by its output folder, or by both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batch_runner.api.folders import existing_folder, output_folder
from batch_runner.api.steps import load_manifest, manifest_of_job
from batch_runner.cli.output import print_line
from batch_runner.errors import ManifestError, UsageError
from batch_runner.jobdir.paths import JobFolder
from batch_runner.util.locale import tr

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.journal import JournalReader, ManifestDiff
    from batch_runner.manifest import Manifest


@dataclass(frozen=True, slots=True)
class GivenJob:
    """A job's folder, and its manifest if that is given and can be used."""

    folder: JobFolder
    manifest: Manifest | None
    by_folder: bool  # --output is given, so the manifest may be missing or invalid
    unusable: bool = False  # a manifest is given, but cannot be used

    def without_manifest(self, error: ManifestError) -> GivenJob:
        """Return the job by its folder alone, after a warning."""
        first, *_ = str(error).splitlines()
        line = tr("warning: only the journal is used, not the manifest: {error}", error=first)
        print_line(line, error=True)
        return replace(self, manifest=None, unusable=True)


def find_job(
    manifest_path: Path | None,
    output: Path | None,
    *,
    rehearse: bool = False,
    never_run: bool = False,
) -> GivenJob:
    """Return the job of a manifest, or with `output` the one in that folder.

    With `output` and a job there, the manifest may be missing or invalid. `never_run`: the job may
    be one that has not been run.

    Raises:
        UsageError: there is no such job, or the manifest is needed and invalid.
    """
    if manifest_path is None and output is None:
        raise UsageError(tr("name the manifest, or the output folder of the job with --output"))
    manifest = None
    if manifest_path is not None:
        try:
            manifest = load_manifest(manifest_path)
        except ManifestError as error:
            if output is None:
                raise
            folder = JobFolder(output_folder(None, output, rehearse=rehearse))
            if not was_run(folder):
                raise
            return GivenJob(folder, None, by_folder=True).without_manifest(error)
    if never_run and manifest is not None:
        folder = JobFolder(output_folder(manifest, output, rehearse=rehearse))
    else:
        folder = existing_folder(manifest, output, rehearse=rehearse)
    if manifest is not None:
        manifest = manifest_of_job(manifest, folder.root)
    return GivenJob(folder, manifest, by_folder=output is not None)


def was_run(folder: JobFolder) -> bool:
    """Return whether there is a job, also one whose journal is lost."""
    from batch_runner.journal import journal_exists

    return journal_exists(folder.journal) or folder.marker.exists()


def compare(reader: JournalReader, job: GivenJob) -> tuple[GivenJob, ManifestDiff | None]:
    """Compare the items of the manifest with the journal; None: they are the same, or unknown.

    Raises:
        ManifestError: an item is invalid, and the job is not given by its folder.
    """
    if job.manifest is None:
        return job, None
    try:
        return job, reader.compared(job.manifest.items(), job.manifest.fingerprint())
    except ManifestError as error:
        if not job.by_folder:
            raise
        return job.without_manifest(error), None


def job_folder(
    manifest_path: Path | None, output: Path | None, *, rehearse: bool = False
) -> JobFolder:
    """Return the existing folder of a job; see `find_job`."""
    return find_job(manifest_path, output, rehearse=rehearse).folder
