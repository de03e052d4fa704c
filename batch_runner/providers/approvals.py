"""Which descriptions of services the user has approved, by the hash of their content."""

from __future__ import annotations

from batch_runner.errors import UsageError
from batch_runner.util.locale import tr
from batch_runner.util.paths import utf8_text
from batch_runner.util.text import printable
from batch_runner.util.xdg import state_folder

_FILE = "approved-providers"


def is_approved(digest: str) -> bool:
    """Return whether the user has approved a description, by the SHA-256 of its bytes."""
    folder = state_folder()
    if folder is None:
        return False
    try:
        lines = (folder / _FILE).read_bytes().splitlines()
    except OSError:
        return False
    return any(line.split(b" ", 1)[0] == digest.encode() for line in lines)


def approve(digest: str, name: str) -> None:
    """Record that the user has approved a description.

    Raises:
        UsageError: it cannot be recorded.
    """
    folder = state_folder()
    if folder is None:
        raise UsageError(tr("neither XDG_STATE_HOME nor HOME is set, so nothing can be approved"))
    if is_approved(digest):
        return
    path = folder / _FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            # The first line break ends what a damaged file may end with.
            file.write(f"\n{digest} {printable(name)}\n")
    except OSError as error:
        raise UsageError(
            tr("{path} cannot be written: {reason}", path=utf8_text(path), reason=error.strerror)
        ) from None
