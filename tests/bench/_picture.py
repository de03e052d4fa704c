"""The main rows as a picture: four panels of bars, for light and dark pages, without a fetch.

A panel is drawn from what its row kept (`_rows.keep`) in this very run, so the picture is only
written when all of them were measured.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
from html import escape
from pathlib import Path
from typing import NamedTuple

from tests.bench import _rows

WIDTH, MARGIN, GAP = 840, 24, 40  # pixels
PANEL = (WIDTH - 2 * MARGIN - GAP) // 2
TOP, BAR, STEP = 64, 12, 42  # from a panel's title to its first bar; a bar; from bar to bar

STYLE = """
text { font: 14px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 16px }
.quiet { fill: #59636e; font-size: 13px }
.value { font-variant-numeric: tabular-nums; text-anchor: end }
.page { fill: #ffffff }
.ours { fill: #0969da }
.other { fill: #afb8c1 }
.limit { stroke: #1f2328; stroke-width: 1.5; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .quiet { fill: #9198a1 }
  .page { fill: #0d1117 }
  .ours { fill: #4493f8 }
  .other { fill: #59636e }
  .limit { stroke: #f0f6fc }
}
"""


class Panel(NamedTuple):
    """One group of bars: the row it is kept under, its words, how a figure is written."""

    row: str
    title: str
    words: str
    form: str
    limit: float | None = None  # where a line is drawn


PANELS = (
    Panel("cpu 10 KB", "Processor for one more item", "a file of 10 KB; milliseconds", "{:.2f} ms"),
    Panel(
        "pace 100/s",
        "Most creates in any second",
        "at a limit of 100 a second, the dashed line",
        "{:.0f}",
        limit=100,
    ),
    Panel(
        "no queue", "Polls × delay, no queue", "a task runs for half a minute; seconds", "{:.1f} s"
    ),
    Panel(
        "backlog, twice the capacity",
        "Polls × delay, long queue",
        "twice the capacity is waiting; seconds",
        "{:.0f} s",
    ),
)


def draw(path: Path) -> None:
    """Write the picture, if every panel has its figures."""
    if any(panel.row not in _rows.KEPT for panel in PANELS):
        return
    rows = [PANELS[at : at + 2] for at in range(0, len(PANELS), 2)]
    parts, top = [], MARGIN
    for row in rows:
        for place, panel in enumerate(row):
            parts.append(_panel(panel, MARGIN + place * (PANEL + GAP), top))
        top += TOP + STEP * max(len(_rows.KEPT[panel.row]) for panel in row) + GAP // 2
    parts.append(_text(MARGIN, top + 4, f"Shorter is better. {_origin()}", "quiet"))
    height = top + 24
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-labelledby="title desc">\n'
        f'<title id="title">batch-runner, measured</title>\n<desc id="desc">{_told()}</desc>\n'
        f"<style>{STYLE}</style>\n"
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="8"/>\n'
        + "".join(parts)
        + "</svg>\n"
    )
    print(f"picture: {path}")


def _panel(panel: Panel, left: float, top: float) -> str:
    bars = _rows.KEPT[panel.row]
    scale = PANEL / max(bars.values())
    parts = [
        _text(left, top + 14, panel.title, "title"),
        _text(left, top + 34, panel.words, "quiet"),
    ]
    for number, (name, figure) in enumerate(bars.items()):
        y = top + TOP + number * STEP
        kind = "ours" if name.startswith("batch-runner") else "other"
        parts += [
            _text(left, y, name),
            _text(left + PANEL, y, panel.form.format(figure), "value"),
            f'<rect class="{kind}" x="{left}" y="{y + 7}" width="{max(2.0, figure * scale):.1f}" '
            f'height="{BAR}" rx="2"/>\n',
        ]
        if panel.limit is not None:
            x = f"{left + panel.limit * scale:.1f}"
            parts.append(
                f'<line class="limit" x1="{x}" x2="{x}" y1="{y + 6}" y2="{y + BAR + 8}"/>\n'
            )
    return "".join(parts)


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(words)}</text>\n'


def _told() -> str:
    """Return the figures in words, for those who cannot see the picture."""
    told = (
        f"{panel.title}, {panel.words}: "
        + ", ".join(
            f"{name} {panel.form.format(figure)}" for name, figure in _rows.KEPT[panel.row].items()
        )
        for panel in PANELS
    )
    return escape(". ".join(told))


def _origin() -> str:
    """Return when and where it was measured."""
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    machine = found[1] if found else platform.machine()
    day = datetime.datetime.now(datetime.UTC).date()
    cores = len(os.sched_getaffinity(0))
    return f"make bench, {day}: {machine}, {cores} cores, Python {platform.python_version()}"
