"""A pause shared by all requests to one service."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable


class PauseGate:
    """One "not before" time, shared by all requests to one service."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._opens_at = -math.inf

    def close(self, seconds: float) -> None:
        """Close the gate for `seconds` from now; an earlier, longer pause stays."""
        self._opens_at = max(self._opens_at, self._clock() + seconds)

    def closed_for(self, now: float) -> float:
        """Return the seconds from `now` until the gate opens, 0 when it is open."""
        return max(0.0, self._opens_at - now)

    async def wait(self) -> None:
        """Wait until the gate is open, also when it is closed again meanwhile."""
        while (seconds := self.closed_for(self._clock())) > 0:  # noqa: ASYNC110  it may move
            await asyncio.sleep(seconds)
