"""The service's own rate limit: strict, and honest about when to come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batch_runner.simulator.parsing import Rate

# Timers are floats: a request due at this very instant must not be refused for a rounding error.
GRAIN = 1e-6  # seconds


class Limiter:
    """Admits requests at a rate (the generic cell rate algorithm); refused ones use nothing up."""

    def __init__(self, rate: Rate) -> None:
        self._interval = rate.interval
        self._tolerance = (rate.burst - 1) * rate.interval
        self._due = 0.0

    def admit(self, now: float) -> float:
        """Return 0.0 and count the request, or the seconds until one would be admitted."""
        early = self._due - self._tolerance - now
        if early > GRAIN:
            return early
        self._due = max(self._due, now) + self._interval
        return 0.0
