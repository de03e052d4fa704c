"""What the operator sees of a run: its facts, shown in three ways, in the reader's language.

On a terminal a picture, redrawn in place; without one, a line a minute and at every change of
weather; with `--json`, the same facts as one object a line on standard output. The picture is drawn
from the journal, so the run shows just what `status --watch` shows in another terminal.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import anyio
import anyio.to_thread

from batch_runner.engine.context import Run
from batch_runner.engine.summary import RunSummary
from batch_runner.errors import JournalError
from batch_runner.lifecycle import UNFINISHED, ItemStatus
from batch_runner.monitor.dashboard import REST, is_terminal, live_picture, picture, rate_state_text
from batch_runner.monitor.snapshot import JobSnapshot, take_snapshot
from batch_runner.util.locale import (
    Language,
    encodable,
    reader_language,
    status_word,
    stop_word,
    wording,
)
from batch_runner.util.shell import command_line
from batch_runner.util.text import duration, printable

#: Seconds between two looks, and between two plain lines.
TICK, PLAIN_EVERY = 0.5, 60.0
#: Seconds between two pictures.
PICTURE_EVERY = 1.0
log = logging.getLogger(__name__)

#: Seconds that a problem stays in the picture after its last retry.
PROBLEM_FOR = 30.0


@dataclass(frozen=True, slots=True)
class RunProgress:
    """One moment of a run."""

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
    rate: float  # creates a second that are allowed now
    eta: float | None  # seconds, None while unknown
    state: str  # one word for how it goes
    problem: str  # the last one


def facts_of(run: Run) -> RunProgress:
    """Return how the run stands now."""
    stats = run.state.stats
    rate = run.context.limiter.rate_now
    return RunProgress(
        **_counted(stats.counts),
        submissions=stats.paid,
        polls=stats.polls,
        limited=stats.limited,
        rate=round(rate, 3),
        eta=_eta(run, stats.counts[ItemStatus.PENDING], rate),
        state=_rate_state(run),
        problem=printable(stats.last_problem, 120),
    )


def facts_seen(look: JobSnapshot) -> RunProgress:
    """Return how a run stands as its journal tells it; `rate` is what was created lately."""
    return RunProgress(
        **_counted(look.counts),
        submissions=look.submissions,
        polls=look.run.polls if look.run else 0,
        limited=look.limited,
        rate=round(look.rate, 2),
        eta=round(look.eta.seconds, 1) if look.eta else None,
        state="slowed" if look.limited_lately else "fair",
        problem=printable(look.errors[0][1].message or "", 120) if look.errors else "",
    )


def _counted(counts: Any) -> dict[str, int]:
    apart = (ItemStatus.SUBMITTED, ItemStatus.SUBMITTING)
    in_flight = sum(counts[status] for status in apart)
    return {
        "total": sum(counts.values()),
        "in_flight": in_flight,
        **{status.value: counts[status] for status in ItemStatus if status not in apart},
    }


def _eta(run: Run, pending: int, rate: float) -> float | None:
    """Return the seconds until all is finished: as creates go, or as tasks finish, the longer."""
    in_flight, held = run.context.scheduler.eta(), len(run.context.scheduler)
    if in_flight is None or (pending and not held):
        return None
    each = in_flight / max(1, held)
    return round(max(pending / rate, (pending + held) * each), 1)


def _rate_state(run: Run) -> str:
    if (stop := run.state.control.stop) is not None:
        return f"stopping: {stop.reason}"
    if run.context.gate.closed_for(run.context.clock.monotonic()) > 0:
        return "paused by the service"
    return (
        "fair"
        if run.context.limiter.rate_now >= run.context.settings.limits.rate.per_second
        else "slowed"
    )


def line_of(facts: RunProgress, language: Language = "en") -> str:
    """Return one moment as one line."""
    parts = [
        wording(language, f"{facts.done}/{facts.total} done", f"完成 {facts.done}/{facts.total}"),
        wording(language, f"{facts.in_flight} in flight", f"生成中 {facts.in_flight}"),
    ]
    for status in REST:
        if status is not ItemStatus.PENDING and (count := getattr(facts, status.value)):
            word = status_word(status, language)
            parts.append(wording(language, f"{count} {word}", f"{word} {count}"))
    rate = f"{facts.rate:g}/s"
    parts.append(
        wording(
            language,
            f"{facts.submissions} creates at {rate}",
            f"创建 {facts.submissions} 次，{rate}",
        )
    )
    if facts.limited:
        parts.append(wording(language, f"{facts.limited} x 429", f"429 × {facts.limited}"))
    if facts.eta is not None and facts.done < facts.total:
        left = duration(facts.eta, language=language)
        parts.append(wording(language, f"about {left} left", f"约剩 {left}"))
    if facts.state != "fair":
        parts.append(rate_state_text(facts.state, language))
    return " · ".join(parts)


async def watch_progress(run: Run, *, quiet: bool, as_json: bool) -> None:
    """Show the run until it ends; that nobody can look any more does not end it."""
    if quiet and not as_json:
        return
    try:
        await _watch(run, as_json=as_json)
    except Exception:
        log.exception("the display has failed; the run goes on")


async def _watch(run: Run, *, as_json: bool) -> None:
    if as_json:
        await _print_lines(run, lambda facts: _write(sys.stdout, _json_line(facts)))
    elif is_terminal(sys.stderr):
        await _live(run)
    else:
        language = reader_language(sys.stderr)
        await _print_lines(run, lambda facts: _write(sys.stderr, line_of(facts, language)))


async def _print_lines(run: Run, show: Callable[[RunProgress], None]) -> None:
    due = LineThrottle()
    while True:
        facts = facts_of(run)
        if due.is_due(run.context.clock.monotonic(), facts.state):
            show(facts)
        await anyio.sleep(TICK)


class LineThrottle:
    """When the next line is due: every minute, and when the weather changes."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._rate_state = ""

    def is_due(self, now: float, state: str) -> bool:
        """Say whether to print a line now, and take it as printed."""
        soon = self._last is not None and now - self._last < PLAIN_EVERY
        if soon and state == self._rate_state:
            return False
        self._last, self._rate_state = now, state
        return True


