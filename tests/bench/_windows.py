"""How many moments lie in the fullest stretch."""

from __future__ import annotations

from collections.abc import Sequence


def most_in(moments: Sequence[float], window: float) -> int:
    """Return the most moments in any stretch of that length, its end not included."""
    most, first = 0, 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= window:
            first += 1
        most = max(most, last - first + 1)
    return most
