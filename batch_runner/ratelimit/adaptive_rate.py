"""The rate that a service has been found to accept: learned from its 429 responses.

What a service accepts is rarely what the operator configured. `AdaptiveRate` finds it as TCP CUBIC
finds the capacity of a path: a 429 reduces the rate once, and the rate that caused it is kept. The
rate then rises quickly at first, slowly near the kept rate, and slowly beyond it. Each further 429
near the same rate makes the next rise slower, so a long run at the limit causes few of them.
"""

from __future__ import annotations

import math


class AdaptiveRate:
    """The present rate in requests per second; no I/O and no clock, every time is an argument."""

    FIRST_CUT = 0.25  # after the first 429 nothing is known about the true limit
    REPEATED_CUT = 0.7  # after a 429 soon after a cut
    KNOWN_CUT = 0.95  # after a 429 near a rate that was accepted for long: the limit is known
    DEEPEST_CUT = 1 / 8
    FLOOR = 1 / 1000  # of the ceiling; at rate zero an improvement would never be seen
    PLATEAU = 0.97  # of the rate that caused a 429: from there on the rise is slow
    RISE, LONGEST_RISE = 40.0, 480.0  # seconds from a cut to the plateau
    STEEPEST = 0.04  # largest growth per second
    MEASURED = 5.0  # least seconds between two 429s from which the limit is measured

    def __init__(self, ceiling: float) -> None:
        self.ceiling = self.rate = ceiling
        self.incidents = 0
        self._base = self._plateau = ceiling  # the rate after the last cut; where the rise slows
        self._rise = self.RISE
        self._risen_for = 0.0  # seconds of traffic since the last cut
        self._cut_at = self._last_accepted = -math.inf
        self._counting_since: float | None = None
        self._accepted = 0

    def limited(self, now: float, *, acquired_at: float) -> bool:
        """Record a 429 to the request that left at `acquired_at`; return whether it is new.

        A request that left before the last cut left at the old rate: its 429 belongs to the same
        incident.
        """
        if acquired_at <= self._cut_at:
            return False
        if self.incidents and not self._accepted:
            self._cut_at = now  # the service accepts nothing, at whatever rate
            return True
        limited_at = self.rate
        known = self.incidents > 0 and self.rate > self._plateau * self.KNOWN_CUT
        accepted_rate = self._accepted_rate(now)
        if known:
            wanted = limited_at * self.KNOWN_CUT
        elif accepted_rate is not None:
            wanted = min(accepted_rate, limited_at) * self.KNOWN_CUT
        else:
            wanted = limited_at * (self.REPEATED_CUT if self.incidents else self.FIRST_CUT)
        # Only a rate that rose undisturbed for a while has found the limit.
        found = known and self._risen_for > self.MEASURED
        self._rise = min(self.LONGEST_RISE, self._rise * 2) if found else self.RISE
        lowest = max(limited_at * self.DEEPEST_CUT, self.ceiling * self.FLOOR)
        self.rate = self._base = max(lowest, wanted)
        self._plateau = max(self._base, limited_at * self.PLATEAU)
        self.incidents += 1
        self._cut_at = self._counting_since = now
        self._accepted, self._risen_for = 0, 0.0
        return True

    def accepted(self, now: float) -> None:
        """Record a request that was not limited: the rate rises while there is traffic."""
        if self._counting_since is None:
            self._counting_since = now
        self._accepted += 1
        if self.rate >= self.ceiling:
            return
        # Time without requests does not prove a higher rate: count at most that of two requests.
        since = max(0.0, now - max(self._last_accepted, self._cut_at))
        step = min(since, 2 / self.rate)
        self._last_accepted = now
        self._risen_for += step
        steepest = self.rate * math.exp(self.STEEPEST * step)
        self.rate = min(self.ceiling, steepest, max(self.rate, self._risen_rate(self._risen_for)))

    def _accepted_rate(self, now: float) -> float | None:
        """Return the accepted requests per second since the last 429, None if that is too short.

        A service answers 429 when its allowance is used up. So between two 429s it accepted just
        what it allows, which is the best estimate of its limit.
        """
        if self._counting_since is None or now - self._counting_since < self.MEASURED:
            return None
        return self._accepted / (now - self._counting_since)

    def _risen_rate(self, seconds: float) -> float:
        """Return the rate after so many seconds of traffic since the cut, by CUBIC's curve."""
        left = 1 - seconds / self._rise
        reach = self._plateau - self._base
        if left < 0:
            reach = max(reach, self._plateau / 10)
        return self._plateau - reach * left**3
