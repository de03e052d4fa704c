"""Command-line arguments that name a job, for the commands that are shown to the user."""

from __future__ import annotations

from pathlib import Path

from batch_runner.errors import BatchRunnerError
from batch_runner.manifest import load
from batch_runner.models import REHEARSAL
from batch_runner.util.paths import Utf8Path, find_existing, utf8_text


def job_arguments(manifest: str | None, folder: Path, *, rehearsal: bool) -> list[str]:
    """Return the arguments that name the job of `manifest` in `folder`.

    `--output` is left out if `folder` is the output folder that the manifest gives.
    """
    folder = folder.absolute()
    if rehearsal:
        folder = folder.with_name(folder.name.removesuffix(f".{REHEARSAL}"))
    target = [manifest or "MANIFEST.yaml", *(["--rehearse"] if rehearsal else [])]
    if manifest and _is_own(find_existing(manifest), folder):
        return target
    return [*target, "--output", utf8_text(folder)]


def _is_own(manifest: Path, folder: Path) -> bool:
    try:
        own = find_existing(load(manifest).output_folder, manifest.absolute().parent)
        return own.resolve() == Utf8Path(folder).resolve()
    except (BatchRunnerError, OSError):
        return False
