"""What a service's own `progress` is worth, found out by holding it to its word.

A report of progress foretells when the task will end: one report by its share of the time since
the task's turn came, two reports by the slope between them. Both kinds are learned like any other
duration, on a clock that counts in parts of the time foretold: for an honest service the ends
crowd around 1, for a lying one they lie anywhere.

Whether to believe is a contest (`contest`): each look is foretold twice, by progress and by the
task's age. A service that reports noise, or is stuck at 37, never wins it; one that begins to lie
loses it within some ten looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from batch_runner.polling.hazard import HazardModel
from batch_runner.polling.model_comparison import ModelComparison

_LEAST_PROGRESS = 1e-4  # of less it cannot be told how long the rest takes
_LEAST_LEFT = 0.2  # seconds; progress is seldom finer


class ProgressReading(NamedTuple):
    """What a task's progress said at a look, and how much time that leaves."""

    first_at: float
    first: float  # progress, 0 to 1, at the first of the reports that belong together
    last: float
    left: float  # seconds from the last report
    sloped: bool  # told by two reports, not one


def sight(
    before: ProgressReading | None, progress: float | None, *, age: float, now: float
) -> ProgressReading | None:
    """Return what a report says of a task whose turn came `age` seconds ago; None for nothing."""
    if progress is None or not _LEAST_PROGRESS <= progress <= 1:
        return None
    if before is not None and progress > before.first and progress >= before.last:
        slope = (progress - before.first) / (now - before.first_at)
        left = max(_LEAST_LEFT, (1 - progress) / slope)
        return ProgressReading(before.first_at, before.first, progress, left, sloped=True)
    left = max(_LEAST_LEFT, age * (1 - progress) / progress)
    return ProgressReading(now, progress, progress, left, sloped=False)


class ProgressModel:
    """The contest, for one workflow; one clock and one score for each kind of sighting."""

    def __init__(self) -> None:
        self._clocks = [HazardModel(shortest=0.02, longest=1000.0) for _ in range(2)]
        self._contests = [ModelComparison(), ModelComparison()]  # progress challenges age

    def next_look(self, sighting: ProgressReading | None, price: float) -> float | None:
        """Return the seconds from the sighting to the next look; None when it is not believed."""
        if sighting is None or not self._contests[sighting.sloped].won:
            return None
        clock = self._clocks[sighting.sloped]
        return sighting.left * clock.next_look(0.0, price / sighting.left)

    def hold(self, sighting: ProgressReading, passed: float, by_age: float, *, ended: bool) -> None:
        """Compare what was foretold for a look `passed` seconds later with what it has seen.

        `by_age` is the hazard that the task's age gave the same stretch.
        """
        clock, end = self._clocks[sighting.sloped], passed / sighting.left
        by_progress = clock.ended(0.0, end) if ended else clock.survived(0.0, end)
        self._contests[sighting.sloped].hold(by_progress, by_age, ended=ended)

    def doubt(self) -> None:
        """Let progress prove itself anew."""
        self._contests = [ModelComparison(), ModelComparison()]

    def state(self) -> dict[str, object]:
        """Return what was learned, ready for JSON."""
        return {
            "clocks": [clock.state() for clock in self._clocks],
            "proof": [round(contest.proof, 3) for contest in self._contests],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what an earlier run learned.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is not what `state` returns.
        """
        for clock, known in zip(self._clocks, state["clocks"], strict=True):
            clock.restore(known)
        one, two = state["proof"]
        self._contests = [ModelComparison(float(one)), ModelComparison(float(two))]
