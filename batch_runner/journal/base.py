"""The protocols of a journal, and the values they exchange.

A run writes through `RunJournal`, commands write through `JobStore` between runs; whatever only
reads uses `reading.JournalReader`. `tests/contract/test_run_journal.py` tests every implementation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from batch_runner.errors import JournalError
from batch_runner.journal.delivery_log import DeliveryLog
from batch_runner.journal.item_import import ItemImport
from batch_runner.journal.records import (
    ListedItem,
    PendingItem,
    ReusableItem,
    UnsettledItem,
)
from batch_runner.lifecycle import DUPLICATE_TASK_ID, Event, ItemStatus
from batch_runner.models import InFlight, ItemSpec, JobFacts, PlacedFile, ReusedFrom


class TaskIdTaken(JournalError):
    """The service gave one task id to two items."""


class ConnectionLost(JournalError):
    """The connection to the journal's database was lost during a commit.

    The changes may have been made, or not. Assume the worse: a submission whose intent ended so
    must not be sent; an outcome that ended so goes to the fallback log, from which a change that
    has been made already is not made again.
    """


class DatabaseRestored(JournalError):
    """The database lacks an event that this host has seen: an older state of it was restored."""


class LeaseLost(JournalError):
    """Another worker has taken the shard of an item: this one may not submit it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An event of one item. Only the fields that belong to the event are written."""

    key: str
    event: Event
    task_id: str | None = None
    reason: str | None = None  # short word for grouping
    message: str | None = None  # one sentence for people
    not_before: float | None = None  # wall clock
    request_id: str | None = None  # of the attempt, where the service takes one
    request_digest: str | None = None  # of the request that is sent with it
    free: bool = False  # the attempt costs nothing
    urls: tuple[str, ...] = ()  # of the files that the response to the submission has
    files: tuple[PlacedFile, ...] = ()
    reused_from: ReusedFrom | None = None
    origin: ItemStatus | None = None  # the status that it leaves, if several allow the event


def held_instead(change: Change, error: TaskIdTaken) -> Change:
    """Return the change that holds an item whose task id belongs to another item."""
    event, reason = Event.SUBMIT_UNANSWERED, DUPLICATE_TASK_ID
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
    changed, unless it is `ConnectionLost`.
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

    def result_urls(self, key: str) -> asyncio.Future[tuple[str, ...]]:
        """Read the URLs of files that the response to an item's submission had."""
        ...

    def unsettled_items(self, after: str, limit: int) -> asyncio.Future[list[UnsettledItem]]:
        """Read up to `limit` held items with a request id and keys beyond `after`, by key.

        Held because another job has paid, by a duplicate task id, or by the user: not among them.
        """
        ...

    def latest_time(self) -> asyncio.Future[float]:
        """Read the latest time of any event or run, wall clock; 0 if there is none."""
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
        JournalError: from any call: the journal cannot be read or written; nothing was changed,
            unless it is `ConnectionLost`.
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

    def facts(self) -> JobFacts: ...

    def redo(self, repeats: Iterable[tuple[str, int]]) -> None:
        """Add to `facts` repeats, each as key of the item's first repeat and number."""

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
        duplicates: Callable[[], str | None] = lambda: None,
    ) -> Imported:
        """Insert new items and keep known ones, in one transaction.

        `fingerprint` returns that of the manifest, None if it is unknown. If it is that of the last
        import, the items are not read. It is called again at the end, so that a manifest that was
        changed meanwhile is read again by the next import. `duplicates` is called after the last
        item, for `JournalReader.last_duplicates`. An exception from `items` leaves the journal
        unchanged.
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

    def placed(self) -> Iterator[tuple[str, str]]:
        """Yield key and file name of each file of each done item."""
        ...

    def most_attempts(self) -> int:
        """Return the highest number of attempts that any item is allowed."""
        ...

    def spent_now(self) -> int:
        """Return how many submissions of this job must be assumed paid."""
        ...

    def spent_by_workflow_now(self) -> dict[str, int]:
        """Return how many submissions of each workflow must be assumed paid."""
        ...

    def pending_workflows(self) -> Iterator[tuple[int, str, str]]:
        """Yield position, key and workflow of each listed pending item, in their order."""
        ...

    def counts_now(self) -> dict[ItemStatus, int]:
        """Return the number of items by status; unlisted ones count while they may cost money."""
        ...

    def listed(self) -> Iterator[ListedItem]:
        """Yield the items that the manifest lists, in any order."""
        ...

    def learned(self) -> dict[str, str]:
        """Return what the poll scheduler has learned about durations, as JSON by workflow."""
        ...

    def keep_learned(self, learned: Mapping[str, str]) -> None: ...


class OpenJournal(JobStore, RunJournal, DeliveryLog, Protocol):
    """A journal that is open for writing."""
