"""When a run must end: `limits.run_for` and `limits.until`, whichever comes first."""

from __future__ import annotations

from datetime import datetime, timedelta

from batch_runner.engine.clock import Clock
from batch_runner.settings import Limits


class Deadline:
    """The end of a run; the time for which the computer sleeps counts."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        """`seconds` from now."""
        self._clock = clock
        self._at = clock.monotonic() + clock.suspended() + seconds

    @property
    def left(self) -> float:
        """Return the seconds that are left, below zero after the deadline."""
        return self._at - self._clock.monotonic() - self._clock.suspended()


def seconds_left(limits: Limits, now: datetime | None = None) -> float | None:
    """Return the seconds from `now` (local time) to the end of a run, None if it has none."""
    ends = []
    if limits.run_for is not None:
        ends.append(limits.run_for)
    if limits.until is not None:
        ends.append(_until(limits.until, now or datetime.now().astimezone()))
    return min(ends, default=None)


def _until(clock: str, now: datetime) -> float:
    """Return the seconds until local clocks next show `clock`; the UTC offset may change."""
    hour, minute = (int(part) for part in clock.split(":"))
    today = now.replace(tzinfo=None, hour=hour, minute=minute, second=0, microsecond=0)
    # When clocks are set back, a time of day comes twice; `fold` tells the two apart.
    moments = (
        (today + timedelta(days=day)).replace(fold=fold) for day in (0, 1) for fold in (0, 1)
    )
    seconds = ((moment.astimezone() - now).total_seconds() for moment in moments)
    return min(left for left in seconds if left > 0)
