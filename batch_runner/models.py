"""The values that travel between the stages. No behaviour, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

#: Stands in rendered params for the value that the service gives an uploaded file back:
#: this prefix and the 64 hex digits of the file's SHA-256.
UPLOAD_MARK = "batch-runner-upload:"

#: The origin of a job that runs against the simulator, and the ending of its folder's name.
REHEARSAL = "rehearsal"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A local file that is uploaded before the items that use it are created."""

    path: Path
    sha256: str  # 64 hex digits, of the content


@dataclass(slots=True, kw_only=True)  # not frozen: that costs 2 µs an item, there are many
class ItemSpec:
    """One item as the manifest describes it, fully rendered and checked; nobody changes it.

    `key` is the identity: 32 hex digits of a SHA-256 over what would be sent (provider, workflow,
    params with input files replaced by their content's hash, n), never the position.
    `name` is the file name without extension that the item's file gets in the output folder.
    `params` is what is sent, except that uploaded files stand as `UPLOAD_MARK` + sha256.
    `variables` are the template variables that tell this item from its siblings (matrix values by
    their id), for the report. `source` is where it stands in the input, as "file:line".
    """

    key: str
    position: int
    id: str
    name: str
    prompt: str
    workflow: str
    params: dict[str, Any]
    variables: dict[str, str] = field(default_factory=dict)
    files: tuple[InputFile, ...] = ()
    attempts: int = 1
    source: str = ""


@dataclass(slots=True, kw_only=True)
class InFlight:
    """A paid task on its way: what the pollers and fetchers carry. Kept small, there are many.

    `submitted_at` is wall-clock seconds since the epoch; `since` is the loop's monotonic clock at
    that moment, or, for a task of an earlier run, when this one took it over.
    """

    key: str
    task_id: str
    workflow: str
    name: str
    attempt: int
    attempts: int
    submitted_at: float
    since: float = 0.0
    inherited: bool = False  # paid for by an earlier run


class TaskState(StrEnum):
    """The service's word for a task, made neutral."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    UNKNOWN_WORD = "unknown_word"  #: a word we do not know: still running, as far as we can tell

    @property
    def final(self) -> bool:
        """Say whether the service will not change this state any more."""
        return self in _FINAL


_FINAL = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED})


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """One answer to a status request: `progress` is 0..1 or None, `word` what the service said."""

    state: TaskState
    progress: float | None = None
    word: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedFile:
    """A verified file under its final name; `name` is relative to the output folder."""

    name: str
    size: int
    sha256: str
    media_type: str
