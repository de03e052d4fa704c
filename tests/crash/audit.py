"""What must be true after every run of a simulated job.

It is read from outside: from the journal file, the folder, and the service's ledger.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import results_of
from batch_runner.journal import EventRow, ItemRow, open_reader
from batch_runner.lifecycle import FINAL, Event, ItemStatus
from batch_runner.settings import Limits
from batch_runner.storage.verify import find_damage
from batch_runner.util.fs import file_sha256
from tests.bench._windows import most_in
from tests.crash.service import PaidTask, SimulatedService

_UNSEEN = frozenset({Event.SUBMIT_UNANSWERED.value, Event.SUBMIT_INTERRUPTED.value})
#: More events than any simulated job has.
MOST_EVENTS = 100_000
_NAMED = (
    ItemStatus.HELD,
    ItemStatus.FAILED,
    ItemStatus.REJECTED,
    ItemStatus.DOWNLOAD_PENDING,
    ItemStatus.DROPPED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditData:
    """Everything that is known about one job, by item."""

    folder: JobFolder
    rows: list[ItemRow]
    events: dict[str, list[EventRow]]  # by item id
    now: float  # as the service's clock has it
    paid: dict[str, list[PaidTask]]  # by item id
    paid_by_any: dict[str, list[PaidTask]]  # by item id, also by other jobs
    given_twice: frozenset[str]  # task ids
    approved: Counter[str]  # new submissions that the user allowed, by item id
    left_out: frozenset[str]  # ids that were not listed in some run
    removed: frozenset[str]  # files that the user removed and no run has noticed yet


def read_audit_data(
    root: Path,
    service: SimulatedService,
    *,
    now: float,
    approved: Counter[str],
    left_out: set[str],
    removed: set[str],
) -> AuditData | None:
    """Return the audit data of the job at `root`, None if it has no complete journal."""
    folder = JobFolder(root)
    if not folder.marker.exists():
        return None
    paid, paid_by_any = _by_item(service.ledger), _by_item(service.tasks)
    ids_given = Counter(task.id for task in service.tasks)
    with open_reader(folder.journal) as reader:
        rows = list(reader.items())
        histories = reader.history(MOST_EVENTS).of([row.key for row in rows])
    return AuditData(
        folder=folder,
        rows=rows,
        events={row.id: histories.get(row.key, []) for row in rows},
        now=now,
        paid=paid,
        paid_by_any=paid_by_any,
        given_twice=frozenset(task_id for task_id, count in ids_given.items() if count > 1),
        approved=approved,
        left_out=frozenset(left_out),
        removed=frozenset(removed),
    )


def _by_item(tasks: Iterable[PaidTask]) -> dict[str, list[PaidTask]]:
    found: dict[str, list[PaidTask]] = defaultdict(list)
    for task in tasks:
        found[task.item].append(task)
    return found


def violations(data: AuditData) -> Iterator[str]:
    """Yield every promise that is broken after a run."""
    for row in data.rows:
        paid = data.paid.get(row.id, [])
        yield from _paid_twice(data, row, paid)
        yield from _lost_ids(data, row, paid)
        yield from _broken_done(data, row)
        yield from _lost_attempt(data, row)
        if row.status in _NAMED and not (row.reason and row.message):
            yield f"{row.id} is {row.status} without a reason"


def beyond_limits(limits: Limits, paid: int, sent_at: Sequence[float]) -> Iterator[str]:
    """Yield the limits that a run has exceeded; `sent_at` are the times of its submissions."""
    if limits.max_submissions is not None and paid > limits.max_submissions:
        yield f"{paid} submissions were paid for, {limits.max_submissions} were allowed"
    most = most_in(sent_at, limits.rate.seconds)
    if most > limits.rate.count + 1:
        seconds, allowed = limits.rate.seconds, limits.rate.count
        yield f"{most} submissions were sent within {seconds:g} s, {allowed:g} were allowed"


def violations_at_the_end(
    data: AuditData, items: int, claimed: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Yield what a last run without faults should have finished.

    `claimed` are the keys of items that another job has claimed: they may stay pending.
    """
    if len(data.rows) != items:
        yield f"{items} items were listed, {len(data.rows)} are known"
    for row in data.rows:
        if row.status not in FINAL and not (
            row.status is ItemStatus.PENDING and row.key in claimed
        ):
            yield f"{row.id} is {row.status} after a run without faults"
        known = {event.task_id for event in data.events[row.id]} | data.given_twice
        for task in data.paid.get(row.id, []):
            if task.promised and task.id not in known:
                yield f"{row.id} forgot task {task.id}, whose id the runner had read"
    named = {file.name for row in data.rows for file in row.files}
    found = {path.name for path in data.folder.root.iterdir() if not path.name.startswith(".")}
    # An item given up between two files may leave a complete one; any other file is unknown.
    unfinished = tuple(row.name for row in data.rows if row.status is not ItemStatus.DONE)
    # So may a copy from another job, if the user then decided to pay again.
    copies = {one for tasks in data.paid_by_any.values() for task in tasks for one in task.hashes}
    # And so may one file of a task that the service lost, or failed, before it gave the other.
    ended = [task for tasks in data.paid.values() for task in tasks if _ended(task, data.now)]
    partial = {one for task in ended for one in task.hashes}
    for name in sorted(found - named):
        content = file_sha256(data.folder.root / name)
        copied = data.approved.total() and content in copies
        if not (name.startswith(unfinished) or copied or content in partial):
            yield f"{name} belongs to no item"


