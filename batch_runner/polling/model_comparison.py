"""Choose between two models by the log-likelihood of what past polls found.

Each model gives the probability that a poll finds the task completed. The alternative is used only
after it has predicted clearly better. Its gain is bounded, so that it is dropped within about ten
polls if it becomes worse.
"""

from __future__ import annotations

import math

REQUIRED_GAIN = 3.0  #: nats by which the alternative must have predicted better
_MAX_GAIN = 20.0  # nats; also the largest loss
_MAX_GAIN_PER_POLL = 3.0  # nats; also the largest loss


class ModelComparison:
    """How much better an alternative model has predicted polls than the default one."""

    def __init__(self, log_likelihood_gain: float = 0.0) -> None:
        """`log_likelihood_gain` is that of an earlier run.

        Raises:
            ValueError: it is not finite.
        """
        if not math.isfinite(log_likelihood_gain):
            raise ValueError(f"expected a finite number of nats, not {log_likelihood_gain}")
        self._gain = max(-_MAX_GAIN, min(_MAX_GAIN, log_likelihood_gain))

    @property
    def log_likelihood_gain(self) -> float:
        """Return the nats by which the alternative has predicted better."""
        return self._gain

    @property
    def is_better(self) -> bool:
        """Return whether the alternative should be used."""
        return self._gain >= REQUIRED_GAIN

    def update(self, alternative: float, default: float, *, completed: bool) -> None:
        """Compare what both predicted for a poll: the hazard accumulated since the last one."""
        if completed:
            gain = _log_completed(alternative) - _log_completed(default)
        else:
            gain = default - alternative
        self._gain += max(-_MAX_GAIN_PER_POLL, min(_MAX_GAIN_PER_POLL, gain))
        self._gain = max(-_MAX_GAIN, min(_MAX_GAIN, self._gain))


def _log_completed(hazard: float) -> float:
    """Return the log of the probability of completing while that hazard accumulates."""
    return math.log(max(1e-300, -math.expm1(-hazard)))
