"""Tokens of a shared rate that this process has taken and not used yet.

A *slot* is the time from which some tokens may be used, one interval apart. Whoever takes a slot
moves the time of the next free slot on by as many intervals, so slots of all processes follow each
other. A token that is not used soon after its time is lost: others have been given later times
meanwhile, and used late it would add to theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import pbkdf2_hmac

from batch_runner.ratelimit.window import Window
from batch_runner.units import Rate

#: Longest pause of another process that is believed.
LONGEST_PAUSE = 3600.0
#: Above a rate (by default the first) so many seconds of slots that were missed by a late timer are
#: made up for.
_FAST, _CATCH_UP = 100.0, 0.02
#: Part of the interval, and most seconds, by which a slot may be used late.
_LATE, _LATEST = 0.5, 0.05
#: Iterations that hide a weak key from whoever reads the name of its rate.
_HASH_ITERATIONS = 20_000


def rate_name(host: str, key: str) -> str:
    """Return the name of the rate of a service's host and an API key, which it does not reveal."""
    return pbkdf2_hmac("sha256", key.encode(), host.encode(), _HASH_ITERATIONS).hex()[:32]


def interval_of(rate: Rate) -> float:
    """Return the seconds from token to token."""
    return Window(rate).interval


def tolerance_of(rate: Rate, fast: float = _FAST) -> float:
    """Return by how many seconds a token may be late without being lost.

    Above `fast` per second it is worth so many that one more of them does little.
    """
    return Window(rate).stretch if rate.per_second <= fast else _CATCH_UP


@dataclass(slots=True)
class Lease:
    """Some tokens, `interval` seconds apart, the first of them to be used at `slot`."""

    slot: float = -math.inf
    tokens: int = 0
    interval: float = 0.0
    tolerance: float = 0.0

    def usable(self, now: float) -> bool:
        """Return whether there is a token that can be used now or later."""
        late = max(self.tolerance, min(self.interval * _LATE, _LATEST))
        late += self.interval * (self.tokens - 1)
        return self.tokens > 0 and now <= self.slot + late

    def use(self, now: float) -> float:
        """Use a token and return 0, or return the seconds until one may be used."""
        if (wait := self.slot - now) > 0:
            return wait
        self.tokens -= 1
        return 0.0
