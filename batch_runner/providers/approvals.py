"""Which descriptions of services the user has approved, by the hash of their content."""

from __future__ import annotations

import hashlib

from batch_runner.errors import UsageError
from batch_runner.util.locale import tr
from batch_runner.util.paths import utf8_text
from batch_runner.util.text import printable
from batch_runner.util.xdg import state_folder

_FILE = "approved-providers"


def is_approved(content: bytes) -> bool:
    """Return whether the user has approved a description with these bytes."""
    folder = state_folder()
    if folder is None:
        return False
    try:
        lines = (folder / _FILE).read_bytes().splitlines()
    except OSError:
        return False
    digest = _digest(content).encode()
    return any(line.split(b" ", 1)[0] == digest for line in lines)


def approve(content: bytes, name: str) -> None:
    """Record that the user has approved a description with these bytes.

    Raises:
        UsageError: it cannot be recorded.
    """
    folder = state_folder()
    if folder is None:
        raise UsageError(tr("neither XDG_STATE_HOME nor HOME is set, so nothing can be approved"))
    if is_approved(content):
        return
    path = folder / _FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            # The first line break ends what a damaged file may end with.
            file.write(f"\n{_digest(content)} {printable(name)}\n")
    except OSError as error:
        raise UsageError(
            tr("{path} cannot be written: {reason}", path=utf8_text(path), reason=error.strerror)
        ) from None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
