"""The service's own rate limit."""

from __future__ import annotations

from batch_runner.simulator.parsing import Rate

# A request that is due exactly now must not be rejected for a rounding error of a timer.
ROUNDING_SECONDS = 1e-6


class Limiter:
    """Admits requests at a rate (GCRA); a rejected request uses nothing up."""

    def __init__(self, rate: Rate) -> None:
        self._interval = rate.interval
        self._tolerance = (rate.burst - 1) * rate.interval
        self._due = 0.0

    def admit(self, now: float) -> float:
        """Count the request and return 0.0, or return the seconds until one would be admitted."""
        early = self._due - self._tolerance - now
        if early > ROUNDING_SECONDS:
            return early
        self._due = max(self._due, now) + self._interval
        return 0.0
