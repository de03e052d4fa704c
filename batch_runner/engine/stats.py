"""The counts of a run so far, for displays and metrics files."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from batch_runner.lifecycle import NOT_ACCEPTED, TRANSITIONS, UNPAID, Event, ItemStatus, sources

#: Most rows of `samples`: two days, one per minute.
MOST_SAMPLES = 2880


@dataclass
class RunStats:
    """Counts of one run, and how many items of the job have which status."""

    counts: dict[ItemStatus, int] = field(default_factory=lambda: dict.fromkeys(ItemStatus, 0))
    spent: int = 0  #: submissions of the whole job that must be assumed paid
    spent_before: dict[str, int] = field(default_factory=dict)  #: by earlier runs, per workflow
    committed: Decimal = Decimal(0)  #: cost of all submissions in `spent` and `reserved`
    reserved: int = 0  #: submissions that may be sent and are not yet counted in `spent`
    paid: int = 0  #: submissions of this run that must be assumed paid
    submissions: int = 0  #: of this run, including those that were rejected or answered 429
    not_selected: int = 0  #: pending items that this run does not submit
    polls: int = 0
    limited: int = 0  #: 429 responses
    retries: int = 0  #: requests sent again
    reused: int = 0  #: items of this run that another job has paid for
    waiting: int = 0  #: items that another job has submitted and not finished
    started_at: float = 0.0  #: event loop time
    last_problem: str = ""
    last_retried: str = ""  #: the last problem after which a request is sent again
    samples: list[list[float]] = field(default_factory=list)

    def apply(self, event: Event, origin: ItemStatus | None = None) -> None:
        """Count one event, which leaves the status `origin`; None: the first that allows it."""
        origin = origin or sources(event)[0]
        self.counts[origin] -= 1
        self.counts[TRANSITIONS[origin][event]] += 1
        if event in (Event.REUSED, Event.TASK_REUSED):
            self.reused += 1
        elif event is Event.SUBMIT_STARTED:
            self.submissions += 1
            self.spent += 1
            self.paid += 1
        elif event in UNPAID:
            self.spent -= 1
            # A held or lost submission may be of an earlier run: its caller knows.
            self.paid -= event in NOT_ACCEPTED

    @property
    def unconfirmed(self) -> int:
        """Return the number of submissions being sent, which may turn out not to be paid."""
        return self.reserved + self.counts[ItemStatus.SUBMITTING]

    @property
    def to_submit(self) -> int:
        """Return the number of pending items that this run may submit."""
        return max(0, self.counts[ItemStatus.PENDING] - self.not_selected - self.waiting)

    @property
    def in_flight(self) -> int:
        """Return the number of tasks submitted and not finished."""
        return self.counts[ItemStatus.SUBMITTED]

    def sample(self, now: float) -> None:
        """Add a row: seconds since the start, submissions, polls, 429s, tasks in flight."""
        if len(self.samples) < MOST_SAMPLES:
            elapsed = round(now - self.started_at, 1)
            row: list[float] = [elapsed, self.submissions, self.polls, self.limited, self.in_flight]
            self.samples.append(row)

    def figures(self) -> dict[str, Any]:
        """Return the figures that the journal stores of a run."""
        return {
            "submissions": self.paid,  # the journal does not count rejected ones
            "polls": self.polls,
            "limited": self.limited,
            "retries": self.retries,
            "samples": self.samples,
        }
