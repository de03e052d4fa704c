"""What a run would do: the manifest compared with the journal.

Items are streamed. Only counts and the first few items of each kind are kept in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from batch_runner.engine.selection import SelectedItems, is_selected
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import Results, results_of
from batch_runner.journal import (
    Imported,
    ItemRow,
    ItemSummary,
    JournalReader,
    ManifestDiff,
    journal_exists,
    open_reader,
)
from batch_runner.journal.sql.journal import SqlJournal
from batch_runner.lifecycle import UNDERWAY, ItemStatus
from batch_runner.models import ItemSpec
from batch_runner.planning.blockers import (
    Blocker,
    folder_blockers,
    job_warnings,
    price_blockers,
    result_folder_blockers,
)
from batch_runner.planning.estimate import CappedCount, Estimate, make_estimate, mean, task_seconds
from batch_runner.planning.reuse import PriorSubmissions, ReuseGroup, nothing_submitted
from batch_runner.registry import KEYS
from batch_runner.settings import Limits, Settings
from batch_runner.storage.verify import missing_files

#: How many submissions are shown in full, and how many items of a kind are named.
SHOWN, NAMED = 3, 20
#: New items that are kept until it is known whether they replace an earlier one.
_CANDIDATES = 200

_NAMED_STATUSES = (
    ItemStatus.HELD,
    ItemStatus.FAILED,
    ItemStatus.REJECTED,
    ItemStatus.DOWNLOAD_PENDING,
    ItemStatus.DROPPED,
)


@dataclass(kw_only=True)
class Plan:
    """What a run would find and do. The integers are numbers of items."""

    items: int = 0  # in the manifest
    new: int = 0  # not in the journal, and neither is an item of the same id or name
    changed: int = 0  # not in the journal; they replace an item of the same id or name
    statuses: Counter[ItemStatus] = field(default_factory=Counter)  # of those in the journal
    reuse: list[ReuseGroup] = field(default_factory=list)  # submitted by other jobs
    missing: int = 0  # done, but a file is missing: downloaded again, not paid again
    unlisted: int = 0  # in the journal, but not in the manifest, and not replaced
    selected: int | None = None  # that the run may submit; None: all
    replacing: list[tuple[ItemSpec, ItemSummary]] = field(default_factory=list)  # new, earlier
    #: The first few items of a status, or that are "missing" or "unlisted".
    named: dict[str, list[ItemSummary]] = field(default_factory=dict)
    first: list[ItemSpec] = field(default_factory=list)  # to be submitted
    estimate: Estimate = field(init=False)
    blockers: list[Blocker] = field(default_factory=list)  # make a run refuse
    warnings: list[Blocker] = field(default_factory=list)  # do not

    @property
    def in_flight(self) -> int:
        return sum(self.statuses[status] for status in UNDERWAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPreview:
    """What a run is about to do, when it has imported its items."""

    counts: dict[ItemStatus, int]
    new: int  # of those pending
    unlisted: int
    reuse: list[ReuseGroup]  # of those pending, submitted by other jobs
    estimate: Estimate
    warnings: list[Blocker]
    selected: int | None  # items that the run may submit; None: all


def make_preview(
    journal: SqlJournal,
    imported: Imported,
    workflows: Collection[str],
    limits: Limits,
    prior: PriorSubmissions,
    selected: SelectedItems | None = None,
) -> RunPreview:
    """Return the preview of a run from its journal, after the items were imported.

    `selected` are the items that it may submit, None: all.

    The duration of a task is the mean over `workflows`, or over all workflows if none of them is
    known from earlier runs.
    """
    counts = journal.counts_now()
    known = task_seconds(journal.learned())
    used = [seconds for name, seconds in known.items() if name in workflows] or known.values()
    counted = CappedCount(limits, journal.spent_by_workflow_now())
    for position, key, workflow in journal.pending_workflows():
        if key not in prior.left_out and is_selected(position, selected):
            counted.add(workflow)
    estimate = make_estimate(counted, task=mean(used))
    return RunPreview(
        counts=counts,
        new=imported.new,
        unlisted=imported.unlisted,
        reuse=prior.groups,
        estimate=estimate,
        warnings=[
            *prior.warnings(limits.price),
            *job_warnings(estimate, limits, held=counts[ItemStatus.HELD]),
        ],
        selected=None if selected is None else len(selected),
    )


def make_plan(
    specs: Iterable[ItemSpec] | None,
    folder: JobFolder,
    settings: Settings,
    prior: PriorSubmissions | None = None,
    selected: SelectedItems | None = None,
) -> Plan:
    """Compare `specs` with the journal in `folder`, if there is one. Sends and writes nothing.

    `specs` None stands for the items that the journal imported last. `prior` finds the items that
    another job has submitted. `selected` are the items that may be submitted, None: all.

    Raises:
        JournalUnreadable: the journal is damaged or of another version.
    """
    prior, limits = prior or nothing_submitted(), settings.limits
    if not journal_exists(folder.journal):
        builder = PlanBuilder({}, CappedCount(limits, {}), prior, selected)
        for spec in specs or ():
            builder.add_new(spec, None)
        builder.finish_submissions()
    else:
        with open_reader(folder.journal) as reader:
            counted = CappedCount(limits, reader.spent_by_workflow())
            builder = PlanBuilder(task_seconds(reader.learned()), counted, prior, selected)
            if specs is None:
                _add_last_import(builder, reader, results_of(folder))
            else:
                _compare(builder, specs, reader.diff(), results_of(folder))
    plan = builder.plan
    plan.reuse = prior.groups
    plan.estimate = make_estimate(builder.counted, task=builder.mean_task())
    plan.blockers = folder_blockers(folder, settings.downloads.free_bytes)
    if folder.objects is None:
        plan.blockers += result_folder_blockers(folder.root, builder.folders)
    plan.blockers += price_blockers(sorted(builder.counted.unpriced))
    held = plan.statuses[ItemStatus.HELD]
    plan.warnings = prior.warnings(limits.price) + job_warnings(plan.estimate, limits, held=held)
    return plan


def _compare(
    builder: PlanBuilder, specs: Iterable[ItemSpec], comparison: ManifestDiff, results: Results
) -> None:
    for difference in comparison.differences(specs):
        row, status, files = difference.row, difference.status, difference.files
        if status is None or row is None:
            builder.add_new(difference.spec, row)
            continue
        builder.add_known(difference.spec, status, row)
        if files and status is ItemStatus.DONE and missing_files(results, files):
            builder.add_missing(row)
    builder.finish(comparison)


def _add_last_import(builder: PlanBuilder, reader: JournalReader, results: Results) -> None:
    builder.add_counts(reader.listed_counts())
    for status in filter(builder.plan.statuses.get, _NAMED_STATUSES):
        listed = (item.row for item in reader.items(status) if item.listed)
        for row in islice(listed, NAMED):
            builder.name(status.value, row)
    for item in reader.items(ItemStatus.PENDING):
        if item.listed:
            builder.add_submission(_spec_of(item))
    for row, files in reader.listed_files():
        if files and missing_files(results, files):
            builder.add_missing(row)
    comparison = reader.diff()
    comparison.add_last_import()
    builder.finish(comparison)


def _spec_of(item: ItemRow) -> ItemSpec:
    return ItemSpec(
        key=item.key,
        position=item.position,
        id=item.id,
        name=item.name,
        prompt=item.prompt,
        workflow=item.workflow,
        params=item.params,
        variables=item.variables,
        files=item.inputs,
        attempts=item.attempts,
        source=item.source,
    )


class PlanBuilder:
    """Collects a plan item by item. A `row` is an item's number in the journal."""

    def __init__(
        self,
        seconds: Mapping[str, float],
        counted: CappedCount,
        prior: PriorSubmissions,
        selected: SelectedItems | None,
    ) -> None:
        """Start a plan; `seconds` is the mean duration of a task by workflow, if known."""
        self.plan = Plan(selected=None if selected is None else len(selected))
        self.folders: set[str] = set()  # in the names of pending items
        self.counted = counted
        self._selected = selected
        self._seconds = seconds
        self._prior = prior
        self._not_looked_up: list[ItemSpec] = []
        self._timed, self._timed_seconds = 0, 0.0  # submissions whose duration is known
        self._named_rows: dict[str, list[int]] = {}
        self._candidates: list[tuple[ItemSpec, int]] = []

    def add_new(self, spec: ItemSpec, row: int | None) -> None:
        """Add an item that is not in the journal; `row` is an earlier item with its id or name."""
        self.plan.items += 1
        self.plan.new += 1
        if row is not None and len(self._candidates) < _CANDIDATES:
            self._candidates.append((spec, row))
        self.add_submission(spec)

    def add_known(self, spec: ItemSpec, status: ItemStatus, row: int) -> None:
        """Add an item that is in the journal."""
        self.plan.items += 1
        self.plan.statuses[status] += 1
        if status in _NAMED_STATUSES:
            self.name(status.value, row)
        elif status is ItemStatus.PENDING:
            self.add_submission(spec)

    def add_counts(self, counts: Mapping[ItemStatus, int]) -> None:
        """Add items that are in the journal, by status; `name` and `add_submission` do the rest."""
        self.plan.items += sum(counts.values())
        self.plan.statuses.update(counts)

    def add_missing(self, row: int) -> None:
        """Note that a file of a done item is missing."""
        self.plan.missing += 1
        self.name("missing", row)

    def finish(self, comparison: ManifestDiff) -> None:
        """Fill in what is only known after the last item."""
        self.finish_submissions()
        plan = self.plan
        plan.changed = comparison.changed
        plan.new -= plan.changed
        plan.unlisted = comparison.unlisted
        for _, row in zip(range(NAMED), comparison.unlisted_rows(), strict=False):
            self.name("unlisted", row)
        plan.named = {
            kind: [comparison.summary(row) for row in rows]
            for kind, rows in sorted(self._named_rows.items())
        }
        replacing = [each for each in self._candidates if comparison.replaced(each[1])]
        plan.replacing = [(spec, comparison.summary(row)) for spec, row in replacing[:NAMED]]

    def mean_task(self) -> float | None:
        """Return the mean seconds of the tasks to be submitted, None if not known."""
        return self._timed_seconds / self._timed if self._timed else mean(self._seconds.values())

    def add_submission(self, spec: ItemSpec) -> None:
        """Add an item that is to be submitted, if it is selected."""
        self.folders.add(spec.name.rpartition("/")[0])
        if not is_selected(spec.position, self._selected):
            return
        self._not_looked_up.append(spec)
        if len(self._not_looked_up) == KEYS:
            self.finish_submissions()

    def finish_submissions(self) -> None:
        """Count the items added last as submissions, unless another job has submitted them."""
        keys = [spec.key for spec in self._not_looked_up]
        prior = self._prior.find(keys)
        for spec in self._not_looked_up:
            if spec.key not in prior:
                self._count_submission(spec)
        self._not_looked_up.clear()

    def _count_submission(self, spec: ItemSpec) -> None:
        self.counted.add(spec.workflow)
        if len(self.plan.first) < SHOWN:
            self.plan.first.append(spec)
        if (seconds := self._seconds.get(spec.workflow)) is not None:
            self._timed += 1
            self._timed_seconds += seconds

    def name(self, kind: str, row: int) -> None:
        """Note an item of a kind; the first few are named."""
        rows = self._named_rows.setdefault(kind, [])
        if len(rows) < NAMED:
            rows.append(row)
