"""One look at a job from its journal: what is in flight, how fast it goes, what went wrong.

`status --watch` and a run's own display show the same look. It reads only, in short transactions.
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
from batch_runner.lifecycle import UNDERWAY, Event, ItemStatus
from batch_runner.polling.workflow_model import WorkflowModel
from batch_runner.settings import Polling

#: Seconds that count as lately, for creates and for finishes.
LATELY, _FINISHING = 60.0, 600.0
#: Items and errors that are named.
OLDEST, HELD, ERRORS = 6, 4, 3
#: Finishes from which a rate is told, and tasks from which their usual time is.
_FEW, _TASKS = 3, 100

_UNPAID = (Event.SUBMIT_UNSENT, Event.SUBMIT_REJECTED)


class Eta(NamedTuple):
    """When all that can finish by itself will have, and what that is reckoned from.

    `rate` is in items a second, of finishes if `finishing`, else of creates; `typical` the seconds
    that the service takes for one.
    """

    seconds: float
    left: int
    rate: float
    finishing: bool
    typical: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSnapshot:
    """A job at one moment. Times are seconds since the epoch, rates are a second."""

    at: float
    job: str
    counts: Mapping[ItemStatus, int]
    spent: int
    run: RunRow | None  # the latest
    at_work: bool  # it has not ended, and the job is held
    submissions: int  # of this run, that must be assumed paid
    limited: int  # answers 429 of this run, as last told
    limited_lately: int
    rate: float  # creates a second lately
    eta: Eta | None
    oldest: tuple[ItemRow, ...]  # in flight
    held: tuple[ItemRow, ...]
    errors: tuple[tuple[str, EventRow], ...]  # other ones of this run, newest first, by item id


def take_snapshot(journal: Path, *, now: float | None = None) -> JobSnapshot:
    """Return how the job of `journal` stands.

    Raises:
        JournalUnreadable: the journal cannot be read.
    """
    now = time.time() if now is None else now
    with open_reader(journal) as reader:
        counts, runs = reader.counts(), reader.runs()
        run = runs[-1] if runs else None
        began = run.started_at if run else now
        whole, lately = (_counted(reader, since) for since in (began, max(began, now - LATELY)))
        rate = lately.sent / max(1.0, min(LATELY, now - began))
        held = tuple(islice(reader.items(ItemStatus.HELD), HELD))
        troubles, known = reader.recent_errors(ERRORS + HELD, began), {item.key for item in held}
        finishes = _finishes_a_second(reader, max(began, now - _FINISHING), now)
        return JobSnapshot(
            at=now,
            job=reader.job().name,
            counts=counts,
            spent=reader.spent(),
            run=run,
            at_work=run is not None and _at_work(run, journal),
            submissions=max(run.submissions if run else 0, whole.submissions),
            limited=max(run.limited if run else 0, whole.limited),
            limited_lately=max(lately.limited, _limited_by_weather(run, now)),
            rate=rate,
            eta=eta_of(counts, rate, finishes, _typical(reader)),
            oldest=tuple(reader.oldest_in_flight(OLDEST)),
            held=held,
            errors=tuple(one for one in troubles if one[1].key not in known)[:ERRORS],
        )


def eta_of(
    counts: Mapping[ItemStatus, int], rate: float, finishes: float | None, typical: float | None
) -> Eta | None:
    """Return when all that can finish by itself will have, None while nothing tells.

    What is left takes as long as its creates at the present `rate` and a `typical` task after
    them, or as long as its `finishes` at their present rate: whichever is longer.
    """
    waiting = counts[ItemStatus.PENDING]
    left = waiting + sum(counts[status] for status in UNDERWAY)
    found = []
    if typical is not None and (rate > 0 or not waiting):
        seconds = typical + (waiting / rate if waiting else 0.0)
        found.append(Eta(seconds, left, rate, finishing=False, typical=typical))
    if finishes:
        found.append(Eta(left / finishes, left, finishes, finishing=True, typical=typical))
    if not left:
        return Eta(0.0, 0, finishes or 0.0, finishing=True, typical=typical)
    return max(found, key=lambda one: one.seconds, default=None)


class _Counted(NamedTuple):
    sent: int  # create requests
    submissions: int  # of them, those that must be assumed paid
    limited: int


def _counted(reader: JournalReader, since: float) -> _Counted:
    happened = reader.event_counts(since)
    sent = sum(n for event, _, n, _ in happened if event == Event.SUBMIT_STARTED)
    unpaid = sum(n for event, _, n, _ in happened if event in _UNPAID)
    limited = sum(
        n for event, why, n, _ in happened if event == Event.SUBMIT_UNSENT and "-429" in why
    )
    return _Counted(sent, max(0, sent - unpaid), limited)


def _finishes_a_second(reader: JournalReader, since: float, now: float) -> float | None:
    """Return how fast tasks come to their end; None while too few have."""
    ends = [
        one for one in reader.event_counts(since) if one[0] in (Event.PLACED, Event.TASK_FAILED)
    ]
    count = sum(n for _, _, n, _ in ends)
    if count < _FEW:
        return None
    return (count - 1) / max(1.0, now - min(first for _, _, _, first in ends))


def _typical(reader: JournalReader) -> float | None:
    """Return the seconds that half of the tasks need less than, as seen lately or learned."""
    if times := reader.service_times(_TASKS):
        return median(times)
    known = (WorkflowModel(Polling(), state).typical(0.5) for state in reader.learned().values())
    return median(found) if (found := [one for one in known if one is not None]) else None


def _limited_by_weather(run: RunRow | None, now: float) -> int:
    """Return the 429s of the last minute that the run has told of, polls included."""
    if run is None or not run.samples or now - run.started_at - run.samples[-1][0] > LATELY:
        return 0
    before = run.samples[-2][3] if len(run.samples) > 1 else 0
    return int(run.samples[-1][3] - before)


def _at_work(run: RunRow, journal: Path) -> bool:
    """Say whether a run has not ended and somebody holds its job."""
    return run.ended_at is None and lock_owner(JobFolder(journal.parent.parent)) is not None
