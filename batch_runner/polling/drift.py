"""Detect that a service has changed, from predictions that no longer hold."""

from __future__ import annotations

import math

_THRESHOLD = 25.0  # completions too many or too few that count as a change
_ALLOWANCE = 0.4  # part of the predicted completions that chance may add or remove


class DriftDetector:
    """Two CUSUM sums: of completions above and below the prediction.

    Deviations up to `_ALLOWANCE` are not added, so that chance rarely reaches the threshold.
    """

    def __init__(self) -> None:
        self._too_many = self._too_few = 0.0

    def update(self, hazard: float, *, completed: bool) -> bool | None:
        """Record a poll and the hazard predicted for the time since the last one.

        Returns None while predictions hold, else whether there were too few completions.
        """
        expected = -math.expm1(-hazard)
        self._too_many = max(0.0, self._too_many + completed - expected * (1 + _ALLOWANCE))
        self._too_few = max(0.0, self._too_few + expected * (1 - _ALLOWANCE) - completed)
        if max(self._too_many, self._too_few) < _THRESHOLD:
            return None
        too_few = self._too_few > self._too_many
        self._too_many = self._too_few = 0.0
        return too_few
