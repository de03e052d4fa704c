"""Takes a snapshot of a job from its journal: items in flight, rates, recent errors.

Used by `status --watch` and by a run's own dashboard. Reads only, in short transactions.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

from batch_runner.jobdir.lock import lock_owner
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import EventRow, ItemRow, JournalReader, RunRow, open_reader
from batch_runner.lifecycle import UNDERWAY, UNPAID, Event, ItemStatus
from batch_runner.polling.workflow_model import WorkflowModel
from batch_runner.settings import Polling

#: Seconds over which the rates of submissions and of completions are taken.
RECENT, _COMPLETING = 60.0, 600.0
#: Items and errors that are listed.
OLDEST, HELD, ERRORS = 6, 4, 3
#: Completions needed for a rate, and the number of latest tasks whose median time is taken.
_FEW, _TASKS = 3, 100


class Eta(NamedTuple):
    """When all unattended items will be finished, and what the estimate is based on.

    `rate` is in items per second, of completions if `finishing`, else of submissions; `typical` is
    the seconds that the service takes for one task.
    """

    seconds: float
    left: int
    rate: float
    finishing: bool
    typical: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSnapshot:
    """State of a job at one moment. Times are seconds since the epoch, rates are per second."""

    at: float
    job: str
    counts: Mapping[ItemStatus, int]
    spent: int
    run: RunRow | None  # the latest
    running: bool  # the run has not ended and its process holds the job's lock, or workers go on
    submissions: int  # of this run, that must be assumed paid
    limited: int  # 429 responses in this run, as far as the journal has them
    limited_recently: int
    rate: float  # recent submissions
    eta: Eta | None
    oldest: tuple[ItemRow, ...]  # in flight
    held: tuple[ItemRow, ...]
    errors: tuple[tuple[str, EventRow], ...]  # (item id, event) of this run, newest first

    @property
    def state(self) -> str:
        return "slowed" if self.limited_recently and self.running else "normal"


def take_snapshot(journal: Path, *, now: float | None = None) -> JobSnapshot:
    """Return the state of the job that `journal` records; `now` is wall clock.

    Raises:
        JournalUnreadable: the journal cannot be read.
    """
    now = time.time() if now is None else now
    with open_reader(journal) as reader:
        counts, runs = reader.counts(), reader.runs()
        run = runs[-1] if runs else None
        began = run.started_at if run else now
        in_all, recent = (_counted(reader, since) for since in (began, max(began, now - RECENT)))
        rate = recent.sent / max(1.0, min(RECENT, now - began))
        held = tuple(islice(reader.items(ItemStatus.HELD), HELD))
        errors, known = reader.recent_errors(ERRORS + HELD, began), {item.key for item in held}
        completions = _completions_per_second(reader, max(began, now - _COMPLETING), now)
        return JobSnapshot(
            at=now,
            job=reader.job().name,
            counts=counts,
            spent=reader.spent(),
            run=run,
            running=reader.workers_may_submit() or (run is not None and _is_running(run, journal)),
            submissions=max(run.submissions if run else 0, in_all.submissions),
            limited=max(run.limited if run else 0, in_all.limited),
            limited_recently=max(recent.limited, _limited_by_samples(run, now)),
            rate=rate,
            eta=estimate_eta(counts, rate, completions, _typical(reader)),
            oldest=tuple(reader.oldest_in_flight(OLDEST)),
            held=held,
            errors=tuple(one for one in errors if one[1].key not in known)[:ERRORS],
        )


def estimate_eta(
    counts: Mapping[ItemStatus, int], rate: float, completions: float | None, typical: float | None
) -> Eta | None:
    """Estimate when all unattended items will be finished; None without data.

    The longer of two: the remaining submissions at the present `rate` and one `typical` task after
    them, or the remaining items at the present rate of `completions`.
    """
    waiting = counts[ItemStatus.PENDING]
    left = waiting + sum(counts[status] for status in UNDERWAY)
    found = []
    if typical is not None and (rate > 0 or not waiting):
        seconds = typical + (waiting / rate if waiting else 0.0)
        found.append(Eta(seconds, left, rate, finishing=False, typical=typical))
    if completions:
        found.append(Eta(left / completions, left, completions, finishing=True, typical=typical))
    if not left:
        return Eta(0.0, 0, completions or 0.0, finishing=True, typical=typical)
    return max(found, key=lambda one: one.seconds, default=None)


class _Counted(NamedTuple):
    sent: int  # submissions
    submissions: int  # those of them that must be assumed paid
    limited: int


def _counted(reader: JournalReader, since: float) -> _Counted:
    happened = reader.event_counts(since)
    sent = sum(n for event, _, n, _ in happened if event == Event.SUBMIT_STARTED)
    unpaid = sum(n for event, _, n, _ in happened if event in UNPAID)
    limited = sum(
        n for event, why, n, _ in happened if event == Event.SUBMIT_UNSENT and "-429" in why
    )
    return _Counted(sent, max(0, sent - unpaid), limited)


def _completions_per_second(reader: JournalReader, since: float, now: float) -> float | None:
    """Return the rate of completed tasks; None while there are too few."""
    ends = [
        one for one in reader.event_counts(since) if one[0] in (Event.PLACED, Event.TASK_FAILED)
    ]
    count = sum(n for _, _, n, _ in ends)
    if count < _FEW:
        return None
    return (count - 1) / max(1.0, now - min(first for _, _, _, first in ends))


def _typical(reader: JournalReader) -> float | None:
    """Return the median seconds of a task, of the latest ones or as learned; None if unknown."""
    if times := reader.service_times(_TASKS):
        return median(times)
    known = (WorkflowModel(Polling(), state).typical(0.5) for state in reader.learned().values())
    return median(found) if (found := [one for one in known if one is not None]) else None


def _limited_by_samples(run: RunRow | None, now: float) -> int:
    """Return the 429 responses of the last minute that the run sampled, polls included."""
    if run is None or not run.samples or now - run.started_at - run.samples[-1][0] > RECENT:
        return 0
    before = run.samples[-2][3] if len(run.samples) > 1 else 0
    return int(run.samples[-1][3] - before)


def _is_running(run: RunRow, journal: Path) -> bool:
    return run.ended_at is None and lock_owner(JobFolder(journal.parent.parent)) is not None
