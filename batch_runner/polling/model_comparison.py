"""Which of two ways to foretell a look is to be believed, found out by holding both to their word.

Each foretells, for a look some time after the last, how likely it is to find the end. The two are
compared by how probable they held what was then seen. The challenger must win clearly before it is
believed, and can save up only so much, so that one that begins to err is found out.
"""

from __future__ import annotations

import math

_PROVEN = 3.0  # nats by which the challenger must have foretold better before it is believed
_MOST_PROVEN = 20.0  # and what it can save up, or owe
_SURPRISE = 3.0  # nats that one look counts, at most


class ModelComparison:
    """The score of a challenger against whom it challenges."""

    def __init__(self, proof: float = 0.0) -> None:
        """`proof` is what an earlier contest left; see the property.

        Raises:
            ValueError: it is no number.
        """
        if not math.isfinite(proof):
            raise ValueError(f"wanted a number of nats, not {proof}")
        self._proof = max(-_MOST_PROVEN, min(_MOST_PROVEN, proof))

    @property
    def proof(self) -> float:
        """Return the nats by which the challenger has foretold better."""
        return self._proof

    @property
    def won(self) -> bool:
        """Say whether the challenger is believed."""
        return self._proof >= _PROVEN

    def hold(self, challenger: float, holder: float, *, ended: bool) -> None:
        """Compare what both foretold for a look, as the hazard cumulated since the last one."""
        gain = _log_ended(challenger) - _log_ended(holder) if ended else holder - challenger
        self._proof += max(-_SURPRISE, min(_SURPRISE, gain))
        self._proof = max(-_MOST_PROVEN, min(_MOST_PROVEN, self._proof))


def _log_ended(hazard: float) -> float:
    """Return the log of the probability to end within a stretch of that much hazard."""
    return math.log(max(1e-300, -math.expm1(-hazard)))
