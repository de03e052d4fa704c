"""Read a secret: a variable, a file that another variable names, or a systemd credential."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from pathlib import Path

from batch_runner.util.paths import find_existing


def secret_file(variable: str, environment: Mapping[str, str]) -> Path | None:
    """Return the file with the secret, or the systemd credential if there is one; None: neither.

    None also if `variable` itself holds the secret.
    """
    if environment.get(variable):
        return None
    if path := environment.get(f"{variable}_FILE"):
        return find_existing(path)
    if folder := environment.get("CREDENTIALS_DIRECTORY"):
        credential = find_existing(folder) / variable
        return credential if credential.exists() else None
    return None


def read_text(path: Path) -> str:
    """Return the text of a file, also as some editors and shells of Windows write it.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is not text.
    """
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    return content.decode("utf-8-sig")


def without_assignment(text: str, variable: str) -> str:
    """Return `text` without blanks, quotes or the name of its variable around it."""
    found = text.strip().removeprefix("export ").strip()
    found = found.removeprefix(f"{variable}=").strip()
    if len(found) >= 2 and found[0] == found[-1] and found[0] in "\"'":
        return found[1:-1].strip()
    return found


def is_readable_by_others(path: Path) -> bool:
    """Return whether other users may read a file; False if it cannot be looked at."""
    try:
        return bool(path.stat().st_mode & 0o044)
    except OSError:
        return False
