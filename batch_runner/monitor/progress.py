"""Shows a run's progress in one of three ways.

On a terminal: a dashboard, redrawn in place. Without one: a line a minute, at every change of
state, and when requests begin to be repeated. With `--json`: one object a line on standard output.
The dashboard is drawn from the journal, so it is the one that `status --watch` shows in another
terminal.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self, TextIO

import anyio
import anyio.to_thread

from batch_runner.engine.context import Run
from batch_runner.engine.summary import RunSummary
from batch_runner.errors import JournalError
from batch_runner.lifecycle import UNFINISHED, ItemStatus
from batch_runner.monitor.dashboard import (
    OTHER_STATUSES,
    count_text,
    is_terminal,
    limited_text,
    live_display,
    render_dashboard,
    state_text,
)
from batch_runner.monitor.snapshot import JobSnapshot, take_snapshot
from batch_runner.util.locale import (
    encodable,
    items_text,
    stop_word,
    submissions_text,
    tr,
    tr_n,
)
from batch_runner.util.shell import command_line
from batch_runner.util.text import duration, printable

log = logging.getLogger(__name__)

#: Seconds between two checks whether a line is due, and between two lines.
TICK, LINE_EVERY = 0.5, 60.0
#: Seconds between two drawings of the dashboard.
DASHBOARD_EVERY = 1.0
#: Seconds of a pause that is not shown: after an isolated 429 it is over before it is read.
SHORT_PAUSE = 0.3
#: Seconds that a problem stays on the dashboard after its last retry.
PROBLEM_FOR = 30.0


@dataclass(frozen=True, slots=True)
class RunProgress:
    """A run at one moment; the fields of `--json`."""

    total: int
    pending: int
    in_flight: int
    downloading: int
    done: int
    failed: int
    rejected: int
    held: int
    download_pending: int
    dropped: int
    submissions: int
    polls: int
    limited: int
    rate: float  # submissions per second: allowed now, or from a snapshot the recent ones
    eta: float | None  # seconds, None while unknown
    state: str  # normal, slowed, paused, or "stopping: REASON"
    problem: str  # the last one

    @classmethod
    def from_run(cls, run: Run) -> Self:
        stats = run.state.stats
        rate = run.context.limiter.rate_now
        return cls(
            **_counted(stats.counts),
            submissions=stats.paid,
            polls=stats.polls,
            limited=stats.limited,
            rate=round(rate, 3),
            eta=_eta(run, stats.to_submit, rate),
            state=_state(run),
            problem=printable(stats.last_problem, 120),
        )

    @classmethod
    def from_snapshot(cls, snapshot: JobSnapshot) -> Self:
        errors = snapshot.errors
        return cls(
            **_counted(snapshot.counts),
            submissions=snapshot.submissions,
            polls=snapshot.run.polls if snapshot.run else 0,
            limited=snapshot.limited,
            rate=round(snapshot.rate, 2),
            eta=round(snapshot.eta.seconds, 1) if snapshot.eta else None,
            state=snapshot.state,
            problem=printable(errors[0][1].message or "", 120) if errors else "",
        )


def _counted(counts: Mapping[ItemStatus, int]) -> dict[str, int]:
    in_flight = (ItemStatus.SUBMITTING, ItemStatus.SUBMITTED)
    return {
        "total": sum(counts.values()),
        "in_flight": sum(counts[status] for status in in_flight),
        **{one.value: counts[one] for one in ItemStatus if one not in in_flight},
    }


def _eta(run: Run, pending: int, rate: float) -> float | None:
    """Return the seconds until all is finished, limited by submissions or by completions."""
    in_flight, tasks = run.context.scheduler.eta(), len(run.context.scheduler)
    if in_flight is None or (pending and not tasks):
        return None
    each = in_flight / max(1, tasks)
    return round(max(pending / rate, (pending + tasks) * each), 1)


def _state(run: Run) -> str:
    context = run.context
    if (stop := run.state.control.stop) is not None:
        return f"stopping: {stop.reason}"
    if context.gate.closed_for(context.clock.monotonic()) > SHORT_PAUSE:
        return "paused"
    full_rate = context.limiter.rate_now >= context.settings.limits.rate.per_second
    return "normal" if full_rate else "slowed"


def progress_line(progress: RunProgress, retried: str = "") -> str:
    """Return one moment as one line; `retried` is the problem that requests are repeated for."""
    parts = [
        tr("{done}/{total} done", done=progress.done, total=progress.total),
        tr("{count} in flight", count=progress.in_flight),
    ]
    parts += [
        count_text(status, count)
        for status in OTHER_STATUSES
        if status is not ItemStatus.PENDING and (count := getattr(progress, status.value))
    ]
    rate = f"{progress.rate:.3g}"
    parts.append(submissions_text(progress.submissions) + tr(" at {rate}/s", rate=rate))
    if progress.limited:
        parts.append(limited_text(progress.limited))
    if progress.eta and progress.done < progress.total:
        left = duration(progress.eta)
        parts.append(tr("about {left} left", left=left))
    if progress.state != "normal":
        parts.append(state_text(progress.state))
    if retried:
        parts.append(tr("retrying: ") + printable(retried, 160))
    return " · ".join(parts)


async def watch_progress(run: Run, *, quiet: bool, as_json: bool) -> None:
    """Show the run until it ends; a display that fails does not end it."""
    if quiet and not as_json:
        return
    try:
        await _watch(run, as_json=as_json)
    except Exception:
        log.exception("the display has failed; the run goes on")


async def _watch(run: Run, *, as_json: bool) -> None:
    if as_json:
        await _print_lines(run, lambda progress, _: _write(sys.stdout, _json_line(progress)))
    elif is_terminal(sys.stderr):
        await _live(run)
    else:
        await _print_lines(run, lambda *shown: _write(sys.stderr, progress_line(*shown)))


async def _print_lines(run: Run, show: Callable[[RunProgress, str], None]) -> None:
    throttle, problem = LineThrottle(), _Problem()
    while True:
        progress, retried = RunProgress.from_run(run), problem.now(run)
        state = f"{progress.state}, retrying" if retried else progress.state
        if throttle.is_due(run.context.clock.monotonic(), state):
            show(progress, retried)
        await anyio.sleep(TICK)


class LineThrottle:
    """Decides when the next line is due: every minute, and when the state changes."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._state = ""

    def is_due(self, now: float, state: str) -> bool:
        """Return whether to print a line now; if so, it counts as printed."""
        soon = self._last is not None and now - self._last < LINE_EVERY
        if soon and state == self._state:
            return False
        self._last, self._state = now, state
        return True


