"""The file in which tasks and ledger survive a restart of the simulator.

One JSON object a line, appended, each line written to the system at once: a kill -9 loses nothing
that was answered. There is no fsync: a simulator need not survive a power cut.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# Names of events and fields that the first version wrote, with those of today.
RENAMED_KINDS = {"create": "submit", "answered": "response", "fetches": "downloads"}
RENAMED_FIELDS = {"service": "seconds", "fate": "outcome"}


class StateFile:
    """An append-only log of events, open from construction until `close`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _drop_partial_line(path)
        # Unbuffered: one write call a line.
        self._file = path.open("ab", buffering=0)

    def write(self, event: dict[str, Any]) -> None:
        """Append one event; the system has it when this returns."""
        self._file.write(json.dumps(event, ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        self._file.close()


def read_events(path: Path) -> list[dict[str, Any]]:
    """Return the events of the file, [] if there is no file. A partial last line is ignored.

    Raises:
        ValueError: A line is not an event.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    try:
        return [_with_new_names(json.loads(line)) for line in lines]
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a state file of the simulator ({error}); choose another file"
        ) from None


def _with_new_names(event: dict[str, Any]) -> dict[str, Any]:
    event = {RENAMED_FIELDS.get(name, name): value for name, value in event.items()}
    event["kind"] = RENAMED_KINDS.get(event.get("kind", ""), event.get("kind"))
    return event


def _drop_partial_line(path: Path) -> None:
    """Remove the partial line that a kill during a write leaves."""
    if not path.exists():
        return
    content = path.read_bytes()
    complete = content.rfind(b"\n") + 1
    if complete < len(content):
        with path.open("r+b") as file:
            file.truncate(complete)
