"""The rate that a service has been found to accept: learned from its 429 responses.

A 429 does not show by itself that the rate is too high: some services answer one in twenty so,
whatever the rate. Their share does. So the rate is as configured until many of the latest responses
are 429s; then it is reduced to a little less than what the service accepted meanwhile, which is its
limit. Next the limit is *checked*: at the reduced rate there must be no more 429s. If a few go on
after a second cut, they have another cause, and the limit is forgotten. If not, the rate rises
slowly towards the limit and, to notice a higher one, beyond it; the next 429 shows that it is still
there. Each time the next rise is slower, so a long run at the limit causes few 429s.

While a service accepts nothing, a lower rate would not help, so 429s reduce nothing.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple


class _Response(NamedTuple):
    at: float
    rate: float  # the present one at that time
    limited: bool
    first: bool  # the first 429 since a request was accepted


class AdaptiveRate:
    """The present rate in requests per second; no I/O and no clock, every time is an argument."""

    #: The rate is too high if, of so many latest responses, at least so many are 429s.
    OVERLOAD = ((10, 5), (40, 8))
    INCIDENTS = 3  # and requests were accepted in between at least so often
    CUT = 0.9  # of the limit: the rate after it was found
    DEEPEST_CUT = 1 / 8  # of the rate at once
    FLOOR = 1 / 1000  # of the ceiling; at rate zero an improvement would never be seen
    CHECKED = 40  # responses after a cut that show whether there is a limit
    EARLY = 12  # a second 429 among so many of them shows that the limit is lower
    RISE, LONGEST_RISE = 10.0, 480.0  # seconds from the reduced rate to the limit

    def __init__(self, ceiling: float) -> None:
        self.ceiling = self.rate = ceiling
        self._limit: float | None = None  # None: not lower than the ceiling, as far as is known
        self._recent: deque[_Response] = deque(maxlen=self.CHECKED)  # since the last cut
        self._doubted = False  # 429s went on after the last cut
        self._accepted_since = False  # whether a request was accepted since the last incident
        self._incident_at = self._cut_at = -math.inf
        self._rise = self.RISE
        self._risen_for = 0.0  # seconds of traffic since the limit was checked
        self._last_accepted = -math.inf

    def limited(self, now: float, *, acquired_at: float) -> bool:
        """Record a 429 to the request that left at `acquired_at`; return whether it is new.

        A request that left before the last 429 arrived belongs to the same incident.
        """
        if acquired_at <= self._cut_at:
            return False
        new = acquired_at > self._incident_at
        if new:
            self._incident_at = now
            if not self._accepted_since:
                return True
            self._accepted_since = False
        self._recent.append(_Response(now, self.rate, limited=True, first=new))
        if new:
            self._decide(now)
        return new

    def accepted(self, now: float) -> None:
        """Record a request that was not limited: after a cut the rate rises while there is traffic.

        Time without requests does not prove a higher rate: it counts as that of two requests.
        """
        checked = len(self._recent) >= self.CHECKED
        self._accepted_since = True
        self._recent.append(_Response(now, self.rate, limited=False, first=False))
        if self._limit is not None and checked:
            self._risen_for += min(max(0.0, now - self._last_accepted), 2 / self.rate)
            self.rate = min(self.ceiling, max(self.rate, self._risen_rate(self._limit)))
            if self.rate >= self.ceiling:
                self._forget_limit()
        self._last_accepted = now

    def _decide(self, now: float) -> None:
        """Find, confirm or forget the limit after the first 429 of an incident."""
        if self._limit is None:
            if self._overloaded():
                self._cut(min(self.rate, self._accepted_rate(now)), now)
        elif len(self._recent) >= self.CHECKED:  # risen, and still limited
            self._rise = min(self.LONGEST_RISE, self._rise * 2)
            # Services save up what is not used: the present rate was accepted only for a while.
            self._cut(self._recent[self.CHECKED // 2].rate, now)
            self._doubted = False
        elif sum(one.first for one in self._recent) > 1:
            if self._doubted and len(self._recent) > self.EARLY:
                self._forget_limit()
            else:
                self._doubted = len(self._recent) > self.EARLY
                self._cut(self.rate, now)

    def _overloaded(self) -> bool:
        if sum(one.first for one in self._recent) < self.INCIDENTS:
            return False
        limited = [one.limited for one in self._recent]
        return any(sum(limited[-latest:]) >= most for latest, most in self.OVERLOAD)

    def _accepted_rate(self, now: float) -> float:
        """Return the accepted requests per second since the first incident.

        A service answers 429 when its allowance is used up. So between two 429s it accepted just
        what it allows, which is the best estimate of its limit.
        """
        since = next(one.at for one in self._recent if one.first)
        accepted = sum(not one.limited for one in self._recent if one.at >= since)
        return accepted / (now - since) if now > since else 0.0

    def _cut(self, limit: float, now: float) -> None:
        lowest = max(self.rate * self.DEEPEST_CUT, self.ceiling * self.FLOOR)
        self._limit = limit
        self.rate = max(lowest, limit * self.CUT)
        self._cut_at = now
        self._risen_for = 0.0
        self._recent.clear()

    def _forget_limit(self) -> None:
        self._limit, self._doubted = None, False
        self.rate, self._rise = self.ceiling, self.RISE
        self._recent.clear()

    def _risen_rate(self, limit: float) -> float:
        """Return the rate after the present rise: fast, slow near the limit, fast beyond it."""
        return limit * (1 + (1 - self.CUT) * (self._risen_for / self._rise - 1) ** 3)
