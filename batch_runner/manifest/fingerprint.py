"""Hash of everything that the items of a manifest depend on: equal hashes mean equal items."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import jinja2
import yaml

from batch_runner import __version__, models, settings
from batch_runner.util.fs import file_sha256


def fingerprint(label: str, paths: Iterable[Path]) -> str | None:
    """Return a hash of the files at `paths`, of `label`, and of this program's version.

    Return None if a file cannot be read, or can be read only once (a pipe).
    """
    parts = [label, *_program()]
    try:
        for path in paths:
            if not path.is_file():
                return None
            parts.append(file_sha256(path))
    except OSError:
        return None
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()


@cache
def _program() -> list[str]:
    """Return versions, sizes and modification times of this program and its libraries."""
    here = Path(__file__).parent
    beside = (models.__file__, settings.__file__, jinja2.__file__, yaml.__file__)
    sources = [*sorted(here.rglob("*.py")), *map(Path, beside)]
    states = [(str(path), path.stat()) for path in sources if path.is_file()]
    files = [f"{path} {state.st_size} {state.st_mtime_ns}" for path, state in states]
    return [__version__, sys.version, *files]
