"""Move files out of the output folder; none is deleted."""

from __future__ import annotations

from pathlib import Path

from batch_runner.jobdir.paths import JobFolder
from batch_runner.util.fs import truncate_file_name


def move_out(folder: JobFolder, name: str, key: str, *, to: str) -> None:
    """Move the file `name` of an item to `.batch/TO`; do nothing if it is no regular file.

    Raises:
        OSError: it cannot be moved.
    """
    path, target = folder.root / name, folder.batch / to
    if path.is_file() and not path.is_symlink():
        target.mkdir(exist_ok=True, mode=0o700)
        path.rename(_unused_path(target, name, f".{key[:8]}"))


def _unused_path(folder: Path, name: str, tail: str) -> Path:
    """Return an unused path in `folder`, with a number if the plain name is taken."""
    name = name.replace("/", "-")  # of the folders below the output folder
    number, place = 1, folder / truncate_file_name(name, tail)
    while place.exists():
        number += 1
        place = folder / truncate_file_name(name, f"{tail}.{number}")
    return place
