"""The folders below the output folder that are part of the names of results."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path


def parent_names(name: str) -> list[str]:
    """Return the folders in a file's name, the outer ones first: "a", "a/b" of "a/b/c.png"."""
    parts = name.split("/")
    return ["/".join(parts[:number]) for number in range(1, len(parts))]


def make_parents(root: Path, name: str) -> None:
    """Create the folders in a file's name, with the mode that the umask allows. Blocks.

    Raises:
        OSError: one cannot be created, or is not a folder; a symbolic link may lead elsewhere.
    """
    for parent in parent_names(name):
        path = root / parent
        try:
            path.mkdir()
        except FileExistsError:
            if reason := not_a_folder(path):
                raise OSError(reason) from None


def not_a_folder(path: Path) -> str | None:
    """Return why results cannot be stored in `path`, which exists; None if they can."""
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        return None
    kind = "a symbolic link" if stat.S_ISLNK(mode) else "not a folder"
    return f"{path} is {kind}; remove it or rename it"


def find_blocked(root: Path, folders: Iterable[str]) -> Path | None:
    """Return what stands in the place of one of these folders below `root`; None: nothing."""
    names = {one for folder in filter(None, folders) for one in parent_names(f"{folder}/")}
    paths = (root / name for name in sorted(names))
    return next((one for one in paths if os.path.lexists(one) and not_a_folder(one)), None)


def folders_of(root: Path, names: Iterable[str]) -> list[Path]:
    """Return the folders of these files and all above them, up to `root`, the inner ones first."""
    inner = {parent for name in names for parent in parent_names(name)}
    return [*(root / parent for parent in sorted(inner, key=len, reverse=True)), root]
