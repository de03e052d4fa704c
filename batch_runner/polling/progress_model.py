"""When a task will complete by the service's own `progress` (see THEORY.md, "Progress")."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from batch_runner.polling.hazard import HazardModel
from batch_runner.polling.model_comparison import REQUIRED_GAIN, ModelComparison

_MIN_PROGRESS = 1e-4  # less implies no remaining time
_MIN_REMAINING = 0.2  # seconds; progress is rarely more precise
# What is assumed of two reports before anything is observed: this many completions, each between
# these multiples of the implied remaining time.
_PRIOR_COMPLETIONS, _PRIOR_FROM, _PRIOR_TO = 3, 0.8, 1.15


class ProgressReading(NamedTuple):
    """The progress that polls of a task reported, and the remaining time it implies."""

    first_at: float
    first: float  # progress, 0 to 1, at the first of consecutive rising reports
    last: float
    remaining: float  # seconds from the last report
    from_slope: bool  # computed from two reports, not from one and the task's age


def read_progress(
    previous: ProgressReading | None,
    progress: float | None,
    *,
    age: float,
    now: float,
    usual: float = math.inf,
) -> ProgressReading | None:
    """Return what `progress` implies for a task started `age` seconds ago; None: nothing.

    `usual` is the duration in seconds that few tasks exceed. The age may include time in a queue,
    so one report alone never implies a longer one.
    """
    if progress is None or not _MIN_PROGRESS <= progress <= 1:
        return None
    if previous is not None and progress > previous.first and progress >= previous.last:
        slope = (progress - previous.first) / (now - previous.first_at)
        remaining = max(_MIN_REMAINING, (1 - progress) / slope)
        return ProgressReading(
            previous.first_at, previous.first, progress, remaining, from_slope=True
        )
    remaining = max(_MIN_REMAINING, (1 - progress) * min(usual, age / progress))
    return ProgressReading(now, progress, progress, remaining, from_slope=False)


class ProgressModel:
    """The hazard by progress, and whether it predicts better than the task's age.

    There is one model for readings from a slope and one for the others. Their unit of time is the
    remaining time that a reading implies: 1 is the completion as predicted by the service.
    """

    def __init__(self) -> None:
        self._hazards = [HazardModel(shortest=0.02, longest=1000.0) for _ in range(2)]
        # The default is the task's age; two reports are believed until they have predicted worse.
        self._comparisons = [ModelComparison(), ModelComparison(REQUIRED_GAIN)]
        for _ in range(_PRIOR_COMPLETIONS):
            self._hazards[True].observe_running(0.0, _PRIOR_FROM)
            self._hazards[True].observe_completed(_PRIOR_FROM, _PRIOR_TO)

    def shows_waiting(self, progress: float | None) -> bool:
        """Return whether `progress` shows that the service has not started on the task.

        That is a progress of 0, once reports of two polls have predicted better than age.
        """
        proven = self._comparisons[True].log_likelihood_gain > REQUIRED_GAIN
        return proven and progress is not None and 0 <= progress < _MIN_PROGRESS

    def next_poll(self, reading: ProgressReading | None, cost: float) -> float | None:
        """Return the seconds from a reading to the next poll; None if age predicts better."""
        if reading is None or not self._comparisons[reading.from_slope].is_better:
            return None
        hazard = self._hazards[reading.from_slope]
        return reading.remaining * hazard.next_poll(0.0, cost / reading.remaining, sooner=True)

    def observe(
        self, reading: ProgressReading, passed: float, by_age: float, *, completed: bool
    ) -> None:
        """Learn from a poll `passed` seconds after a reading.

        `by_age` is the hazard that the task's age predicted for these seconds.
        """
        hazard, end = self._hazards[reading.from_slope], passed / reading.remaining
        observe = hazard.observe_completed if completed else hazard.observe_running
        by_progress = observe(0.0, end)
        self._comparisons[reading.from_slope].update(by_progress, by_age, completed=completed)

    def reset_comparison(self) -> None:
        """Use the task's age again until progress has predicted better."""
        self._comparisons = [ModelComparison(), ModelComparison()]

    def state(self) -> dict[str, object]:
        """Return what was learned, ready for JSON."""
        gains = [round(comparison.log_likelihood_gain, 3) for comparison in self._comparisons]
        return {"hazards": [hazard.state() for hazard in self._hazards], "gains": gains}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what an earlier run learned.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: not what `state` returns.
        """
        for hazard, known in zip(self._hazards, state["hazards"], strict=True):
            hazard.restore(known)
        one, two = state["gains"]
        self._comparisons = [ModelComparison(float(one)), ModelComparison(float(two))]
