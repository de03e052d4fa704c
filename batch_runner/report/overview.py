"""What stands above the contact sheet: all items of a job, summed up as they come past.

Items are taken one by one and let go of, so that a million take no more memory than a thousand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from batch_runner.journal import EventRow, ItemRow, JobRow, JournalReader, RunRow
from batch_runner.lifecycle import ItemStatus
from batch_runner.manifest.job_args import target_of
from batch_runner.models import REHEARSAL
from batch_runner.report.history import by_minute, last_look, status_at
from batch_runner.report.triage import Group, ProblemGroups, command_for, next_commands
from batch_runner.report.verdict import verdict_sentence
from batch_runner.units import Price, parse_price

#: In the order in which the page counts them.
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
#: A variable with more values than this is searched for, not laid out as an axis of the sheet.
MOST_AXIS_VALUES = 200


class Overview:
    """A job, its runs, and the sum of its items."""

    def __init__(self, reader: JournalReader, *, now: float) -> None:
        """Read all but the items, which are yet to be taken in; `now` is wall clock."""
        self.job: JobRow = reader.job()
        self._now = now
        self._spent = reader.spent()
        self._runs: list[RunRow] = reader.runs()
        self._last_look = last_look(self._runs)
        self._counts: Counter[ItemStatus] = Counter()
        self._moves: Counter[tuple[ItemStatus | None, ItemStatus]] = Counter()
        self._troubles = ProblemGroups()
        # Each variable's values in the order of the manifest; None: too many for an axis.
        self._values: dict[str, dict[str, None] | None] = {}

    @property
    def variables(self) -> Iterable[str]:
        """Return the variables of the items so far, in the order in which they first appeared."""
        return self._values

    def take(self, item: ItemRow, events: Iterable[EventRow]) -> ItemStatus | None:
        """Take in one item; return where it stood before the last run, None: nowhere."""
        self._counts[item.status] += 1
        self._troubles.add(item)
        for name, value in item.variables.items():
            values = self._values.setdefault(name, {})
            if values is not None:
                values.setdefault(value)
                if len(values) > MOST_AXIS_VALUES:
                    self._values[name] = None
        if self._last_look is None:
            return None
        was = status_at(events, self._last_look)
        if was is not item.status:
            self._moves[was, item.status] += 1
        return was

    def data(self, folder: Path) -> dict[str, Any]:
        """Return the head of the page, and what the sheet needs to be laid out.

        `folder` is the job's, and is named in the commands where the manifest does not name it.
        """
        job, counts = self.job, self._counts
        rehearsal = job.origin == REHEARSAL
        target = target_of(job.manifest, folder, rehearsal=rehearsal)
        troubles = self._troubles.groups()
        return {
            "job": {
                "id": job.id,
                "name": job.name,
                "provider": job.provider,
                "manifest": job.manifest,
                "rehearsal": rehearsal,
            },
            "written": self._now,
            "verdict": {tag: self.verdict(tag) for tag in ("en", "zh")},
            "counts": {status.value: counts[status] for status in SHOWN_ORDER if counts[status]},
            "total": counts.total(),
            "commands": next_commands(counts, troubles, target),
            "troubles": [_group_data(one, target) for one in troubles],
            "variables": [
                {"name": name, "values": None if values is None else list(values)}
                for name, values in self._values.items()
            ],
            "runs": [_run_data(run) for run in self._runs],
            "price": _price_data(price_of(job)),
            "changes": self._changes(),
        }

    def verdict(self, language: str) -> str:
        """Return the sentence on how the job stands."""
        spans = ((run.ended_at or self._now) - run.started_at for run in self._runs)
        return verdict_sentence(
            self._counts,
            submissions=self._spent,
            price=price_of(self.job),
            seconds=sum(max(0.0, span) for span in spans),
            stopped=self._runs[-1].message if self._runs else None,
            language=language,
        )

    def _changes(self) -> list[list[Any]] | None:
        """Return how many moved from where to where in the last run; None: nothing to compare."""
        if self._last_look is None or not self._counts:
            return None
        moves = self._moves.most_common()
        return [[was.value if was else None, now.value, n] for (was, now), n in moves]


def price_of(job: JobRow) -> Price | None:
    """Return the price of one create; None when the manifest names none that can be read."""
    try:
        return parse_price(job.price)
    except ValueError:
        return None


def _group_data(group: Group, target: Sequence[str]) -> dict[str, Any]:
    members = [
        [item.key, item.id, item.source, item.message, item.started_at] for item in group.members
    ]
    return {
        "status": group.status.value,
        "reason": group.reason,
        "fixer": group.fixer.value,
        "command": command_for(
            group.status, group.reason, target, [item.id for item in group.members]
        ),
        "count": group.count,
        "members": members,
    }


def _run_data(run: RunRow) -> dict[str, Any]:
    data = asdict(run) | {"samples": by_minute(run)}
    del data["pid"], data["host"]  # nobody's business where the page may be sent
    return data


def _price_data(price: Price | None) -> list[float | str] | None:
    return [price.amount, price.currency] if price else None
