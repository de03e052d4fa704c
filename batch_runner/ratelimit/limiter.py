"""How fast creates (and polls) may leave: an even pace, and what a 429 teaches about it.

Theory of operation. A token is the right to send one request now. `RateLimiter.token` gives them
out one by one, in the order they were asked for, when three things agree:

* the **gate** is open: one moment, shared by everything that talks to one service, before which
  nobody asks again. A 429 closes it for all, with Retry-After as a floor;
* the **bucket** (aiolimiter) has room. It starts full and is small: no burst at the start, and
  after a stalled loop at most some 20 ms of requests are caught up. Its rate cannot be changed
  while it runs, so at a lower rate each token is charged more units: ceiling ÷ rate;
* the **window** has room: no stretch of the limit's period ever holds more tokens than its count.
  The stretch is taken a little longer than the period, because what happens between a token and
  the wire (a commit, a handshake) moves requests closer together by some milliseconds.

A create may not leave before its intent is on the disk, and commits are shared: what waited for one
would leave in a bunch. So at a pace where that matters each request leaves the same time after its
token (`RateLimiter.in_step`), which brings back the spacing that the tokens had.

What the service allows is rarely what the operator configured. `AdaptiveRate` finds it out as TCP
CUBIC finds the width of a path: a 429 cuts the rate once, the rate that drew it is remembered, and
the way back is quick at first, slow near that rate, and slow beyond. Each further 429 near the same
rate makes the way back slower, so a night at a service's limit draws few of them.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable

from aiolimiter import AsyncLimiter

from batch_runner.units import Rate

# Part of the period, and seconds at most, by which the window is stretched: what a commit and a
# handshake shift a request by. It costs as much utilisation as it protects.
_STRETCH, _LONGEST_STRETCH = 0.006, 0.02

# The window remembers one moment a token; longer windows are cut into shorter ones of this count.
_MOST_MOMENTS = 10_000

# Seconds of requests that may be sent at once: after a late timer (the first), and above 100 a
# second, where timers of a millisecond are too coarse for single requests (the second).
_CATCH_UP, _BURST = 0.01, 0.02

# Seconds of requests that are paid for at once, so that at 1,000 a second not each wakes the loop.
_AT_ONCE = 0.004

# Seconds from a token to the wire, kept to from this rate on, and while this part of the limit is
# used: else a shift of some milliseconds exceeds nothing. Little more than a commit takes, for what
# is killed meanwhile must be held although it never left.
_LAG, _EVEN_FROM, _EVEN_USED = 0.01, 50.0, 0.9

# Seconds that everyone waits after a 429 that names no time: from the first, doubled each time that
# nothing was accepted in between, to the second.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0

_NOTHING = 1e-9  # of a token: what is owed no more


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


class PauseGate:
    """One "not before" for everyone who asks one service."""

    def __init__(self, clock: Callable[[], float] = _loop_time) -> None:
        self._clock = clock
        self._opens_at = -math.inf

    def close(self, seconds: float) -> None:
        """Let nobody pass for `seconds` from now; never opens earlier than asked before."""
        self._opens_at = max(self._opens_at, self._clock() + seconds)

    def closed_for(self, now: float) -> float:
        """Return the seconds from `now` until it opens, 0 when it is open."""
        return max(0.0, self._opens_at - now)

    async def passed(self) -> None:
        """Wait until the gate is open, also when it is closed further meanwhile."""
        while (seconds := self.closed_for(self._clock())) > 0:  # noqa: ASYNC110  it may move
            await asyncio.sleep(seconds)


class AdaptiveRate:
    """The rate that the service has been found to bear, in requests a second; no I/O, no clock.

    Every method takes the moment it happens at, so a night is a table of calls.
    """

    CUT = 0.25  # a 429 out of the blue: nothing is known about the true limit
    CUT_AGAIN = 0.7  # a 429 soon after a cut
    CUT_KNOWN = 0.95  # a 429 near a rate that was borne for long: the limit is where we thought
    DEEPEST_CUT = 1 / 8
    FLOOR = 1 / 1000  # of the ceiling: a rate of nothing would never hear that things are better
    PLATEAU = 0.97  # of the rate that drew a 429: where the way back becomes slow
    RETURN, LONGEST_RETURN = 40.0, 480.0  # seconds from a cut to the plateau
    STEEPEST = 0.04  # growth a second, at most
    MEASURED = 5.0  # seconds between two 429s that tell the limit, at least

    def __init__(self, ceiling: float) -> None:
        self.ceiling = self.rate = ceiling
        self.incidents = 0
        self._base = self._plateau = ceiling  # what the last cut left; where to climb back to
        self._return = self.RETURN
        self._climbed = 0.0  # seconds of traffic since the last cut
        self._cut_at = self._last_accept = -math.inf
        self._began: float | None = None  # when counting of what is accepted began
        self._accepted = 0

    def limited(self, now: float, *, sent: float) -> bool:
        """Note a 429 to a request that left at `sent`; return whether it begins a new incident.

        What left before the last cut left at the old rate: its 429 says nothing new.
        """
        if sent <= self._cut_at:
            return False
        if self.incidents and not self._accepted:
            self._cut_at = now  # still closed: that says nothing about the rate
            return True
        drew, known = self.rate, self.incidents > 0 and self.rate > self._plateau * self.CUT_KNOWN
        borne = self._borne(now)
        if known:
            wanted = drew * self.CUT_KNOWN
        elif borne is not None:
            wanted = min(borne, drew) * self.CUT_KNOWN
        else:
            wanted = drew * (self.CUT_AGAIN if self.incidents else self.CUT)
        # Only who climbed in peace for a while has found the limit, and takes longer next time.
        found = known and self._climbed > self.MEASURED
        self._return = min(self.LONGEST_RETURN, self._return * 2) if found else self.RETURN
        lowest = max(drew * self.DEEPEST_CUT, self.ceiling * self.FLOOR)
        self.rate = self._base = max(lowest, wanted)
        self._plateau = max(self._base, drew * self.PLATEAU)
        self.incidents += 1
        self._cut_at = self._began = now
        self._accepted, self._climbed = 0, 0.0
        return True

    def accepted(self, now: float) -> None:
        """Note a request that was not limited: the rate climbs while there is traffic."""
        if self._began is None:
            self._began = now
        self._accepted += 1
        if self.rate >= self.ceiling:
            return
        # A pause proves nothing about the service: it counts as two requests' worth of time.
        since = max(0.0, now - max(self._last_accept, self._cut_at))
        step = min(since, 2 / self.rate)
        self._last_accept = now
        self._climbed += step
        steepest = self.rate * math.exp(self.STEEPEST * step)
        self.rate = min(self.ceiling, steepest, max(self.rate, self._climb(self._climbed)))

    def _borne(self, now: float) -> float | None:
        """Return what the service accepted a second since the last 429, None if that is too short.

        A service says 429 when its allowance is used up, so between two 429s it accepted just
        what it allows: the best estimate of the true limit that can be had.
        """
        if self._began is None or now - self._began < self.MEASURED:
            return None
        return self._accepted / (now - self._began)

    def _climb(self, seconds: float) -> float:
        """Return the rate after so many seconds of traffic since the cut: CUBIC's curve."""
        left = 1 - seconds / self._return
        reach = self._plateau - self._base
        if left < 0:
            reach = max(reach, self._plateau / 10)
        return self._plateau - reach * left**3


