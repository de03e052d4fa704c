"""The protocols of a journal, and the values they exchange.

A run writes through `RunJournal`, commands write through `JobStore` between runs, and whatever only
reads uses `JournalReader`. `tests/contract/test_run_journal.py` tests every implementation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from batch_runner.errors import JournalError
from batch_runner.journal.item_import import ItemImport
from batch_runner.journal.records import (
    Difference,
    EventRow,
    ItemRow,
    ItemSummary,
    JobRow,
    PendingItem,
    ReusableItem,
    RunRow,
)
from batch_runner.lifecycle import Event, ItemStatus
from batch_runner.models import InFlight, ItemOutcome, ItemSpec, PlacedFile, ReusedFrom


class TaskIdTaken(JournalError):
    """The service gave one task id to two items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An event of one item. Only the fields that belong to the event are written."""

    key: str
    event: Event
    task_id: str | None = None
    reason: str | None = None  # short word for grouping
    message: str | None = None  # one sentence for people
    not_before: float | None = None  # wall clock
    files: tuple[PlacedFile, ...] = ()
    reused_from: ReusedFrom | None = None
    origin: ItemStatus | None = None  # the status that it leaves, if several allow the event


def held_instead(change: Change, error: TaskIdTaken) -> Change:
    """Return the change that holds an item whose task id belongs to another item."""
    event, reason = Event.SUBMIT_UNANSWERED, "duplicate-task-id"
    return Change(key=change.key, event=event, reason=reason, message=str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did: items inserted, items kept, and items no longer in the manifest."""

    new: int
    known: int
    unlisted: int


class RunJournal(Protocol):
    """The calls of one run. Each is queued when it returns: a cancelled waiter loses nothing.

    Every future raises JournalError when the journal cannot be read or written; then nothing was
    changed.
    """

    def record(
        self, change: Change, *further: Change, deferrable: bool = False
    ) -> asyncio.Future[None]:
        """Record a change; the future is done when the change is on the disk.

        `further` changes follow in the same transaction: all are recorded, or none. A `deferrable`
        change may wait a moment to share the commit of another.

        Raises (through the future):
            TaskIdTaken: the task id belongs to another item; nothing was changed.
            IllegalTransition: the item's status does not allow the event; nothing was changed.
        """
        ...

    def pending_items(self, after: int, limit: int) -> asyncio.Future[list[PendingItem]]:
        """Read up to `limit` listed pending items at positions beyond `after`, in their order."""
        ...

    def pending_item(self, key: str) -> asyncio.Future[PendingItem]:
        """Read one item that is pending again."""
        ...

    def reusable_items(self, after: int, limit: int) -> asyncio.Future[list[ReusableItem]]:
        """Read up to `limit` listed items that another job may have submitted, as `pending_items`.

        They are pending without a submission of this job, or held because another job has paid.
        """
        ...

    def in_flight(self, after: str, limit: int) -> asyncio.Future[list[InFlight]]:
        """Read up to `limit` submitted items with keys beyond `after`, in the order of keys."""
        ...

    def upload_value(self, sha256: str, since: float) -> asyncio.Future[str | None]:
        """Read the upload result for a file of this content; None: missing or older than `since`.

        `since` is wall clock.
        """
        ...

    def remember_upload(self, sha256: str, value: str) -> asyncio.Future[None]:
        """Keep the upload result for a file of this content."""
        ...

    def keep_figures(self, run: int, figures: dict[str, Any]) -> asyncio.Future[None]:
        """Keep the figures of the run so far: submissions, polls, limited, retries, samples."""
        ...


class JobStore(Protocol):
    """The synchronous calls of commands, outside of a run; each is durable when it returns.

    Raises:
        JournalError: from any call: the journal cannot be read or written; nothing was changed.
    """

    def start(self) -> None:
        """Accept the calls of `RunJournal` from now on; inside the running event loop."""
        ...

    def stop(self) -> None:
        """Commit what is queued, and accept only the calls of this protocol from now on."""
        ...

    def close(self) -> None:
        """Close the journal. What was queued and not awaited may be lost, as in a crash."""
        ...

    def follow_last_event(self, callback: Callable[[int], None]) -> None:
        """Call `callback` with the number of the last event, now and after each commit."""
        ...

    def report_last_event(self) -> None:
        """Call the callback of `follow_last_event` if there has been an event since."""
        ...

    @property
    def last_event(self) -> int:
        """Return the number of the last event, 0 if there is none."""
        ...

    def job(self) -> dict[str, Any]: ...

    def recover(self) -> None:
        """Apply `lifecycle.RECOVERY`: move each interrupted item to where a run can continue."""
        ...

    def import_items(
        self,
        items: Iterable[ItemSpec] | ItemImport,
        *,
        manifest: str = "",
        price: str | None = None,
        fingerprint: Callable[[], str | None] = lambda: None,
    ) -> Imported:
        """Insert new items and keep known ones, in one transaction.

        `fingerprint` returns that of the manifest, None if it is unknown. If it is that of the last
        import, the items are not read. It is called again at the end, so that a manifest that was
        changed meanwhile is read again by the next import. An exception from `items` leaves the
        journal unchanged.
        """
        ...

    def apply(self, change: Change) -> None:
        """Record one change.

        Raises:
            IllegalTransition: the item's status does not allow the event.
            TaskIdTaken: the task id belongs to another item.
        """
        ...

    def begin_run(self, *, pid: int, host: str) -> int:
        """Record that a run has started and return its number."""
        ...

    def end_run(self, run: int, figures: dict[str, Any], *, exit_code: int, message: str) -> None:
        """Record how a run ended; `message` says why it stopped early, "" if it did not."""
        ...

    def status_of(self, key: str) -> ItemStatus | None:
        """Return an item's status, None if there is no such item."""
        ...

    def placed(self) -> Iterator[tuple[str, list[str]]]:
        """Yield key and file names of each done item."""
        ...

    def most_attempts(self) -> int:
        """Return the highest number of attempts that any item is allowed."""
        ...

    def spent_now(self) -> int:
        """Return how many submissions of this job must be assumed paid."""
        ...

    def counts_now(self) -> dict[ItemStatus, int]:
        """Return the number of items by status; unlisted ones count while they may cost money."""
        ...

    def learned(self) -> dict[str, str]:
        """Return what the poll scheduler has learned about durations, as JSON by workflow."""
        ...

    def keep_learned(self, learned: Mapping[str, str]) -> None: ...


