"""A pause shared by all requests to one service."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from batch_runner.ratelimit.base import SharedTokens


class PauseGate:
    """One "not before" time, shared by all requests to one service."""

    def __init__(self, clock: Callable[[], float], shared: SharedTokens | None = None) -> None:
        """`shared`: with the other runs that use the same service and key; None: with none."""
        self._clock = clock
        self._shared = shared
        self._opens_at = -math.inf

    def close(self, seconds: float, *, local: bool = False) -> None:
        """Close the gate for `seconds` from now; an earlier, longer pause stays.

        `local`: for a reason on this side, which is no other run's.
        """
        now = self._clock()
        self._opens_at = max(self._opens_at, now + seconds)
        if self._shared is not None and not local:
            self._shared.pause(now, seconds)

    def closed_for(self, now: float) -> float:
        """Return the seconds from `now` until the gate opens, 0 when it is open."""
        closed = max(0.0, self._opens_at - now)
        return closed if self._shared is None else max(closed, self._shared.paused_for(now))

    async def wait(self) -> None:
        """Wait until the gate is open, also when it is closed again meanwhile."""
        while (seconds := self.closed_for(self._clock())) > 0:  # noqa: ASYNC110  it may move
            await asyncio.sleep(seconds)
