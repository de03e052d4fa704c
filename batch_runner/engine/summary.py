"""How a run ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from batch_runner.lifecycle import UNFINISHED, ItemStatus

#: How the message of a run that a signal stopped begins.
SIGNALLED = "stopped by "


class ExitCode(IntEnum):
    """Exit codes of the commands, as their help texts explain them."""

    DONE = 0  #: every item is done
    INCOMPLETE = 1  #: a later run would do nothing more: some items are failed, rejected or held
    USAGE = 2  #: the command or the manifest is wrong; nothing was sent
    STOPPED = 3  #: stopped early; the next run continues
    UNAVAILABLE = 4  #: the service cannot be used: API key, balance, outage
    LOCKED = 5  #: another run holds the job
    BUG = 70  #: a defect of this program
    INTERRUPTED = 130  #: aborted by SIGINT
    TERMINATED = 143  #: aborted by SIGTERM


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why a run stopped early: a short word, a sentence, and the exit code that follows."""

    reason: str
    message: str
    exit_code: ExitCode


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """How a run ended."""

    counts: dict[ItemStatus, int]
    submissions: int  #: of this run, including those that were rejected or answered 429
    paid: int  #: of these, the ones that must be assumed paid
    spent: int  #: submissions of the whole job that must be assumed paid
    cost: str | None  #: of those of this run, such as "0.36 CNY"; None: a price is not known
    cost_of_job: str | None  #: of those of the whole job
    polls: int
    limited: int  #: 429 responses
    seconds: float
    exit_code: ExitCode
    stop: StopReason | None  #: None: the run was not stopped early
    reused: int = 0  #: items whose results were taken over from another job in this run
    selected: dict[ItemStatus, int] | None = None  #: of the selected items; None: no selection

    @property
    def not_selected(self) -> int:
        """Return how many items stay pending because they were not selected."""
        if self.selected is None:
            return 0
        return self.counts[ItemStatus.PENDING] - self.selected[ItemStatus.PENDING]


def exit_code(counts: Mapping[ItemStatus, int], stop: StopReason | None) -> ExitCode:
    """Return the exit code of a run that left the items in these statuses."""
    if counts[ItemStatus.DONE] == sum(counts.values()):
        return ExitCode.DONE
    if stop is not None:
        return stop.exit_code
    return ExitCode.STOPPED if any(counts[status] for status in UNFINISHED) else ExitCode.INCOMPLETE