class OpenJournal(JobStore, RunJournal, Protocol):
    """A journal that is open for writing."""


class EventHistory(Protocol):
    """The newest events of a journal, found by item."""

    def of(self, keys: Sequence[str]) -> dict[str, list[EventRow]]:
        """Return the events of these items by key, oldest first; some hundreds of keys at most."""
        ...


class ManifestDiff(Protocol):
    """A manifest's items compared with those of the journal."""

    def compare(self, specs: Iterable[ItemSpec]) -> None:
        """Compare all of `specs`, so that the counts below are known."""

    def differences(self, specs: Iterable[ItemSpec]) -> Iterator[Difference]:
        """Yield the comparison of each of `specs`."""
        ...

    def lists(self, row: int) -> bool:
        """Return whether one of the compared specs, or an import since, has this item."""
        ...

    @property
    def new(self) -> int: ...

    @property
    def done(self) -> bool:
        """Return whether all of the specs are done."""
        ...

    @property
    def other(self) -> bool:
        """Return whether the specs are other items than those of the last import."""
        ...

    def replaced(self, row: int | None) -> bool:
        """Return whether none of the compared specs has this item."""
        ...

    @property
    def changed(self) -> int:
        """Return how many items are no longer listed and have a new one of their id or name."""
        ...

    @property
    def unlisted(self) -> int:
        """Return how many other items are no longer listed."""
        ...

    def unlisted_rows(self) -> Iterator[int]:
        """Yield the row numbers of those other items."""
        ...

    def summary(self, row: int) -> ItemSummary:
        """Return the journal's summary of one item."""
        ...


class JournalReader(Protocol):
    """A read-only view of a journal that a run may be writing.

    Raises:
        JournalUnreadable: from any call.
    """

    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...

    def job(self) -> JobRow: ...

    def counts(self) -> dict[ItemStatus, int]:
        """See `JobStore.counts_now`."""
        ...

    def spent(self) -> int:
        """See `JobStore.spent_now`."""
        ...

    def items(self, *statuses: ItemStatus) -> Iterator[ItemRow]:
        """Yield the items in the manifest's order: all, or those that have one of `statuses`."""
        ...

    def item(self, key: str) -> ItemRow | None:
        """Return one item, None if there is no such item."""
        ...

    def events(self, key: str) -> list[EventRow]:
        """Return the events of one item, oldest first."""
        ...

    def oldest_in_flight(self, limit: int) -> list[ItemRow]:
        """Return the items that are being submitted or are in flight, the oldest first."""

    def recent_errors(self, limit: int, since: float) -> list[tuple[str, EventRow]]:
        """Return failures since a time, newest first, each with the id of its item."""
        ...

    def event_counts(self, since: float) -> list[tuple[str, str, int, float]]:
        """Return event, reason, count since a time, and time of the first, for each pair."""

    def service_times(self, limit: int) -> list[float]:
        """Return the seconds from submission to completion of the latest completed tasks.

        The end is the time of the poll that found it.
        """
        ...

    def runs(self) -> list[RunRow]:
        """Return all runs, oldest first."""
        ...

    def learned(self) -> dict[str, str]: ...

    def history(self, limit: int) -> EventHistory:
        """Return the newest `limit` events, to be found by item."""

    def outcomes(self, after: int) -> Iterator[ItemOutcome]:
        """Yield what the registry stores of each item that has an event beyond `after`."""

    def pending_keys(self) -> Iterator[str]:
        """Yield the keys of the listed pending items that no job is known to have submitted."""

    def reused_items(self) -> Iterator[ItemRow]:
        """Yield the items that another job has submitted, and whose result is used here."""

    def reuse_counts(self) -> list[tuple[str, int]]:
        """Return the output folders of other jobs, each with the number of items reused from it."""
        ...

    def waiting_counts(self) -> list[tuple[str, int]]:
        """Return why items wait for another job, as sentences, each with their number."""
        ...

    def keys_to_pay_again(self) -> list[str]:
        """Return the keys of pending items that another job has submitted.

        They were failed or held because of that, and the user decided to pay for them.
        """
        ...

    @property
    def last_event(self) -> int:
        """See `JobStore.last_event`."""
        ...

    def diff(self) -> ManifestDiff:
        """Return an empty comparison with this journal."""
        ...

    def compared(self, specs: Iterable[ItemSpec], fingerprint: str | None) -> ManifestDiff | None:
        """Compare `specs` with this journal; None: their fingerprint is that of the last import."""
        ...
