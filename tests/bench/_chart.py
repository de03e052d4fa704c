"""The main figures as an SVG bar chart with six panels, for light and dark pages.

A panel is drawn from the figures that its row stored (`_rows.store_figure`) in this run, so the
chart is written only if all of them were measured.
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
FAR, CUT_OFF = 3.0, 1.25  # × the second longest bar: a longer one is cut off, and where
TOP, BAR, STEP = 64, 12, 42  # pixels: title to first bar, bar, bar to bar

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
    """One group of bars: its row, its text, and the format of a figure."""

    row: str
    title: str
    subtitle: str
    form: str
    limit: float | None = None  # a dashed line


PANELS = (
    Panel("peers, cpu", "Processor for one more item", "a file of 10 KB", "{:.1f} ms"),
    Panel(
        "peers, killed",
        "Paid twice after a kill",
        "of 100 tasks; killed half-way and run again",
        "{:.0f}",
    ),
    Panel(
        "rate 100/s",
        "Most submissions in any second",
        "at a limit of 100 a second, the dashed line",
        "{:.0f}",
        limit=100,
    ),
    Panel(
        "wall",
        "Time of a whole run",
        "the least possible is 1, the dashed line",
        "{:.3f}",
        limit=1,
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
    """Write the chart if every panel has its figures."""
    if any(panel.row not in _rows.FIGURES for panel in PANELS):
        return
    rows = [PANELS[at : at + 2] for at in range(0, len(PANELS), 2)]
    parts, top = [], MARGIN
    for row in rows:
        for column, panel in enumerate(row):
            parts.append(_panel(panel, MARGIN + column * (PANEL + GAP), top))
        top += TOP + STEP * max(len(_rows.FIGURES[panel.row]) for panel in row) + GAP // 2
    parts.append(_text(MARGIN, top + 4, f"Shorter is better. {origin()}", "quiet"))
    height = top + 24
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-labelledby="title desc">\n'
        f'<title id="title">batch-runner, measured</title>\n'
        f'<desc id="desc">{_description()}</desc>\n'
        f"<style>{STYLE}</style>\n"
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="8"/>\n'
        + "".join(parts)
        + "</svg>\n"
    )
    print(f"chart: {path}")


def _panel(panel: Panel, left: float, top: float) -> str:
    bars = _rows.FIGURES[panel.row]
    second, shown = sorted(bars.values())[-2:]
    if second and shown > FAR * second:
        shown = second * CUT_OFF  # so that the others can be seen
    scale = PANEL / shown
    parts = [
        _text(left, top + 14, panel.title, "title"),
        _text(left, top + 34, panel.subtitle, "quiet"),
    ]
    for number, (name, figure) in enumerate(bars.items()):
        y = top + TOP + number * STEP
        kind = "ours" if name.startswith("batch-runner") else "other"
        parts += [
            _text(left, y, name),
            _text(left + PANEL, y, panel.form.format(figure), "value"),
            f'<rect class="{kind}" x="{left}" y="{y + 7}" '
            f'width="{max(2.0, min(figure, shown) * scale):.1f}" height="{BAR}" rx="2"/>\n',
        ]
        if figure > shown:
            at = left + PANEL - 28
            parts.append(
                f'<path class="page" d="M{at} {y + 21}l6 -16h6l-6 16zm12 0l6 -16h6l-6 16z"/>\n'
            )
        if panel.limit is not None:
            x = f"{left + panel.limit * scale:.1f}"
            parts.append(
                f'<line class="limit" x1="{x}" x2="{x}" y1="{y + 6}" y2="{y + BAR + 8}"/>\n'
            )
    return "".join(parts)


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(text)}</text>\n'


def _description() -> str:
    """Return the figures as text, for screen readers."""
    panels = (
        f"{panel.title}, {panel.subtitle}: "
        + ", ".join(
            f"{name} {panel.form.format(figure)}"
            for name, figure in _rows.FIGURES[panel.row].items()
        )
        for panel in PANELS
    )
    return escape(". ".join(panels))


def origin() -> str:
    """Return the date, the machine and the Python version."""
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    machine = found[1] if found else platform.machine()
    day = datetime.datetime.now(datetime.UTC).date()
    cores = len(os.sched_getaffinity(0))
    return f"make bench, {day}: {machine}, {cores} cores, Python {platform.python_version()}"