async def _live(run: Run) -> None:
    options: dict[str, Any] = {"language": reader_language(sys.stderr)}
    stats, problem = run.state.stats, _Problem()
    with live_picture(sys.stderr, screen=False) as show:
        while True:
            with contextlib.suppress(JournalError, OSError):
                look = await anyio.to_thread.run_sync(take_snapshot, run.context.folder.journal)
                look = replace(look, submissions=stats.paid, limited=stats.limited)
                options |= {"state": _rate_state(run), "problem": problem.now(run)}
                show(functools.partial(picture, look, run.context.settings.limits.rate, **options))
            await anyio.sleep(PICTURE_EVERY)


class _Problem:
    """What is being tried again: told as long as there were retries lately."""

    def __init__(self) -> None:
        self._retries, self._at = 0, 0.0

    def now(self, run: Run) -> str:
        """Return the problem of the present, or nothing."""
        if run.state.stats.retries != self._retries:
            self._retries, self._at = run.state.stats.retries, run.context.clock.monotonic()
        recent = self._retries and run.context.clock.monotonic() - self._at < PROBLEM_FOR
        return printable(run.state.stats.last_retried) if recent else ""


def _json_line(facts: RunProgress) -> str:
    return json.dumps({"event": "progress", **asdict(facts)})


def _write(stream: TextIO, text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody looks any more; the run goes on
        print(encodable(text, stream), file=stream, flush=True)


def summary_lines(
    summary: RunSummary, folder: Path, target: Sequence[str], language: Language = "en"
) -> list[str]:
    """Return how a run ended, for people; `target` names the job in the commands to type next."""
    counts = summary.counts
    done, total = counts[ItemStatus.DONE], sum(counts.values())
    took = duration(summary.seconds, language=language)
    lines = [
        wording(
            language,
            f"{done} of {total} items done, {summary.paid} creates in this run "
            f"({summary.spent} in all), {took}",
            f"{total} 项中完成 {done} 项，本次创建 {summary.paid} 次（共 {summary.spent} 次），"
            f"用时 {took}",
        )
    ]
    rest = [
        wording(language, f"{count} {status}", f"{status_word(status, language)} {count}")
        for status, count in counts.items()
        if count and status is not ItemStatus.DONE
    ]
    if rest:
        lines.append(
            wording(language, "not done: " + ", ".join(rest), "未完成：" + "，".join(rest))
        )
    told_by_the_verdict = any(counts[status] for status in UNFINISHED)
    if summary.stop is not None and summary.exit_code and not told_by_the_verdict:
        message = printable(summary.stop.message, 300)
        word = stop_word(summary.stop.reason, language)
        told = (f"stopped early: {message}", f"提前停止：{word}（{message}）")
        lines.append(wording(language, *told))
    if counts[ItemStatus.HELD]:
        lines.append(
            wording(
                language,
                f"held items may have been paid: {command_line('resolve', target)}",
                f"待定的项目可能已计费：{command_line('resolve', target)}",
            )
        )
    if counts[ItemStatus.FAILED] or counts[ItemStatus.REJECTED]:
        lines.append(
            wording(
                language,
                f"failed and refused items: {command_line('status', target)}, then `retry`",
                f"失败和被拒绝的项目：{command_line('status', target)}，然后 `retry`",
            )
        )
    lines.append(wording(language, f"files: {folder}", f"文件：{folder}"))
    return lines
