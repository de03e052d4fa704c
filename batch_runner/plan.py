"""Manifest × journal: what a run would do, what it would cost, how long it would take."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batch_runner.journal import JournalReader
from batch_runner.lifecycle import ItemStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batch_runner.folder import JobFolder
    from batch_runner.models import ItemSpec
    from batch_runner.settings import Limits

#: First creates that are shown in full.
SHOWN = 3


@dataclass(kw_only=True)
class Plan:
    """What a run would find and do. `seconds` is the least the pace allows for the creates."""

    items: int = 0
    new: int = 0  # not in the journal yet
    standing: Counter[ItemStatus] = field(default_factory=Counter)  # of those in the journal
    missing: int = 0  # done, but a file has gone: fetched again, not paid again
    unlisted: int = 0  # in the journal, no longer in the manifest
    creates: int = 0
    spent: int = 0  # creates of earlier runs
    seconds: float = 0.0
    cost: str | None = None
    first: list[ItemSpec] = field(default_factory=list)
    capped: int = 0  # creates that the spend cap leaves out


def make_plan(specs: Iterable[ItemSpec], folder: JobFolder, limits: Limits) -> Plan:
    """Compare `specs` with the journal in `folder`, if there is one; sends and writes nothing."""
    plan = Plan()
    if folder.journal.exists():
        with JournalReader(folder.journal) as reader:
            _compare(plan, specs, reader, folder)
    else:
        for spec in specs:
            _new(plan, spec)
    _weigh(plan, limits)
    return plan


def _compare(
    plan: Plan, specs: Iterable[ItemSpec], reader: JournalReader, folder: JobFolder
) -> None:
    known = 0
    for difference in reader.compare(specs):
        if difference.status is None:
            _new(plan, difference.spec)
            continue
        known += 1
        plan.items += 1
        plan.standing[difference.status] += 1
        names = difference.file_names
        plan.missing += any(not os.path.lexists(folder.root / name) for name in names)
        if difference.status is ItemStatus.PENDING:
            _create(plan, difference.spec)
    plan.unlisted = reader.total() - known
    plan.spent = reader.spent()


def _new(plan: Plan, spec: ItemSpec) -> None:
    plan.items += 1
    plan.new += 1
    _create(plan, spec)


def _create(plan: Plan, spec: ItemSpec) -> None:
    plan.creates += 1
    if len(plan.first) < SHOWN:
        plan.first.append(spec)


def _weigh(plan: Plan, limits: Limits) -> None:
    if limits.tasks is not None:
        allowed = max(0, limits.tasks - plan.spent)
        plan.capped = max(0, plan.creates - allowed)
        plan.creates -= plan.capped
    plan.seconds = plan.creates / limits.pace.per_second
    plan.cost = limits.price.times(plan.creates) if limits.price else None
