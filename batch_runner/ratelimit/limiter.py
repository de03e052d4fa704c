"""The rate limiter of one process.

Theory of operation. A token is the right to send one request now. `acquire` gives tokens one by
one, in the order they were asked for, when these allow it:

* the **pause gate** is open: a 429 closes it for all requests to the service, for at least
  Retry-After;
* the **bucket** (aiolimiter) has room. It is small and starts full, so there is no burst at the
  start, and after a stalled event loop at most some 20 ms of requests are made up for. Its rate
  cannot be changed while it runs, so at a lower rate each token is charged more units:
  ceiling ÷ rate;
* the **window** has room: no interval of the limit's period ever contains more tokens than its
  count. The interval is taken a little longer than the period, because what happens between a
  token and the request (a commit, a handshake) moves requests closer together by milliseconds;
* the **shared rate** of all runs with the same service and key has a slot for this one.

A submission may not leave before its intent is committed, and commits are shared: all that waited
for one commit would leave together. So at a rate where that matters each request leaves the same
time after its token (`align`), which restores the distances that the tokens had. After a commit
that takes longer, requests would leave together with those of later tokens, more than the limit
allows. So requests have a window of their own. It is shorter than that of the tokens; otherwise the
wait after one late request would stay for all that follow.

The processes of other hosts do not see that window. So with them (`renew_late`) each request leaves
a little more than the usual time after its token, and one that is later still needs another token:
fewer are sent while commits are irregular, and never more.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable

from aiolimiter import AsyncLimiter

from batch_runner.ratelimit.adaptive_rate import AdaptiveRate
from batch_runner.ratelimit.base import SharedTokens
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.ratelimit.window import STRETCH, Window
from batch_runner.units import Rate

log = logging.getLogger(__name__)

# Seconds of requests that may be sent at once: after a late timer (the first), and above 100 per
# second, where timers of a millisecond are too coarse for single requests (the second).
_CATCH_UP, _BURST = 0.01, 0.02

# Seconds of requests that are charged at once, so that not each of 1,000 per second wakes the loop.
_CHARGED_AT_ONCE = 0.004

# Seconds from a token to its request, kept from this rate on and while this part of the limit is
# used; otherwise a shift of some milliseconds exceeds nothing. Little more than a commit takes: an
# item whose process is killed meanwhile is held although nothing was sent.
_LAG, _ALIGNED_FROM, _ALIGNED_USE = 0.01, 50.0, 0.9

# With other hosts: seconds beyond the usual time from a token to its request that every request
# waits, from this rate on. What differs less from request to request changes no distances.
_LAG_OF_HOSTS, _ALIGNED_HOSTS_FROM = 0.02, 10.0

# Seconds beyond the usual time from a token to its request after which the request needs another
# token; and how much of that usual time the latest request is.
_LATE, _LATEST_PART = 0.05, 0.1

# Seconds that all requests wait after a 429 that names no time: at first, and at most. Doubled each
# time that nothing was accepted in between.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0

_EPSILON = 1e-9  # of a token: rounding, not a debt


class LocalRateLimiter:
    """`RateLimiter` of one process; see the module's docstring."""

    def __init__(
        self,
        rate: Rate,
        *,
        gate: PauseGate,
        clock: Callable[[], float],
        random: random.Random,
        what: str = "requests",
        shared: SharedTokens | None = None,
        renew_late: bool = False,
    ) -> None:
        """`what` is limited, for the log; `shared` with other runs, None: not at all.

        `renew_late`: a request that is late needs another token of the shared rate.
        """
        self._renew_late = renew_late
        self._what = what
        self._gate = gate
        self._clock = clock
        self._random = random
        self._shared = shared
        self._adaptive = AdaptiveRate(rate.per_second)
        self._window = Window(rate)
        slow = rate.per_second <= _ALIGNED_FROM  # at a slow rate nothing waits for one that is late
        self._sent = Window(rate, stretch=STRETCH / 2, extra=1 if slow else 0)
        self._bucket: AsyncLimiter | None = None  # belongs to the event loop that first asks
        self._turn = asyncio.Lock()  # first come, first served
        self._paid = 0.0  # units charged in advance; survives a cancelled caller
        self._last_token = -math.inf
        self._usual_delay = 0.0  # from a token to its request
        self._unaccepted = 0  # incidents since a request was accepted

    @property
    def rate_now(self) -> float:
        """Return the present rate in requests per second: the limit, or less after many 429s."""
        rate = self._adaptive.rate
        return rate if self._shared is None else min(rate, self._shared.rate_now)

    async def acquire(self) -> float:
        """Wait for a token and return the time it was given at."""
        async with self._turn:
            while True:
                now = self._clock()
                if wait := self._gate.closed_for(now):
                    await asyncio.sleep(wait)
                elif self._price - self._paid > _EPSILON:
                    await self._charge()
                elif wait := self._wait_for_room(now):
                    await asyncio.sleep(wait)
                else:
                    self._paid -= self._price
                    self._last_token = now
                    self._window.add(now)
                    return now

    async def align(self, acquired_at: float) -> None:
        """Wait until the request whose token was given at `acquired_at` should be sent."""
        now = self._clock()
        if self._renew_late and self._shared is not None:
            lag = self._usual_delay + _LAG_OF_HOSTS
            if self._is_late(now - acquired_at):
                acquired_at = now = await self._acquire_again(self._shared)
            aligned = self._adaptive.rate >= _ALIGNED_HOSTS_FROM
        else:
            lag, fast = _LAG, self._adaptive.rate > _ALIGNED_FROM
            aligned = fast and self._window.is_used(now, _ALIGNED_USE)
        if aligned and (wait := acquired_at + lag - now) > 0:
            await asyncio.sleep(wait)
        now = self._clock()
        wait = self._sent.full_for(now)
        self._sent.add(now + wait)  # at once, so that those that wait do not all wake for one place
        if wait > 0:
            await asyncio.sleep(wait)

    def _is_late(self, delay: float) -> bool:
        """Return whether a request would leave together with those of other processes.

        A delay that all requests have, by the way to a database, changes no distances.
        """
        usual = self._usual_delay
        self._usual_delay += (delay - usual) * _LATEST_PART
        return delay > usual + _LATE

    async def _acquire_again(self, shared: SharedTokens) -> float:
        while True:
            now = self._clock()
            if not (wait := self._gate.closed_for(now) or shared.take(now)):
                return now
            await asyncio.sleep(wait)

    def limited(self, retry_after: float | None, *, acquired_at: float | None = None) -> None:
        """Record a 429: close the gate for all requests, once per incident; adapt the rate."""
        at = self._last_token if acquired_at is None else acquired_at
        pause, before = 0.0, self._adaptive.rate
        if self._adaptive.limited(self._clock(), acquired_at=at):
            longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._unaccepted, 30))
            pause = self._random.uniform(longest / 2, longest)
            self._unaccepted += 1
        self._gate.close(max(retry_after or 0.0, pause))
        self._log_change(before)

    def accepted(self) -> None:
        """Record that a request was not limited: after a cut the rate rises again."""
        self._unaccepted = 0
        before = self._adaptive.rate
        self._adaptive.accepted(self._clock())
        self._log_change(before)

    def _log_change(self, before: float) -> None:
        """Log that the rate was reduced, or that it is as configured again."""
        rate, ceiling = self._adaptive.rate, self._adaptive.ceiling
        if rate < before:
            text = "many 429 responses: %s are reduced from %.3g/s to %.3g/s"
            log.info(text, self._what, before, rate)
        elif before < rate == ceiling:
            log.info("%s are sent at %.3g/s again", self._what, rate)

    def _wait_for_room(self, now: float) -> float:
        """Return the seconds until window, reduced rate and shared rate allow a token, 0 if now.

        The slot of the shared rate is taken last, so none is taken that cannot be used.
        """
        if wait := self._window.full_for(now) or self._too_soon(now):
            return wait
        return 0.0 if self._shared is None else self._shared.take(now)

    def _too_soon(self, now: float) -> float:
        """Return the seconds until the next token is due at a reduced rate.

        What the bucket holds after a pause would make two requests leave together, and the second
        one's 429 would look like one of the rate.
        """
        distance = 1 / self._adaptive.rate
        if self._adaptive.rate >= self._adaptive.ceiling or distance < _BURST:
            return 0.0
        return max(0.0, self._last_token + distance - now)

    @property
    def _price(self) -> float:
        """Return the units of the bucket that a token costs; the bucket's rate is the ceiling."""
        return self._adaptive.ceiling / self._adaptive.rate

    async def _charge(self) -> None:
        """Pay for one token: an expensive one in parts, cheap ones a few at a time."""
        bucket = self._bucket or await self._fill_bucket()
        few = max(1.0, self._adaptive.ceiling * _CHARGED_AT_ONCE)
        while (due := self._price - self._paid) > _EPSILON:
            part = few if due >= 1 - _EPSILON else due
            await bucket.acquire(part)
            self._paid += part

    async def _fill_bucket(self) -> AsyncLimiter:
        """Create the bucket, with room for the first request and no more."""
        rate = self._adaptive.ceiling
        size = max(1 + rate * _CATCH_UP, rate * _BURST)
        self._bucket = AsyncLimiter(size, size / rate)
        await self._bucket.acquire(size - 1)
        return self._bucket
