"""What happened in a run so far, counted once; every display and file of figures reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from batch_runner.lifecycle import TRANSITIONS, Event, ItemStatus, sources

#: Rows of `samples` kept: a minute each, two days.
MOST_WEATHER = 2880


@dataclass
class RunStats:
    """Counts of one run, and where the job's items stand."""

    counts: dict[ItemStatus, int] = field(default_factory=lambda: dict.fromkeys(ItemStatus, 0))
    spent: int = 0  #: creates of the whole job that must be assumed paid
    promised: int = 0  #: creates that may leave, and are not yet counted in `spent`
    paid: int = 0  #: those of this run
    submissions: int = (
        0  #: create requests of this run, with those that were refused or answered 429
    )
    polls: int = 0
    limited: int = 0  #: answers 429
    retries: int = 0  #: requests sent again
    started_at: float = 0.0  #: loop time
    last_problem: str = ""
    tried_again: str = ""  #: the last problem after which a request was, or will be, sent again
    samples: list[list[float]] = field(default_factory=list)

    def moved(self, event: Event) -> None:
        """Count one move of a run: of an event's sources, the first is where a run has it from."""
        origin = sources(event)[0]
        self.counts[origin] -= 1
        self.counts[TRANSITIONS[origin][event]] += 1
        if event is Event.SUBMIT_STARTED:
            self.submissions += 1
            self.spent += 1
            self.paid += 1
        elif event in (Event.SUBMIT_UNSENT, Event.SUBMIT_REJECTED):
            self.spent -= 1
            self.paid -= 1

    @property
    def undecided(self) -> int:
        """Return the number of creates on their way, which may turn out not to be paid."""
        return self.promised + self.counts[ItemStatus.SUBMITTING]

    @property
    def in_flight(self) -> int:
        """Return the number of tasks submitted and not finished."""
        return self.counts[ItemStatus.SUBMITTED]

    def sample(self, now: float) -> None:
        """Add a row: seconds since start, creates, polls, 429s, in flight."""
        if len(self.samples) < MOST_WEATHER:
            elapsed = round(now - self.started_at, 1)
            row: list[float] = [elapsed, self.submissions, self.polls, self.limited, self.in_flight]
            self.samples.append(row)

    def figures(self) -> dict[str, Any]:
        """Return what the journal keeps of a run."""
        return {
            "submissions": self.paid,
            "polls": self.polls,
            "limited": self.limited,
            "retries": self.retries,
            "samples": self.samples,
        }
