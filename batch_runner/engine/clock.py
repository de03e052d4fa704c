"""The clocks and random numbers of a run, in one object that a test can replace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Three clocks and a source of random numbers."""

    monotonic: Callable[[], float]  #: event loop time, for everything that is waited for
    wall: Callable[[], float]  #: seconds since the epoch
    suspended: Callable[[], float]  #: seconds of the computer's sleep, not in `monotonic`
    random: Random  #: for jitter
