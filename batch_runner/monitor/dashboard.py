"""A job at one moment, drawn for a terminal of any size, and redrawn in place.

Everything is cut to the terminal's width by cells, of which Chinese characters take two. What
changes most stands at the bottom, so that little jumps.
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
from batch_runner.util.locale import Language, encodable, status_word, stop_word, wording
from batch_runner.util.text import duration, fitted, printable, time_of_day, width

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

#: What is told of items beside those done and in flight, in this order.
REST = (
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
_HALF_A_DAY = 43_200.0  # seconds after which a time of day alone would mislead
_LABEL, _BAR, _LEAST_NAME = 10, 30, 12  # cells of a picture's columns


def picture(
    look: JobSnapshot,
    limit: Rate,
    *,
    language: Language,
    columns: int,
    rows: int,
    state: str = "fair",
    problem: str = "",
) -> Text:
    """Return a job at one moment for a terminal of so many columns and rows.

    `limit` is that of creates, `problem` what is being tried again just now. What does not fit is
    left out from the bottom, or cut at the right.
    """
    from rich.text import Text

    head = [
        _title(look, language, columns),
        _outlook(look.eta, look.at, state, language),
        _counts(look, language),
        _pace(look, limit, language),
    ]
    if problem:
        told = wording(language, "trying again: ", "正在重试：")
        told += _shortened(problem, max(_LEAST_NAME, columns - 1 - width(told)))
        head.append(Text(told.rstrip(), "yellow"))
    sections = (
        (wording(language, "held", "待定"), _held(look, language), "yellow"),
        (wording(language, "errors", "最近错误"), _errors(look), "red"),
        (wording(language, "in flight", "生成中"), _oldest(look, language), ""),
    )
    room = max(1, (rows - len(head) - 1 - len(sections)) // len(sections))  # of each, in lines
    lines = head + [
        line
        for label, entries, style in sections
        for line in _section(label, entries[:room], style, columns)
    ]
    for line in lines:
        line.truncate(max(1, columns - 1), overflow="ellipsis")
    return Text("\n", no_wrap=True).join(lines[: max(1, rows - 1)])


def _title(look: JobSnapshot, language: Language, columns: int) -> Text:
    from rich.text import Text

    done, total = look.counts[ItemStatus.DONE], sum(look.counts.values())
    told = wording(language, f"{done} of {total} done", f"完成 {done}/{total}")
    name = printable(look.job, 40)
    size = max(0, min(_BAR, columns - width(name) - width(told) - 6))
    full = size * done // max(1, total)
    return Text.assemble(
        (name, "bold"), "  ", ("━" * full, "green"), ("─" * (size - full), "dim"), "  ", told
    )


def _outlook(eta: Eta | None, now: float, state: str, language: Language) -> Text:
    """Return when it will be over and what that is reckoned from, after bad weather."""
    from rich.text import Text

    text = Text()
    if state != "fair":
        text.append(rate_state_text(state, language) + wording(language, "; ", "；"), "yellow")
    if eta is None:
        return text.append(wording(language, "time left not known yet", "剩余时间尚不明确"), "dim")
    if not eta.left:
        return text.append(wording(language, "nothing left to wait for", "没有需要等待的项目"))
    left = duration(eta.seconds, language=language)
    form = "%H:%M" if eta.seconds < _HALF_A_DAY else "%m-%d %H:%M"
    over = time.strftime(form, time.localtime(now + eta.seconds))
    text.append(wording(language, f"about {left} left, until {over}", f"约剩 {left}，到 {over}"))
    return text.append(f"  ({_basis(eta, language)})", "dim")


def _basis(eta: Eta, language: Language) -> str:
    minute = _number(eta.rate * 60)
    if eta.finishing:
        return wording(
            language,
            f"{eta.left} to go, {minute} finished a minute",
            f"剩余 {eta.left} 项，每分钟完成 {minute} 项",
        )
    each = duration(eta.typical or 0.0, language=language)
    return wording(
        language,
        f"{eta.left} to go, {minute} created a minute, then about {each}",
        f"剩余 {eta.left} 项，每分钟创建 {minute} 项，之后约 {each}",
    )


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or not value else f"{value:.2g}"


def _counts(look: JobSnapshot, language: Language) -> Text:
    from rich.text import Text

    in_flight = look.counts[ItemStatus.SUBMITTED] + look.counts[ItemStatus.SUBMITTING]
    parts = [Text(wording(language, f"{in_flight} in flight", f"生成中 {in_flight}"))]
    for status in REST:
        if count := look.counts[status]:
            word = status_word(status, language)
            told = wording(language, f"{count} {word}", f"{word} {count}")
            parts.append(Text(told, _STYLES.get(status, "")))
    return Text(" · ").join(parts)


def _pace(look: JobSnapshot, limit: Rate, language: Language) -> Text:
    from rich.text import Text

    rate = f"{_number(look.rate * limit.seconds)}/{str(limit).partition('/')[2]}"
    text = Text(
        wording(
            language,
            f"{look.submissions} creates, {rate} lately, limit {limit}",
            f"创建 {look.submissions} 次，最近 {rate}，上限 {limit}",
        )
    )
    if look.limited or look.limited_lately:
        count, lately = max(look.limited, look.limited_lately), look.limited_lately
        told = " · " + wording(language, f"{count} x 429", f"429 × {count}")
        if lately:
            told += wording(language, f" ({lately} lately)", f"（最近 {lately}）")
        text.append(told, "yellow" if lately else "")
    return text


def _section(
    label: str, entries: Sequence[tuple[str, str]], style: str, columns: int
) -> Iterator[Text]:
    """Yield one line an entry, named by the label at the first, after an empty line."""
    from rich.text import Text

    if entries:
        yield Text()
    most = max(_LEAST_NAME, columns * 2 // 5)
    names = min(most, max((width(name) for name, _ in entries), default=0))
    for number, (name, told) in enumerate(entries):
        head = fitted("" if number else label, _LABEL)
        yield Text.assemble((head, "dim"), (_shortened(name, names), style), "  ", told)


def _shortened(name: str, cells: int) -> str:
    """Return a text cut in its middle: what tells it from others is often at the end."""
    if width(name) <= cells:
        return fitted(name, cells)
    tail = name[-(cells // 2) :]
    while width(tail) > cells // 2:
        tail = tail[1:]
    return fitted(fitted(name, cells - width(tail)).rstrip() + tail, cells)


def _held(look: JobSnapshot, language: Language) -> list[tuple[str, str]]:
    entries = []
    for item in look.held:
        sent = wording(
            language,
            f"sent {time_of_day(item.started_at)}",
            f"发出于 {time_of_day(item.started_at)}",
        )
        entries.append((printable(item.id, 60), f"{sent}  {printable(item.message or '')}"))
    return _and_more(entries, look.counts[ItemStatus.HELD], language)


def _errors(look: JobSnapshot) -> list[tuple[str, str]]:
    return [
        (
            printable(name, 60),
            f"{time_of_day(event.at)}  {printable(event.message or event.reason or '')}",
        )
        for name, event in look.errors
    ]


def _oldest(look: JobSnapshot, language: Language) -> list[tuple[str, str]]:
    entries = []
    for item in look.oldest:
        since = item.started_at if item.status is ItemStatus.SUBMITTING else item.submitted_at
        told = duration(max(0.0, look.at - (since or look.at)), language=language)
        if item.status is not ItemStatus.SUBMITTED:
            told += f"  {status_word(item.status, language)}"
        entries.append((printable(item.id, 60), told))
    return _and_more(entries, sum(look.counts[status] for status in UNDERWAY), language)


def _and_more(
    entries: list[tuple[str, str]], count: int, language: Language
) -> list[tuple[str, str]]:
    more = count - len(entries)
    told = wording(language, f"and {more} more", f"另有 {more} 项")
    return [*entries, (told, "")] if entries and more > 0 else entries


def is_terminal(stream: TextIO) -> bool:
    """Say whether a picture can be redrawn in place there."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


