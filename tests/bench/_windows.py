"""The largest number of events in any window of time."""

from __future__ import annotations

from collections.abc import Sequence


def most_in(times: Sequence[float], window: float) -> int:
    """Return the most events in any window of that length; the end of a window is excluded."""
    most, first = 0, 0
    for last, time in enumerate(times):
        while time - times[first] >= window:
            first += 1
        most = max(most, last - first + 1)
    return most
