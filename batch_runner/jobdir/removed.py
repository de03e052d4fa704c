"""Move files out of the results of a job; none is deleted."""

from __future__ import annotations

from pathlib import Path

from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import results_of, store_refused
from batch_runner.jobdir.sidecars import is_sidecar, sidecar_of
from batch_runner.util.fs import truncate_file_name


def move_out(folder: JobFolder, name: str, key: str, *, to: str) -> None:
    """Move the file `name` of an item, and its sidecar, to `.batch/TO`, if it is a regular file.

    Raises:
        FolderRefused: it cannot be moved.
    """
    results, target = results_of(folder), folder.batch / to
    sidecar = sidecar_of(name)
    with store_refused(results.address(name)):
        for one in (name, *([sidecar] if is_sidecar(results, sidecar, key) else [])):
            results.take_out(one, _unused_path(target, one, f".{key[:8]}"))


def _unused_path(folder: Path, name: str, tail: str) -> Path:
    """Return an unused path in `folder`, with a number if the plain name is taken."""
    name = name.replace("/", "-")  # of the folders below the output folder
    number, place = 1, folder / truncate_file_name(name, tail)
    while place.exists():
        number += 1
        place = folder / truncate_file_name(name, f"{tail}.{number}")
    return place
