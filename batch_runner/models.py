"""The values that packages and stages exchange; no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from batch_runner.errors import ApiError

#: Placeholder in rendered params for what the service returns for an uploaded file: this prefix and
#: the 64 hex digits of the file's SHA-256.
UPLOAD_MARK = "batch-runner-upload:"

#: The origin of a job that runs against the simulator, and the ending of its folder's name.
REHEARSAL = "rehearsal"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A local file that is uploaded before the items that use it are submitted."""

    path: Path
    sha256: str  # of the content, 64 hex digits


@dataclass(slots=True, kw_only=True)  # not frozen: that costs 2 µs an item, there are many
class ItemSpec:
    """One item as the manifest describes it, rendered and validated; never changed.

    `key` is the identity: 32 hex digits of a SHA-256 of what would be sent (provider, workflow,
    params with input files replaced by their content's hash, repeat number), never the position.
    `name` is the name of the item's file in the output folder, without extension.
    `params` is what is sent, with `UPLOAD_MARK` + SHA-256 in place of uploaded files.
    `variables` are the template variables that distinguish this item from others (ids of matrix
    values), for the report. `source` is where the manifest has it, as "file:line".
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReusedFrom:
    """The job that has submitted an item of this one."""

    job: str  # its id
    folder: str  # its output folder at that time, an absolute path


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """What the items of a manifest depend on beside it, as the journal of their job has it.

    `today` is the local date of the job's first run, YYYY-MM-DD. `redone` are the repeat numbers
    that the user asked for with `redo`, in their order, by the key of the item's first repeat.
    """

    today: str
    redone: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class InFlight:
    """A paid task that is not finished. Kept small, because there are many.

    `submitted_at` is in seconds since the epoch. `since` is the same time on the event loop's
    clock; for a task of an earlier run, the time when this run resumed it.
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
    reused: bool = False  # paid for by another job
    has_result: bool = False  # its files' URLs came with its id, and are in the journal
    free: bool = False  # it cost nothing when it was submitted


class TaskState(StrEnum):
    """The status of a task, in terms that every provider maps its own to."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    LOST = "lost"  #: the service had accepted the task and has, for certain, nothing of it any more
    UNKNOWN_WORD = "unknown_word"  #: not in the list of known statuses; assumed to be running

    @property
    def final(self) -> bool:
        """Return whether the service will not change this status any more."""
        return self in _FINAL


_FINAL = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED, TaskState.LOST})


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """The response to one poll: `progress` is 0..1 or None, `word` the service's own status."""

    state: TaskState
    progress: float | None = None
    word: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """How a file came: `length_known` if all of the bytes that were announced have been received.

    `types` are what the service calls it, MIME names and extensions in lower case. `cut_off` is the
    error if fewer bytes came than were announced; None: there was none.
    """

    length_known: bool = False
    types: tuple[str, ...] = ()
    cut_off: ApiError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedFile:
    """A verified file under its final name; `name` is relative to the output folder."""

    name: str
    size: int
    sha256: str
    media_type: str


def placed_files(text: str) -> tuple[PlacedFile, ...]:
    """Return the files of an item from the JSON that journal and registry store."""
    return () if text == "[]" else tuple(PlacedFile(**one) for one in json.loads(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemOutcome:
    """What a journal says of an item, for the registry; `files` is JSON of `PlacedFile`s."""

    key: str
    status: str
    paid: bool  # it must be assumed that a submission of it was paid, by this job or another one
    reused: bool = False  # by another one
    task_id: str | None
    files: str
