"""Draws a snapshot of a job as a dashboard for a terminal of any size, and redraws it in place.

Everything is cut to the terminal's width in cells, of which Chinese characters take two. What
changes most is at the bottom, so that little moves.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from batch_runner.lifecycle import UNDERWAY, ItemStatus
from batch_runner.monitor.snapshot import Eta, JobSnapshot
from batch_runner.units import Rate
from batch_runner.util.locale import (
    encodable,
    mark_tr,
    status_word,
    stop_word,
    submissions_text,
    tr,
)
from batch_runner.util.text import duration, fitted, printable, time_of_day, width

if TYPE_CHECKING:  # slow to import, and needed on a terminal only
    from rich.live import Live
    from rich.text import Text

#: Statuses counted besides done and in flight, in this order.
OTHER_STATUSES = (
    ItemStatus.DOWNLOADING,
    ItemStatus.PENDING,
    ItemStatus.FAILED,
    ItemStatus.REJECTED,
    ItemStatus.HELD,
    ItemStatus.DOWNLOAD_PENDING,
    ItemStatus.DROPPED,
)
_STYLES = {
    ItemStatus.FAILED: "red",
    ItemStatus.REJECTED: "red",
    ItemStatus.HELD: "yellow",
    ItemStatus.DOWNLOAD_PENDING: "yellow",
    ItemStatus.DROPPED: "dim",
}
#: How fast a run submits, by `RunProgress.state`.
_STATES = {
    "normal": mark_tr("normal"),
    "slowed": mark_tr("slowed down"),
    "paused": mark_tr("paused by the service"),
}
_HALF_A_DAY = 43_200.0  # seconds after which a time of day without a date would mislead
_LABEL, _BAR, _MIN_NAME = 10, 30, 12  # cells of the dashboard's columns


def render_dashboard(
    snapshot: JobSnapshot,
    limit: Rate | None,
    *,
    columns: int,
    rows: int,
    state: str = "normal",
    problem: str = "",
) -> Text:
    """Return the dashboard for a terminal of this size.

    `limit` is the highest rate of submissions, None if unknown, `problem` what is being retried at
    present. Lines that do not fit are left out at the bottom, or cut at the right.
    """
    from rich.text import Text

    head = [
        _title(snapshot, columns),
        _time_left(snapshot.eta, snapshot.at, state),
        _counts(snapshot),
        _rate(snapshot, limit),
    ]
    if problem:
        label = tr("retrying: ")
        room = max(_MIN_NAME, columns - 1 - width(label))
        head.append(Text(label + _shortened(problem, room).rstrip(), "yellow"))
    sections = (
        (tr("held"), _held(snapshot), "yellow"),
        (tr("errors"), _errors(snapshot), "red"),
        (tr("in flight"), _oldest(snapshot), ""),
    )
    room = max(1, (rows - len(head) - 1 - len(sections)) // len(sections))  # lines per section
    lines = head + [
        line
        for label, entries, style in sections
        for line in _section(label, entries[:room], style, columns)
    ]
    for line in lines:
        line.truncate(max(1, columns - 1), overflow="ellipsis")
    return Text("\n", no_wrap=True).join(lines[: max(1, rows - 1)])


def _title(snapshot: JobSnapshot, columns: int) -> Text:
    from rich.text import Text

    done, total = snapshot.counts[ItemStatus.DONE], sum(snapshot.counts.values())
    progress = tr("{done} of {total} done", done=done, total=total)
    name = printable(snapshot.job, 40)
    size = max(0, min(_BAR, columns - width(name) - width(progress) - 6))
    full = size * done // max(1, total)
    return Text.assemble(
        (name, "bold"), "  ", ("━" * full, "green"), ("─" * (size - full), "dim"), "  ", progress
    )


def _time_left(eta: Eta | None, now: float, state: str) -> Text:
    """Return the estimated end and what it is based on, after any state but normal."""
    from rich.text import Text

    text = Text()
    if state != "normal":
        text.append(state_text(state) + tr("; "), "yellow")
    if eta is None:
        return text.append(tr("time left not known yet"), "dim")
    if not eta.left:
        return text.append(tr("nothing left to wait for"))
    left = duration(eta.seconds)
    form = "%H:%M" if eta.seconds < _HALF_A_DAY else "%m-%d %H:%M"
    end = time.strftime(form, time.localtime(now + eta.seconds))
    text.append(tr("about {left} left, until {end}", left=left, end=end))
    return text.append(f"  ({_basis(eta)})", "dim")


def _basis(eta: Eta) -> str:
    minute = _number(eta.rate * 60)
    if eta.finishing:
        return tr("{left} to go, {rate} completed per minute", left=eta.left, rate=minute)
    return tr(
        "{left} to go, {rate} submitted per minute, then about {seconds}",
        left=eta.left,
        rate=minute,
        seconds=duration(eta.typical or 0.0),
    )


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or not value else f"{value:.2g}"


def _counts(snapshot: JobSnapshot) -> Text:
    from rich.text import Text

    in_flight = snapshot.counts[ItemStatus.SUBMITTED] + snapshot.counts[ItemStatus.SUBMITTING]
    parts = [Text(tr("{count} in flight", count=in_flight))]
    parts += [
        Text(count_text(status, count), _STYLES.get(status, ""))
        for status in OTHER_STATUSES
        if (count := snapshot.counts[status])
    ]
    return Text(" · ").join(parts)


def count_text(status: ItemStatus, count: int) -> str:
    """Return how many items have a status, such as "2 held"."""
    return tr("{count} {status}", count=count, status=status_word(status))


def _rate(snapshot: JobSnapshot, limit: Rate | None) -> Text:
    from rich.text import Text

    line = submissions_text(snapshot.submissions)
    if limit is None:
        rate = f"{_number(snapshot.rate)}/s"
        line += tr(", {count} recently", count=rate)
    else:
        rate = f"{_number(snapshot.rate * limit.seconds)}/{str(limit).partition('/')[2]}"
        line += tr(", {rate} recently, limit {limit}", rate=rate, limit=limit)
    text = Text(line)
    recent = snapshot.limited_recently
    if snapshot.limited or recent:
        line = " · " + limited_text(max(snapshot.limited, recent))
        if recent:
            line += tr(", {count} recently", count=recent)
        text.append(line, "yellow" if recent else "")
    return text


def limited_text(count: int) -> str:
    return tr("{count} rate-limited (429)", count=count)


def _section(
    label: str, entries: Sequence[tuple[str, str]], style: str, columns: int
) -> Iterator[Text]:
    """Yield an empty line, then one line per entry; the first begins with the label."""
    from rich.text import Text

    if entries:
        yield Text()
    most = max(_MIN_NAME, columns * 2 // 5)
    names = min(most, max((width(name) for name, _ in entries), default=0))
    for number, (name, text) in enumerate(entries):
        head = fitted("" if number else label, _LABEL)
        yield Text.assemble((head, "dim"), (_shortened(name, names), style), "  ", text)


def _shortened(name: str, cells: int) -> str:
    """Return `name` cut in the middle: names often differ at their end only."""
    if width(name) <= cells:
        return fitted(name, cells)
    tail = name[-(cells // 2) :]
    while width(tail) > cells // 2:
        tail = tail[1:]
    return fitted(fitted(name, cells - width(tail)).rstrip() + tail, cells)


def _held(snapshot: JobSnapshot) -> list[tuple[str, str]]:
    entries = []
    for item in snapshot.held:
        sent = tr("sent {time}", time=time_of_day(item.started_at))
        entries.append((printable(item.id, 60), f"{sent}  {printable(item.message or '')}"))
    return _and_more(entries, snapshot.counts[ItemStatus.HELD])


def _errors(snapshot: JobSnapshot) -> list[tuple[str, str]]:
    return [
        (
            printable(name, 60),
            f"{time_of_day(event.at)}  {printable(event.message or event.reason or '')}",
        )
        for name, event in snapshot.errors
    ]


def _oldest(snapshot: JobSnapshot) -> list[tuple[str, str]]:
    entries = []
    for item in snapshot.oldest:
        since = item.started_at if item.status is ItemStatus.SUBMITTING else item.submitted_at
        age = max(0.0, snapshot.at - (since or snapshot.at))
        text = duration(age)
        if item.status is not ItemStatus.SUBMITTED:
            text += f"  {status_word(item.status)}"
        entries.append((printable(item.id, 60), text))
    return _and_more(entries, sum(snapshot.counts[status] for status in UNDERWAY))


def _and_more(entries: list[tuple[str, str]], count: int) -> list[tuple[str, str]]:
    more = count - len(entries)
    if not entries or more <= 0:
        return entries
    return [*entries, (tr("and {count} more", count=more), "")]


def is_terminal(stream: TextIO) -> bool:
    """Return whether a dashboard can be redrawn in place on `stream`."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


