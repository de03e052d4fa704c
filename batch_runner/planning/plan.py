"""Manifest × journal: what a run would do, what it would cost, how long it would take.

Streamed: of a million items only counts are kept, and the first few of each kind.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batch_runner.engine.deadline import seconds_left
from batch_runner.jobdir.lock import lock_owner
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import (
    Imported,
    ItemSummary,
    Journal,
    ManifestDiff,
    open_reader,
)
from batch_runner.lifecycle import UNDERWAY, ItemStatus
from batch_runner.models import ItemSpec
from batch_runner.polling.workflow_model import WorkflowModel
from batch_runner.settings import Limits, Polling, Settings
from batch_runner.storage.verify import missing_files
from batch_runner.units import Price

#: First creates that are shown in full, and items of a kind that are named.
SHOWN, NAMED = 3, 20
#: New items that are kept until it is known whether they replace an earlier one.
_CANDIDATES = 200
#: What is asked about when nothing else is set: a cost in the price's currency, or creates.
CONFIRM_ABOVE_COST, CONFIRM_ABOVE_CREATES = 50.0, 500

_TOLD = (
    ItemStatus.HELD,
    ItemStatus.FAILED,
    ItemStatus.REJECTED,
    ItemStatus.DOWNLOAD_PENDING,
    ItemStatus.DROPPED,
)


@dataclass(frozen=True, slots=True)
class Blocker:
    """Something that stands in a run's way: a word for what, and what a sentence needs."""

    kind: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the creates of a run would cost, and how long it would take, in seconds.

    `by_rate` is the least that the pace allows. `task` is the mean from submission to end in
    earlier runs, `by_in_flight` the least that it allows (Little's law); both None when no task
    has ended yet. `seconds` is the estimate: all of it, the last task included.
    """

    submissions: int
    capped: int  # further creates, left out by the spend cap
    spent: int  # creates of earlier runs
    cost: str | None
    by_rate: float
    by_in_flight: float | None
    task: float | None
    seconds: float


@dataclass(kw_only=True)
class Plan:
    """What a run would find and do."""

    items: int = 0
    new: int = 0  # not in the journal, nor is one of their id or name
    changed: int = 0  # not in the journal; one of their id or name is, and is listed no more
    standing: Counter[ItemStatus] = field(default_factory=Counter)  # of those in the journal
    missing: int = 0  # of those that are done, a file has gone: fetched again, not paid again
    unlisted: int = 0  # in the journal, no longer in the manifest, replaced by none
    replacing: list[tuple[ItemSpec, ItemSummary]] = field(default_factory=list)
    named: dict[str, list[ItemSummary]] = field(
        default_factory=dict
    )  # by status, missing, unlisted
    first: list[ItemSpec] = field(default_factory=list)  # creates
    outlook: Estimate
    obstacles: list[Blocker] = field(default_factory=list)

    @property
    def in_flight(self) -> int:
        """Return how many tasks of listed items are at the service or on their way."""
        return sum(self.standing[status] for status in UNDERWAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPreview:
    """What a run that holds its job is about to do."""

    counts: dict[ItemStatus, int]
    new: int  # of those pending
    unlisted: int
    outlook: Estimate
    obstacles: list[Blocker]


def make_head(
    journal: Journal, imported: Imported, workflows: Collection[str], limits: Limits
) -> RunPreview:
    """Return what a run is about to do, from its journal just after the import.

    The time of a task is that of `workflows` together, without another look at the items.
    """
    counts = journal.counts_now()
    known = task_seconds(journal.learned())
    used = [seconds for name, seconds in known.items() if name in workflows] or known.values()
    submissions = outlook(
        counts[ItemStatus.PENDING], spent=journal.spent_now(), task=mean(used), limits=limits
    )
    return RunPreview(
        counts=counts,
        new=imported.new,
        unlisted=imported.unlisted,
        outlook=submissions,
        obstacles=obstacles(submissions, limits, held=counts[ItemStatus.HELD]),
    )


def make_plan(specs: Iterable[ItemSpec], folder: JobFolder, settings: Settings) -> Plan:
    """Compare `specs` with the journal in `folder`, if there is one; sends and writes nothing.

    Raises:
        JournalUnreadable: the journal is damaged or of another version.
    """
    if not folder.journal.exists():
        survey = PlanBuilder({})
        for spec in specs:
            survey.new(spec, None)
        spent = 0
    else:
        with open_reader(folder.journal) as reader:
            survey = PlanBuilder(task_seconds(reader.learned()))
            _compare(survey, specs, reader.diff(), folder)
            spent = reader.spent()
    plan, limits = survey.plan, settings.limits
    plan.outlook = outlook(survey.submissions, spent=spent, task=survey.mean_task(), limits=limits)
    plan.obstacles = [
        *folder_obstacles(folder, settings.downloads.free_bytes),
        *obstacles(plan.outlook, limits, held=plan.standing[ItemStatus.HELD]),
    ]
    return plan


def _compare(
    survey: PlanBuilder, specs: Iterable[ItemSpec], comparison: ManifestDiff, folder: JobFolder
) -> None:
    for difference in comparison.differences(specs):
        row, status = difference.row, difference.status
        if status is None or row is None:
            survey.new(difference.spec, row)
            continue
        survey.known(difference.spec, status, row)
        if (
            difference.files
            and status is ItemStatus.DONE
            and missing_files(folder, difference.files)
        ):
            survey.gone(row)
    survey.settle(comparison)


class PlanBuilder:
    """Collects a plan, item by item."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self.plan = Plan(outlook=_NOTHING)
        self.submissions = 0
        self._seconds = seconds  # of a task, by workflow
        self._busy = 0.0  # seconds of all creates of workflows that are known
        self._timed = 0
        self._rows: dict[str, list[int]] = {}
        self._candidates: list[tuple[ItemSpec, int]] = []

    def new(self, spec: ItemSpec, row: int | None) -> None:
        """Note an item that the journal does not know, but maybe one like it."""
        self.plan.items += 1
        self.plan.new += 1
        if row is not None and len(self._candidates) < _CANDIDATES:
            self._candidates.append((spec, row))
        self._create(spec)

    def known(self, spec: ItemSpec, status: ItemStatus, row: int) -> None:
        """Note an item that the journal knows."""
        self.plan.items += 1
        self.plan.standing[status] += 1
        if status in _TOLD:
            self._name(status.value, row)
        elif status is ItemStatus.PENDING:
            self._create(spec)

    def gone(self, row: int) -> None:
        """Note that a file of a done item has gone."""
        self.plan.missing += 1
        self._name("missing", row)

    def settle(self, comparison: ManifestDiff) -> None:
        """Fill in what is known only when all items are through."""
        plan = self.plan
        plan.changed = comparison.changed
        plan.new -= plan.changed
        plan.unlisted = comparison.unlisted
        for _, row in zip(range(NAMED), comparison.unlisted_rows(), strict=False):
            self._name("unlisted", row)
        plan.named = {
            kind: [comparison.standing(row) for row in rows] for kind, rows in self._rows.items()
        }
        replacing = [each for each in self._candidates if comparison.replaced(each[1])]
        plan.replacing = [(spec, comparison.standing(row)) for spec, row in replacing[:NAMED]]

    def mean_task(self) -> float | None:
        """Return the mean seconds that the tasks to be created would take, if known."""
        return self._busy / self._timed if self._timed else mean(self._seconds.values())

    def _create(self, spec: ItemSpec) -> None:
        self.submissions += 1
        if len(self.plan.first) < SHOWN:
            self.plan.first.append(spec)
        if (seconds := self._seconds.get(spec.workflow)) is not None:
            self._busy += seconds
            self._timed += 1

    def _name(self, kind: str, row: int) -> None:
        rows = self._rows.setdefault(kind, [])
        if len(rows) < NAMED:
            rows.append(row)


def task_seconds(learned: Mapping[str, str]) -> dict[str, float]:
    """Return the mean seconds of a task by workflow, from what earlier runs learned."""
    found = {name: WorkflowModel(Polling(), state).mean() for name, state in learned.items()}
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def mean(values: Iterable[float]) -> float | None:
    """Return the mean, None of nothing."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else None


def outlook(submissions: int, *, spent: int, task: float | None, limits: Limits) -> Estimate:
    """Return cost and duration of `submissions`, as far as the cap allows them."""
    allowed = (
        submissions
        if limits.max_submissions is None
        else min(submissions, max(0, limits.max_submissions - spent))
    )
    by_rate = allowed / limits.rate.per_second
    by_in_flight = None if task is None else allowed * task / limits.in_flight
    return Estimate(
        submissions=allowed,
        capped=submissions - allowed,
        spent=spent,
        cost=limits.price.times(allowed) if limits.price else None,
        by_rate=by_rate,
        by_in_flight=by_in_flight,
        task=task,
        seconds=max(by_rate + (task or 0.0 if allowed else 0.0), by_in_flight or 0.0),
    )


_NOTHING = Estimate(
    submissions=0,
    capped=0,
    spent=0,
    cost=None,
    by_rate=0.0,
    by_in_flight=None,
    task=None,
    seconds=0.0,
)


def obstacles(outlook: Estimate, limits: Limits, *, held: int) -> list[Blocker]:
    """Return what of the job itself stands in the way of a run."""
    found = []
    if outlook.capped:
        kind = "cap" if outlook.submissions else "cap_reached"
        values = {"left_out": outlook.capped, "cap": limits.max_submissions, "spent": outlook.spent}
        found.append(Blocker(kind, values))
    left = seconds_left(limits)
    if left is not None and outlook.submissions and left < outlook.seconds:
        found.append(Blocker("deadline", {"left": left, "seconds": outlook.seconds}))
    if held:
        found.append(Blocker("held", {"held": held}))
    return found


def folder_obstacles(folder: JobFolder, free_bytes: int) -> list[Blocker]:
    """Return what of the output folder stands in the way of a run; makes nothing."""
    found = []
    if (owner := lock_owner(folder)) is not None:
        found.append(Blocker("locked", {"owner": owner}))
    if folder.marker.exists() and not folder.journal.exists():
        found.append(Blocker("journal_gone", {"journal": folder.journal}))
    place = _nearest(folder.root)
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        found.append(Blocker("not_writable", {"folder": folder.root}))
    elif (free := shutil.disk_usage(place).free) < free_bytes:
        values = {"free": free // 1_000_000, "wanted": free_bytes // 1_000_000}
        found.append(Blocker("disk_full", values))
    return found


def _nearest(path: Path) -> Path:
    """Return the folder itself, or the one in which it would be made."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


def must_confirm(outlook: Estimate, limits: Limits) -> bool:
    """Say whether the creates cost more than a person wants to pay without being asked."""
    threshold, price, submissions = limits.confirm_above, limits.price, outlook.submissions
    if isinstance(threshold, int):
        return submissions > threshold
    if price is None:
        return submissions > CONFIRM_ABOVE_CREATES
    if threshold is None:
        threshold = Price(CONFIRM_ABOVE_COST, price.currency)
    if threshold.currency != price.currency:  # cannot be compared
        return submissions > 0
    return price.amount * submissions > threshold.amount
