"""The file in which tasks and ledger survive a restart of the simulator.

One JSON object a line, appended, each line flushed to the system: a kill -9 loses nothing that was
answered. There is no fsync: a simulator need not survive a power cut.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class StateFile:
    """An append-only log of events, open from construction until `close`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _drop_torn_line(path)
        # Unbuffered: one write call a line.
        self._file = path.open("ab", buffering=0)

    def write(self, event: dict[str, Any]) -> None:
        """Append one event; the system has it when this returns."""
        self._file.write(json.dumps(event, ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        """Close the file; nothing can be written afterwards."""
        self._file.close()


def read_events(path: Path) -> list[dict[str, Any]]:
    """Return the whole events of the file, none if there is no file.

    Raises:
        ValueError: a line is not an event: this is no state file.
    """
    if not path.exists():
        return []
    whole_lines = path.read_bytes().split(b"\n")[:-1]
    try:
        return [json.loads(line) for line in whole_lines]
    except ValueError as error:
        raise ValueError(f"{path} is not a state file of the simulator: {error}") from None


def _drop_torn_line(path: Path) -> None:
    """Cut off half a line, which a kill in the middle of a write leaves."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
