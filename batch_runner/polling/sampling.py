"""Choose the tasks whose durations are learned if very many are submitted."""

from __future__ import annotations

import math

_PER_SECOND, _BURST = 100.0, 500.0  # sampled tasks
_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


class GoldenRatioSampler:
    """Samples all tasks up to a burst of 500, and about 100 a second after that.

    The multiples of the golden ratio, modulo 1, are evenly distributed. With a fixed step, every
    tenth task could be of one kind if a manifest lists ten kinds in turn.
    """

    def __init__(self) -> None:
        self._available, self._updated_at = _BURST, -math.inf
        self._phase = 0.0

    def sample(self, now: float) -> bool:
        """Return whether to learn from a task that is submitted now."""
        earned = _PER_SECOND * max(0.0, now - self._updated_at)
        self._available, self._updated_at = min(_BURST, self._available + earned), now
        self._phase = (self._phase + _GOLDEN_RATIO) % 1
        if self._phase * _BURST >= 2 * self._available:  # rarer, the fewer are available
            return False
        self._available -= 1
        return True
