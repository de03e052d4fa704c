"""The data of the page above the contact sheet: job, runs, problems and sums over all items.

Items are added one by one and not kept, so that a million take no more memory than a thousand.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import EventRow, ItemRow, JobRow, JournalReader, RunRow
from batch_runner.lifecycle import ItemStatus
from batch_runner.manifest.job_args import job_arguments
from batch_runner.models import REHEARSAL
from batch_runner.report.item_history import (
    did_something,
    end_of_previous_run,
    rates_per_minute,
    status_at,
    total_seconds,
)
from batch_runner.report.problems import ProblemGroup, ProblemGroups, command_for, next_commands
from batch_runner.report.summary_sentence import summary_sentence
from batch_runner.report.words import LANGUAGES
from batch_runner.units import Price
from batch_runner.util.locale import Language, use_language
from batch_runner.util.paths import utf8_text
from batch_runner.util.shell import command_line

#: Statuses in the order of the bar and its legend.
SHOWN_ORDER = (
    ItemStatus.DONE,
    ItemStatus.HELD,
    ItemStatus.DOWNLOAD_PENDING,
    ItemStatus.FAILED,
    ItemStatus.REJECTED,
    ItemStatus.DROPPED,
    ItemStatus.DOWNLOADING,
    ItemStatus.SUBMITTED,
    ItemStatus.SUBMITTING,
    ItemStatus.PENDING,
)
#: A variable with more values than this can be searched, but is no axis of the contact sheet.
MAX_AXIS_VALUES = 200


class PageData:
    """A job, its runs, and the sums over its items."""

    def __init__(
        self, reader: JournalReader, *, now: float, taken_back: Container[str] = ()
    ) -> None:
        """Read all but the items, which `add` takes; `now` is wall clock.

        `taken_back` are keys of reused items that their own job has taken back.
        """
        self._taken_back = taken_back
        self.job: JobRow = reader.job()
        self._now = now
        spent = reader.spent_by_workflow()
        self._spent = sum(spent.values())
        prices = self.job.prices
        self._cost = prices.cost(spent) if prices else None
        runs = reader.runs()
        self._seconds = total_seconds(runs, now)
        self._runs: list[RunRow] = list(filter(did_something, runs))
        self._previous_end = end_of_previous_run(self._runs)
        self._counts: Counter[ItemStatus] = Counter()
        self._added = 0
        self._changed: Counter[tuple[ItemStatus | None, ItemStatus]] = Counter()
        self._problems = ProblemGroups()
        # The values of each variable in the order of the manifest; None: too many for an axis.
        self._values: dict[str, dict[str, None] | None] = {}

    @property
    def variables(self) -> Iterable[str]:
        """Return the variables of the items so far, in order of first appearance."""
        return self._values

    def add(self, item: ItemRow, events: Iterable[EventRow]) -> ItemStatus | None:
        """Add an item; return its status before the last run, None if there was none."""
        self._counts[item.status] += 1
        self._added += 1
        self._problems.add(item, taken_back=item.key in self._taken_back)
        for name, value in item.variables.items():
            values = self._values.setdefault(name, {})
            if values is not None:
                values.setdefault(value)
                if len(values) > MAX_AXIS_VALUES:
                    self._values[name] = None
        if self._previous_end is None:
            return None
        was = status_at(events, self._previous_end)
        if was is not item.status:
            self._changed[was, item.status] += 1
        return was

    def set_counts(self, counts: Mapping[tuple[ItemStatus, str | None], int]) -> None:
        """Set the number of all items by status and reason; only some of them were added."""
        self._counts.clear()
        for (status, _), count in counts.items():
            self._counts[status] += count
        self._problems.set_counts(counts)

    def head(self, folder: Path) -> dict[str, Any]:
        """Return the head of the page, and the layout of the contact sheet.

        `folder` is the job's; commands name it if the manifest does not.
        """
        job, counts = self.job, self._counts
        rehearsal = job.origin == REHEARSAL
        target = job_arguments(job.manifest, folder, rehearsal=rehearsal)
        problems = self._problems.groups()
        return {
            "job": {
                "id": job.id,
                "name": job.name,
                "provider": job.provider,
                "manifest": job.manifest,
                "rehearsal": rehearsal,
            },
            "objects": f"{objects}/" if (objects := JobFolder(folder).objects) else None,
            "written": self._now,
            "summary": {language: self.summary(language) for language in LANGUAGES},
            "counts": {status.value: counts[status] for status in SHOWN_ORDER if counts[status]},
            "total": counts.total(),
            "shown": self._added,
            "redo": command_line("redo", target),
            "export": _export_command(folder, target),
            "commands": next_commands(counts, problems, target),
            "problems": [_group_data(one, target) for one in problems],
            "variables": [
                {"name": name, "values": None if values is None else list(values)}
                for name, values in self._values.items()
            ],
            "runs": [_run_data(run) for run in self._runs],
            "price": _mean_price(self._cost, self._spent),
            "price_setting": _price_setting(job),
            "changes": self._changes(),
        }

    def summary(self, language: Language) -> str:
        """Return the sentence about the state of the job."""
        with use_language(language):
            return summary_sentence(
                self._counts,
                submissions=self._spent,
                cost=self._cost.rounded if self._cost else None,
                seconds=self._seconds,
                stopped=self._runs[-1].message if self._runs else None,
            )

    def _changes(self) -> list[list[Any]]:
        """Return [old status, new status, count] of the last run; empty without one before it."""
        changes = self._changed.most_common()
        return [[was.value if was else None, now.value, n] for (was, now), n in changes]


def _group_data(group: ProblemGroup, target: Sequence[str]) -> dict[str, Any]:
    members = [
        [item.key, item.id, item.source, item.message, item.started_at] for item in group.members
    ]
    return {
        "status": group.status.value,
        "reason": group.reason,
        "owner": group.owner.value,
        "command": command_for(
            group.status, group.reason, target, [item.id for item in group.members]
        ),
        "count": group.count,
        "members": members,
    }


def _export_command(folder: Path, target: Sequence[str]) -> str:
    """Return the command that copies the favourites; the page appends the picks file."""
    to = folder.absolute().with_name(f"{folder.absolute().name}-favourites")
    return command_line("export", target, "--to", utf8_text(to))


def _run_data(run: RunRow) -> dict[str, Any]:
    data = asdict(run) | {"samples": rates_per_minute(run)}
    del data["pid"], data["host"]  # do not publish pid and host
    return data


def _mean_price(cost: Price | None, submissions: int) -> list[float | str] | None:
    """Return the mean price of a submission, for the cost of each run; None if it is unknown."""
    if cost is None or not submissions:
        return None
    return [float(cost.amount / submissions), cost.currency]


def _price_setting(job: JobRow) -> Any:
    """Return `limits.price` as a manifest has it, for the manifest of "more like these"."""
    if job.prices is None:
        return None
    text = str(job.prices)
    return json.loads(text) if text.startswith("{") else text
