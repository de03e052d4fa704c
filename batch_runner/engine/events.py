"""What a run tells its caller while it goes on. Values only, delivered to one callback.

An event of an item is delivered after its change is committed to the journal, in the order of the
commits. The journal has the truth: a run that is killed may have committed changes that it did not
tell.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from batch_runner.engine.summary import RunSummary
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import Results, results_of
from batch_runner.journal.base import Change
from batch_runner.lifecycle import Event, ItemStatus

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """Something that happened in a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(RunEvent):
    """The first event: the items are imported, nothing has been sent by this run."""

    folder: Path  #: the output folder, absolute
    counts: Mapping[ItemStatus, int]  #: items of the job by status


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(RunEvent):
    """The figures of the run, every second."""

    counts: Mapping[ItemStatus, int]  #: items of the job by status
    submissions: int  #: of this run that must be assumed paid
    polls: int
    limited: int  #: 429 responses
    seconds: float  #: since the start of the run


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(RunEvent):
    """The last event."""

    summary: RunSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemEvent(RunEvent):
    """Something that happened to the item `key`, which is its `ItemSpec.key`."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemSubmitted(ItemEvent):
    """The service has accepted the submission: the item is paid."""

    task_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDone(ItemEvent):
    """Every file of the item is verified and under its final name."""

    files: tuple[Path, ...]  #: absolute; none if they are in an object store
    addresses: tuple[str, ...]  #: the same as texts, or s3:// addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemProblem(ItemEvent):
    """An item that this run leaves unfinished; the class says how."""

    reason: str | None  #: a short word for grouping
    message: str | None  #: a sentence for people


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFailed(ItemProblem):
    """The service gave up. If the item's attempts allow it, the item is submitted again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRejected(ItemProblem):
    """The service said no, or an input file was rejected; not paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemHeld(ItemProblem):
    """The submission may have been paid; it is sent again only if the user decides so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDownloadPending(ItemProblem):
    """Paid, but its files could not be downloaded; the next run tries again."""


OnEvent = Callable[[RunEvent], None]

_PROBLEMS: dict[Event, type[ItemProblem]] = {
    Event.TASK_FAILED: ItemFailed,
    Event.SUBMIT_REJECTED: ItemRejected,
    Event.UPLOAD_REJECTED: ItemRejected,
    Event.SUBMIT_UNANSWERED: ItemHeld,
    Event.FAILED_BEFORE: ItemFailed,
    Event.PAID_BEFORE: ItemHeld,
    Event.TASK_UNKNOWN: ItemDownloadPending,
    Event.DOWNLOAD_FAILED: ItemDownloadPending,
}


def deliver(on_event: OnEvent, event: RunEvent) -> None:
    """Call `on_event`. What it raises is logged: the run goes on, and no task id is lost."""
    try:
        on_event(event)
    except Exception:
        log.exception("the callback failed on %s; the run goes on", type(event).__name__)


def change_listener(on_event: OnEvent, folder: JobFolder) -> Callable[[Change], None]:
    """Return a function that delivers what callers learn of a change; it does not raise."""
    results = results_of(folder)

    def listen(change: Change) -> None:
        if (event := _item_event(change, results)) is not None:
            deliver(on_event, event)

    return listen


def _item_event(change: Change, results: Results) -> ItemEvent | None:
    if change.event in (Event.SUBMIT_CONFIRMED, Event.ATTACHED) and change.task_id is not None:
        return ItemSubmitted(key=change.key, task_id=change.task_id)
    if change.event is Event.PLACED:
        return ItemDone(
            key=change.key,
            files=results.paths(change.files),
            addresses=tuple(results.address(file.name) for file in change.files),
        )
    if (problem := _PROBLEMS.get(change.event)) is not None:
        return problem(key=change.key, reason=change.reason, message=change.message)
    return None