async def _live(run: Run) -> None:
    stats, problem = run.state.stats, _Problem()
    with live_display(sys.stderr, screen=False) as show:
        while True:
            with contextlib.suppress(JournalError, OSError):
                snapshot = await anyio.to_thread.run_sync(take_snapshot, run.context.folder.journal)
                snapshot = replace(snapshot, submissions=stats.paid, limited=stats.limited)
                now: dict[str, Any] = {"state": _state(run), "problem": problem.now(run)}
                limit = run.context.settings.limits.rate
                show(functools.partial(render_dashboard, snapshot, limit, **now))
            await anyio.sleep(DASHBOARD_EVERY)


class _Problem:
    """What is being retried, as long as there were retries recently."""

    def __init__(self) -> None:
        self._retries, self._at = 0, 0.0

    def now(self, run: Run) -> str:
        """Return the present problem, "" if there is none."""
        if run.state.stats.retries != self._retries:
            self._retries, self._at = run.state.stats.retries, run.context.clock.monotonic()
        recent = self._retries and run.context.clock.monotonic() - self._at < PROBLEM_FOR
        return printable(run.state.stats.last_retried) if recent else ""


def _json_line(progress: RunProgress) -> str:
    return json.dumps({"event": "progress", **asdict(progress)})


def _write(stream: TextIO, text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody reads it; the run goes on
        print(encodable(text, stream), file=stream, flush=True)


def _selected_line(selected: Mapping[ItemStatus, int], others: int) -> str:
    items = items_text(sum(selected.values()))
    text = tr("selected: {done} of {items} done", done=selected[ItemStatus.DONE], items=items)
    if not others:
        return text
    rest = tr_n(
        "{count} item was not selected and stays pending",
        "{count} items were not selected and stay pending",
        others,
    )
    return text + tr("; ") + rest


def summary_lines(summary: RunSummary, folder: str, target: Sequence[str]) -> list[str]:
    """Return what to do after a run; `target` names the job in the commands to type next."""
    counts = summary.counts
    lines = []
    # With unfinished items the summary sentence already contains the reason.
    unfinished = any(counts[status] for status in UNFINISHED)
    if summary.stop is not None and summary.exit_code and not unfinished:
        lines.append(
            tr(
                "stopped early: {reason} ({message})",
                reason=stop_word(summary.stop.reason),
                message=printable(summary.stop.message, 300),
            )
        )
    if summary.selected is not None:
        lines.append(_selected_line(summary.selected, summary.not_selected))
    if counts[ItemStatus.HELD]:
        resolve = command_line("resolve", target)
        lines.append(tr("held items may have been paid: {command}", command=resolve))
    if counts[ItemStatus.FAILED] or counts[ItemStatus.REJECTED]:
        status = command_line("status", target)
        lines.append(tr("failed and rejected items: {command}, then `retry`", command=status))
    lines.append(tr("files: {folder}", folder=folder))
    return lines
