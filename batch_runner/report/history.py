"""What the events tell: each item's course, and where it stood when the last run began."""

from __future__ import annotations

from collections.abc import Iterable

from batch_runner.errors import IllegalTransition
from batch_runner.journal import EventRow, RunRow
from batch_runner.lifecycle import Event, ItemStatus, advance


def last_look(runs: list[RunRow]) -> float | None:
    """Return when the operator last saw the job stand still: the end of the run before the last.

    None when there has been one run only, or none.
    """
    if len(runs) < 2:
        return None
    return runs[-2].ended_at or runs[-1].started_at


def status_at(events: Iterable[EventRow], moment: float) -> ItemStatus | None:
    """Return where an item stood at `moment`; None when it was not listed yet, or is unknown."""
    status: ItemStatus | None = None
    for event in events:
        if event.at > moment:
            return status
        status = _after(status, event)
    return status


def _after(status: ItemStatus | None, event: EventRow) -> ItemStatus | None:
    if event.event == Event.LISTED:
        return ItemStatus.PENDING
    try:
        return advance(status, Event(event.event)) if status else None
    except (IllegalTransition, ValueError):
        return None  # the beginning of its course was not read


def by_minute(run: RunRow) -> list[list[float]]:
    """Return the run's weather as rates: seconds since start, creates, polls and 429s a minute.

    In the journal the weather counts up, so that a row that was not written loses nothing.
    """
    rates = []
    before: list[float] = [0.0, 0.0, 0.0, 0.0]
    for row in run.samples:
        if row[0] > before[0]:
            minutes = (row[0] - before[0]) / 60
            grown = zip(row[1:4], before[1:4], strict=True)
            rates.append([row[0], *(round((now - then) / minutes, 2) for now, then in grown)])
            before = row
    return rates