@contextlib.contextmanager
def live_picture(
    stream: TextIO, *, screen: bool
) -> Iterator[Callable[[Callable[..., Text]], None]]:
    """Yield what shows a picture in place of the last one.

    It is called with a function of the terminal's `columns` and `rows`. `screen`: on the terminal's
    other screen, which is put away at the end.
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
            console.clear()  # the terminal has wrapped the last picture anew, nobody knows how
            last = size
        drawn = draw(columns=size.width, rows=size.height)
        plain = encodable(drawn.plain, stream)
        live.update(drawn if plain == drawn.plain else Text(plain, no_wrap=True), refresh=True)

    with live, _logged_above(stream, live):
        yield show


@contextlib.contextmanager
def _logged_above(stream: TextIO, live: Live) -> Iterator[None]:
    """Let log lines that go to the terminal scroll by above the picture, not through it."""
    import logging

    found: list[logging.StreamHandler[Any]] = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is stream
    ]
    for handler in found:
        handler.setStream(sys.stderr)  # what `live` has put in its place
    try:
        yield
    finally:
        for handler in found:
            handler.setStream(stream)


def rate_state_text(state: str, language: Language) -> str:
    """Return the weather in the reader's language."""
    kind, _, reason = state.partition(": ")
    if language == "en":
        return state
    if reason:
        return f"正在停止：{stop_word(reason, language)}"
    return {"fair": "正常", "slowed": "已减速", "paused by the service": "服务端要求暂停"}[kind]
