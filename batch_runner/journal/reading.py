"""The protocols of what only reads a journal: the report, `status`, `plan`, the registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, Self

from batch_runner.journal.records import (
    Difference,
    EventRow,
    ItemRow,
    ItemSummary,
    JobRow,
    PaidSubmissions,
    RunRow,
)
from batch_runner.lifecycle import ItemStatus
from batch_runner.models import ItemOutcome, ItemSpec, JobFacts, PlacedFile


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

    def add_last_import(self) -> None:
        """Take the items of the last import for the specs: compare those with themselves."""

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

    def facts(self) -> JobFacts:
        """Return what the items of the manifest depend on beside it."""
        ...

    def counts(self) -> dict[ItemStatus, int]:
        """See `JobStore.counts_now`."""
        ...

    def spent(self) -> int:
        """See `JobStore.spent_now`."""
        ...

    def spent_by_workflow(self) -> dict[str, int]:
        """See `JobStore.spent_by_workflow_now`."""
        ...

    def paid_submissions(self) -> list[PaidSubmissions]:
        """Return the submissions that must be assumed paid, by day and workflow."""
        ...

    def items(self, *statuses: ItemStatus) -> Iterator[ItemRow]:
        """Yield the items in the manifest's order: all, or those that have one of `statuses`."""
        ...

    def reported_items(self, most: int) -> Iterator[ItemRow]:
        """Yield the items for the report in the manifest's order, `most` of them.

        Left out are those that are no longer listed and were never submitted. If there are more
        than `most`, those that are not done come first, and the first ones of the manifest.
        """
        ...

    def reported_counts(self) -> dict[tuple[ItemStatus, str | None], int]:
        """Return how many items of each status and reason there are for the report."""
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

    def items_mark(self) -> str | None:
        """Return a text that changes when anything of any item has changed.

        None: another host is committing a change.
        """
        ...

    def result_folders(self) -> list[str]:
        """Return the folders in the names of result files, each once; "" is the outermost."""
        ...

    def outcomes(self, after: int) -> Iterator[ItemOutcome]:
        """Yield what the registry stores of each item that has an event beyond `after`."""

    def pending_keys(self) -> Iterator[tuple[str, int]]:
        """Yield key and position of the listed pending items that no job has submitted so far."""

    def reused_items(self) -> Iterator[ItemRow]:
        """Yield the items that another job has submitted, and whose result is used here."""

    def reuse_counts(self) -> list[tuple[str, int]]:
        """Return the output folders of other jobs, each with the number of items reused from it."""
        ...

    def waiting_counts(self) -> list[tuple[str, int]]:
        """Return why items wait for another job, as sentences, each with their number."""
        ...

    def workers_may_submit(self) -> bool:
        """Return whether workers may submit items without the process that opened the job."""
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

    @property
    def committed_up_to(self) -> int:
        """Return the number up to which all events are committed.

        Hosts commit their events in another order than that of the numbers. So an event beyond
        this number may be read already, and another one, which has a lower number, only later.
        """
        ...

    def diff(self) -> ManifestDiff:
        """Return an empty comparison with this journal."""
        ...

    def last_duplicates(self, fingerprint: str | None) -> str | None:
        """Return the `duplicates` of the last import; None: unknown, or of another fingerprint."""
        ...

    def listed_counts(self) -> dict[ItemStatus, int]:
        """Return the number of items of the last import by status, without those that have none."""
        ...

    def listed_files(self) -> Iterator[tuple[int, tuple[PlacedFile, ...]]]:
        """Yield row and files of the done items of the last import, in the manifest's order."""
        ...

    def compared(self, specs: Iterable[ItemSpec], fingerprint: str | None) -> ManifestDiff | None:
        """Compare `specs` with this journal; None: their fingerprint is that of the last import."""
        ...
