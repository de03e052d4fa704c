"""The values that are read from a journal. Times are wall clock; None: not yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from batch_runner.lifecycle import ItemStatus
from batch_runner.models import InputFile, ItemSpec, PlacedFile, ReusedFrom
from batch_runner.units import Prices, parse_prices


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRow:
    """One item as the journal knows it."""

    row: int  # its number in the journal
    key: str
    position: int
    listed: bool  # still in the manifest at the last import
    id: str
    name: str
    status: ItemStatus
    attempt: int
    attempts: int
    task_id: str | None
    prompt: str
    workflow: str
    params: dict[str, Any]
    variables: dict[str, str]
    inputs: tuple[InputFile, ...]
    source: str
    not_before: float | None
    reason: str | None
    message: str | None
    files: tuple[PlacedFile, ...]
    started_at: float | None
    submitted_at: float | None
    completed_at: float | None
    done_at: float | None
    reused_from: ReusedFrom | None = None  # the job that has submitted it
    request_id: str | None = None  # that its latest attempt was sent with


class ListedItem(NamedTuple):
    """One item of the manifest, as selections need it; there may be a million."""

    position: int
    key: str
    id: str
    name: str
    status: ItemStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One event of an item."""

    seq: int
    at: float
    key: str
    event: str
    attempt: int
    task_id: str | None
    reason: str | None
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run and its figures.

    `samples` has one row a minute: seconds since start, submissions, polls, 429s, in flight.
    """

    run: int
    started_at: float
    ended_at: float | None
    pid: int
    host: str
    exit_code: int | None
    message: str | None  # why it stopped early
    submissions: int = 0  # that must be assumed paid
    polls: int = 0
    limited: int = 0
    retries: int = 0
    samples: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """The job of a journal."""

    id: str
    name: str
    provider: str
    origin: str
    folder: str
    created_at: float
    manifest: str
    price: str | None  # of a submission, as in the manifest

    @property
    def prices(self) -> Prices | None:
        """Return the prices of submissions; None if the manifest has no valid ones."""
        try:
            return parse_prices(self.price)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidSubmissions:
    """The submissions of one day and workflow that must be assumed paid."""

    day: str  # local date, as 2026-11-01
    workflow: str
    count: int
    held: tuple[str, ...] = ()  # ids of the items among them that are held


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingItem:
    """An item that is to be submitted."""

    key: str
    position: int
    id: str
    name: str
    workflow: str
    params: dict[str, Any]
    inputs: tuple[InputFile, ...]
    attempt: int
    attempts: int
    not_before: float | None
    started_at: float | None  # when its latest submission started
    listed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsettledItem:
    """A held item of which the service may say, by its request id, what became of it.

    `request_digest` is that of the request that was sent with it. `free`: it cost nothing then.
    """

    item: PendingItem
    request_id: str
    request_digest: str
    free: bool
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReusableItem:
    """An item that another job may have submitted."""

    key: str
    position: int
    name: str
    status: ItemStatus
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One item of a manifest compared with the journal; `status` None: the item is new.

    `row` is its number in the journal; for a new item, that of an earlier one with its id or name.
    """

    spec: ItemSpec
    status: ItemStatus | None
    row: int | None
    files: tuple[PlacedFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemSummary:
    """What `plan` prints of one item of the journal."""

    id: str
    name: str
    status: ItemStatus
    reason: str | None
    message: str | None
    files: tuple[PlacedFile, ...]
