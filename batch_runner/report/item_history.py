"""The history of items and runs, computed from the events of the journal."""

from __future__ import annotations

from collections.abc import Iterable

from batch_runner.errors import IllegalTransition
from batch_runner.journal import EventRow, RunRow
from batch_runner.lifecycle import Event, ItemStatus, advance


def did_something(run: RunRow) -> bool:
    """Return whether a run sent a request, stopped early, or has not ended."""
    figures = (run.submissions, run.polls, run.limited, run.retries)
    return any(figures) or bool(run.message) or run.ended_at is None


def total_seconds(runs: Iterable[RunRow], now: float) -> float:
    """Return the seconds that all runs took which did something; `now` is wall clock.

    A run that was killed counts until the next one began at most.
    """
    runs = list(runs)
    limits = [*(run.started_at for run in runs[1:]), now]
    spans = (
        (run.ended_at or limit) - run.started_at
        for run, limit in zip(runs, limits, strict=False)
        if did_something(run)
    )
    return sum(max(0.0, span) for span in spans)


def end_of_previous_run(runs: list[RunRow]) -> float | None:
    """Return when the run before the last ended; None if there is no such run."""
    if len(runs) < 2:
        return None
    return runs[-2].ended_at or runs[-1].started_at


def status_at(events: Iterable[EventRow], moment: float) -> ItemStatus | None:
    """Return the status of an item at `moment`; None if it was not listed yet, or is unknown."""
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
        return None  # its first events were not loaded


def rates_per_minute(run: RunRow) -> list[list[float]]:
    """Return the run's samples as rates: [seconds since start, submissions, polls, 429s].

    Samples in the journal are totals, so that a row that was not written loses nothing.
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