class _Window:
    """The moments of the last tokens: at most `count` of them in any `seconds`."""

    def __init__(self, rate: Rate) -> None:
        # 2.5/s is held as 3 in 1.2 s: the same mean, and a whole number.
        whole = max(1, math.ceil(rate.count - 1e-9))
        parts = math.ceil(whole / _MOST_MOMENTS)
        count = whole // parts
        seconds = rate.seconds * whole / rate.count / parts
        self._seconds = seconds + min(seconds * _STRETCH, _LONGEST_STRETCH)
        self._moments: deque[float] = deque(maxlen=count)

    def full_for(self, now: float) -> float:
        """Return the seconds until one more token fits."""
        if len(self._moments) < (self._moments.maxlen or 0):
            return 0.0
        return max(0.0, self._moments[0] + self._seconds - now)

    def used(self, now: float, part: float) -> bool:
        """Say whether at least `part` of what fits has been used of late."""
        full = len(self._moments) == self._moments.maxlen
        return full and (now - self._moments[0]) * part < self._seconds

    def note(self, now: float) -> None:
        """Count a token given now."""
        self._moments.append(now)


class RateLimiter:
    """Gives out the right to send one request at a time, at a rate; see the module's opening."""

    def __init__(
        self,
        rate: Rate,
        *,
        gate: PauseGate,
        clock: Callable[[], float],
        random: random.Random,
    ) -> None:
        self._gate = gate
        self._clock = clock
        self._random = random
        self._adaption = AdaptiveRate(rate.per_second)
        self._window = _Window(rate)
        self._bucket: AsyncLimiter | None = None  # belongs to the loop that first asks
        self._turn = asyncio.Lock()  # first come, first served
        self._paid = 0.0  # units charged ahead; survives a cancelled caller
        self._last_token = -math.inf
        self._fruitless = 0  # incidents since something was accepted

    @property
    def rate_now(self) -> float:
        """Return the present rate in requests a second: the ceiling, or less after a 429."""
        return self._adaption.rate

    async def token(self) -> float:
        """Wait for the right to send one request and return the moment it was given.

        Callers are served in the order they came; one that is cancelled takes no token.
        """
        async with self._turn:
            while True:
                now = self._clock()
                if wait := self._gate.closed_for(now):
                    await asyncio.sleep(wait)
                elif self._price - self._paid > _NOTHING:
                    await self._charge()
                elif wait := self._window.full_for(now):
                    await asyncio.sleep(wait)
                else:
                    self._paid -= self._price
                    self._last_token = now
                    self._window.note(now)
                    return now

    async def in_step(self, given: float) -> None:
        """Wait until the request should leave whose token was given at that moment."""
        now = self._clock()
        wait = given + _LAG - now
        if wait > 0 and self._adaption.rate > _EVEN_FROM and self._window.used(now, _EVEN_USED):
            await asyncio.sleep(wait)

    def limited(self, retry_after: float | None, *, sent: float | None = None) -> None:
        """Slow down after a 429: close the gate for everyone and cut the rate once an incident.

        `retry_after` is in seconds, None when the service named no time. `sent` is what `token`
        returned for the request; without it the latest token is taken.
        """
        now = self._clock()
        if self._adaption.limited(now, sent=self._last_token if sent is None else sent):
            self._fruitless += 1
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._fruitless, 30))
        self._gate.close(max(retry_after or 0.0, self._random.uniform(longest / 2, longest)))

    def accepted(self) -> None:
        """Note that a request was taken: after a cut, the rate climbs back."""
        self._fruitless = 0
        self._adaption.accepted(self._clock())

    @property
    def _price(self) -> float:
        """Return what one token costs in units of the bucket, whose own rate is the ceiling."""
        return self._adaption.ceiling / self._adaption.rate

    async def _charge(self) -> None:
        """Pay for one token: a dear one in pieces, cheap ones a few at a time."""
        bucket = self._bucket or await self._fill()
        few = max(1.0, self._adaption.ceiling * _AT_ONCE)
        while (due := self._price - self._paid) > _NOTHING:
            piece = few if due >= 1 - _NOTHING else due
            await bucket.acquire(piece)
            self._paid += piece

    async def _fill(self) -> AsyncLimiter:
        """Make the bucket, with room for the first request and no more."""
        rate = self._adaption.ceiling
        size = max(1 + rate * _CATCH_UP, rate * _BURST)
        self._bucket = AsyncLimiter(size, size / rate)
        await self._bucket.acquire(size - 1)
        return self._bucket
