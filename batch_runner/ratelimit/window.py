"""The sliding window of a rate: no interval of its period contains more tokens than its count."""

from __future__ import annotations

import math
from collections import deque

from batch_runner.units import Rate

# Part of the period, and most seconds, by which a window of tokens is longer than the period: a
# commit and a handshake shift a request by that much. It reduces the rate by the same part.
STRETCH, _LONGEST_STRETCH = 0.006, 0.02

# The window remembers one time per token; longer windows are split into shorter ones of this count.
_MOST_TIMES = 10_000


class Window:
    """The times of the last tokens or requests: at most `count` of them in any `seconds`."""

    def __init__(self, rate: Rate, *, stretch: float = STRETCH, extra: int = 0) -> None:
        """`stretch` is a part of the period, `extra` are more than the rate's count."""
        # 2.5/s is kept as 3 in 1.2 s: the same mean with a whole number.
        full_count = max(1, math.ceil(rate.count - 1e-9))
        parts = math.ceil(full_count / _MOST_TIMES)
        count = full_count // parts + extra
        period = rate.seconds * full_count / rate.count / parts
        self.stretch = min(period * stretch, _LONGEST_STRETCH * stretch / STRETCH)
        self.seconds = period + self.stretch
        self._times: deque[float] = deque(maxlen=count)

    @property
    def interval(self) -> float:
        """Return the seconds from token to token if they come at even distances."""
        return self.seconds / (self._times.maxlen or 1)

    def full_for(self, now: float) -> float:
        """Return the seconds until one more token fits."""
        if len(self._times) < (self._times.maxlen or 0):
            return 0.0
        return max(0.0, self._times[0] + self.seconds - now)

    def is_used(self, now: float, part: float) -> bool:
        """Return whether at least `part` of the limit has been used lately."""
        full = len(self._times) == self._times.maxlen
        return full and (now - self._times[0]) * part < self.seconds

    def add(self, now: float) -> None:
        """Count a token given now."""
        self._times.append(now)