def _ended(task: PaidTask, now: float) -> bool:
    return task.is_lost(now) or task.told_failed


def _paid_twice(data: AuditData, row: ItemRow, paid: list[PaidTask]) -> Iterator[str]:
    policy = min(row.attempts - 1, sum(task.told_failed for task in paid))
    # What a free service has lost, or never had, may be submitted again.
    lost = sum(task.is_lost(data.now) for task in paid)
    allowed = 1 + policy + data.approved[row.id] + lost
    if len(paid) > allowed:
        yield f"{row.id} was paid for {len(paid)} times, {allowed} were allowed"
    if len(paid) - lost > row.attempt:
        yield f"{row.id} was paid for {len(paid)} times, the journal counts {row.attempt}"


def _lost_ids(data: AuditData, row: ItemRow, paid: list[PaidTask]) -> Iterator[str]:
    """Compare each task id with the item's events: recorded, or its submission is unanswered."""
    events = data.events[row.id]
    known = {event.task_id for event in events}
    lost = [task.id for task in paid if task.id not in known and not task.is_lost(data.now)]
    unseen = sum(event.event in _UNSEEN for event in events)
    if len(lost) > unseen + (row.status is ItemStatus.SUBMITTING):
        yield f"{row.id} lost its paid tasks {', '.join(lost)}"


def _lost_attempt(data: AuditData, row: ItemRow) -> Iterator[str]:
    if row.status is not ItemStatus.FAILED or row.id in data.left_out or row.reused_from:
        return
    ended_by_service = data.events[row.id][-1].event == Event.TASK_FAILED.value
    if ended_by_service and row.attempt < row.attempts:
        yield f"{row.id} has finally failed after attempt {row.attempt} of {row.attempts}"


def _broken_done(data: AuditData, row: ItemRow) -> Iterator[str]:
    if row.status is not ItemStatus.DONE:
        return
    # A task id given twice is the later task for the service, whichever item has it: if the second
    # response was lost in a crash, nobody can know that its files are not this item's.
    known: Iterable[PaidTask] = data.paid_by_any.get(row.id, [])
    if row.task_id in data.given_twice:
        known = itertools.chain(*data.paid_by_any.values())
    wanted = [task.hashes for task in known if task.id == row.task_id]
    files = {file.sha256 for file in row.files}
    if not files or files not in wanted:
        yield f"{row.id} is done, but its files are not those of task {row.task_id}"
    for file in row.files:
        if file.name not in data.removed and (wrong := find_damage(results_of(data.folder), file)):
            yield f"{row.id} is done, but {wrong}"
