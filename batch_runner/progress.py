"""What the operator sees during a run: computed once from the tally, shown in three ways.

On a terminal one live line; without one, a line a minute and at every change of weather; with
`--json`, the same facts as one object a line on standard output.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import anyio

from batch_runner.lifecycle import ItemStatus
from batch_runner.text import duration, printable

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.run import Summary
    from batch_runner.shift import Shift

#: Seconds between two looks, and between two plain lines.
TICK, PLAIN_EVERY = 0.5, 60.0


@dataclass(frozen=True, slots=True)
class Facts:
    """One moment of a run."""

    total: int
    pending: int
    in_flight: int
    fetching: int
    done: int
    failed: int
    refused: int
    held: int
    unfetched: int
    creates: int
    polls: int
    limited: int
    pace: float  # creates a second that are allowed now
    eta: float | None  # seconds, None while unknown
    weather: str  # one word for how it goes
    problem: str  # the last one


def facts_of(shift: Shift) -> Facts:
    """Return how the run stands now."""
    tally, counts = shift.tally, shift.tally.counts
    pace = shift.pacer.rate_now
    return Facts(
        total=tally.total,
        pending=counts[ItemStatus.PENDING],
        in_flight=counts[ItemStatus.SUBMITTED] + counts[ItemStatus.SUBMITTING],
        fetching=counts[ItemStatus.FETCHING],
        done=counts[ItemStatus.DONE],
        failed=counts[ItemStatus.FAILED],
        refused=counts[ItemStatus.REFUSED],
        held=counts[ItemStatus.HELD],
        unfetched=counts[ItemStatus.UNFETCHED],
        creates=tally.creates,
        polls=tally.polls,
        limited=tally.limited,
        pace=round(pace, 3),
        eta=_eta(shift, counts[ItemStatus.PENDING], pace),
        weather=_weather(shift),
        problem=printable(tally.last_problem, 120),
    )


def _eta(shift: Shift, pending: int, pace: float) -> float | None:
    in_flight = shift.schedule.eta()
    return None if in_flight is None else round(max(in_flight, pending / pace), 1)


def _weather(shift: Shift) -> str:
    if (stop := shift.control.stop) is not None:
        return f"stopping: {stop.reason}"
    if shift.gate.closed_for(shift.clock()) > 0:
        return "paused by the service"
    return "fair" if shift.pacer.rate_now >= shift.settings.limits.pace.per_second else "slowed"


def line_of(facts: Facts) -> str:
    """Return one moment as one line."""
    parts = [f"{facts.done}/{facts.total} done", f"{facts.in_flight} in flight"]
    rest = ("fetching", "failed", "refused", "held", "unfetched")
    parts += [f"{count} {name}" for name in rest if (count := getattr(facts, name))]
    parts.append(f"{facts.creates} creates at {facts.pace:g}/s")
    if facts.limited:
        parts.append(f"{facts.limited} x 429")
    if facts.eta is not None and facts.done < facts.total:
        parts.append(f"about {duration(facts.eta)} left")
    if facts.weather != "fair":
        parts.append(facts.weather)
    return " · ".join(parts)


async def watch_progress(shift: Shift, *, quiet: bool, as_json: bool) -> None:
    """Show the run until it ends."""
    if quiet and not as_json:
        return
    if as_json:
        await _print_lines(shift, lambda facts: _write(sys.stdout, _json_line(facts)))
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        await _live(shift)
    else:
        await _print_lines(shift, lambda facts: _write(sys.stderr, line_of(facts)))


async def _print_lines(shift: Shift, show: object) -> None:
    last, weather = -PLAIN_EVERY, ""
    while True:
        facts, now = facts_of(shift), shift.clock()
        if now - last >= PLAIN_EVERY or facts.weather != weather:
            show(facts)  # type: ignore[operator]
            last, weather = now, facts.weather
        await anyio.sleep(TICK)


async def _live(shift: Shift) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    def picture() -> Table:
        facts = facts_of(shift)
        table = Table.grid(padding=(0, 1))
        table.add_row(
            ProgressBar(total=max(1, facts.total), completed=facts.done, width=30), line_of(facts)
        )
        return table

    with Live(picture(), console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        while True:
            live.update(picture(), refresh=True)
            await anyio.sleep(TICK)


def _json_line(facts: Facts) -> str:
    return json.dumps({"event": "progress", **asdict(facts)})


def _write(stream: object, text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody looks any more; the run goes on
        print(text, file=stream, flush=True)  # type: ignore[call-overload]


def summary_lines(summary: Summary, folder: Path) -> list[str]:
    """Return how a run ended, for people."""
    counts = summary.counts
    total = sum(counts.values())
    lines = [
        f"{counts[ItemStatus.DONE]} of {total} items done, {summary.creates} creates in this run "
        f"({summary.spent} in all), {duration(summary.seconds)}"
    ]
    rest = [
        f"{count} {status}"
        for status, count in counts.items()
        if count and status is not ItemStatus.DONE
    ]
    if rest:
        lines.append("not done: " + ", ".join(rest))
    if summary.stop is not None and summary.exit_code:
        lines.append(f"stopped early: {printable(summary.stop.message, 300)}")
    if counts[ItemStatus.HELD]:
        lines.append("held items may have been paid: see `batch-runner resolve`")
    if counts[ItemStatus.FAILED] or counts[ItemStatus.REFUSED]:
        lines.append("failed and refused items: see `batch-runner status`, then `retry`")
    lines.append(f"files: {folder}")
    return lines