@contextlib.contextmanager
def live_display(
    stream: TextIO, *, screen: bool
) -> Iterator[Callable[[Callable[..., Text]], None]]:
    """Yield a function that replaces what is displayed.

    It is called with a function of the terminal's `columns` and `rows`. `screen` uses the
    terminal's alternate screen, which disappears at the end.
    """
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=stream, highlight=False, emoji=False, markup=False)
    live = Live(Text(), console=console, auto_refresh=False, transient=True, screen=screen)
    last = console.size

    def show(draw: Callable[..., Text]) -> None:
        nonlocal last
        size = console.size
        if size != last:
            console.clear()  # how the terminal wrapped the last lines is unknown
            last = size
        drawn = draw(columns=size.width, rows=size.height)
        plain = encodable(drawn.plain, stream)
        live.update(drawn if plain == drawn.plain else Text(plain, no_wrap=True), refresh=True)

    with live, _log_above(stream, live):
        yield show


@contextlib.contextmanager
def _log_above(stream: TextIO, live: Live) -> Iterator[None]:
    """Let log lines for the terminal scroll above the dashboard, not through it."""
    found: list[logging.StreamHandler[Any]] = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is stream
    ]
    for handler in found:
        handler.setStream(sys.stderr)  # replaced by `live`
    try:
        yield
    finally:
        for handler in found:
            handler.setStream(stream)


def state_text(state: str) -> str:
    """Return `RunProgress.state` in the current language."""
    kind, _, reason = state.partition(": ")
    return tr("stopping: {reason}", reason=stop_word(reason)) if reason else tr(_STATES[kind])
