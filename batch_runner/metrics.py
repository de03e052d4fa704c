"""Figures of a run as a Prometheus text file, for node_exporter's textfile collector."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.shift import Shift

#: Seconds between two writings.
EVERY = 60.0


def metrics_text(shift: Shift) -> str:
    """Return the run's figures in the text format."""
    tally = shift.tally
    lines = ["# HELP batch_runner_items Items by status.", "# TYPE batch_runner_items gauge"]
    lines += [
        f'batch_runner_items{{status="{status.value}"}} {count}'
        for status, count in tally.counts.items()
    ]
    for name, kind, text, value in (
        ("creates_total", "counter", "Create requests of this run.", tally.creates),
        ("polls_total", "counter", "Status requests of this run.", tally.polls),
        ("limited_total", "counter", "Answers 429 of this run.", tally.limited),
        ("retries_total", "counter", "Requests sent again in this run.", tally.retries),
        ("paid_creates", "gauge", "Creates of the job assumed paid.", tally.spent),
        ("pace", "gauge", "Creates a second allowed now.", shift.pacer.rate_now),
    ):
        lines += [
            f"# HELP batch_runner_{name} {text}",
            f"# TYPE batch_runner_{name} {kind}",
            f"batch_runner_{name} {value:g}",
        ]
    return "\n".join(lines) + "\n"


def write_metrics(path: Path, shift: Shift) -> None:
    """Put the figures in `path`, whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(metrics_text(shift), "utf-8")
    part.replace(path)


async def keep_metrics(shift: Shift, *, path: Path) -> None:
    """Write the figures every minute, and once more at the end."""
    try:
        while True:
            write_metrics(path, shift)
            await anyio.sleep(EVERY)
    finally:
        write_metrics(path, shift)
