"""Reuse: CPU time of items that another job of this user has submitted.

    python -m tests.bench.reuse                   3,000 items
    python -m tests.bench.reuse --items 20000     more

A job is run, then a second one with the same items is planned and run. Beside it, in turns, the
plan of the same items by a user without any other job.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench import _rows

ITEMS, ROUNDS = 3_000, 3
MEANS = (
    "What it costs that no item is paid for twice when a manifest was renamed or copied: `plan` "
    "looks each item up among your other jobs, and `run` copies its file from there."
)


def plan(path: Path, items: int, reused: int, url: str, state: Path) -> float:
    """Return the CPU milliseconds of a plan for each item, after checking how many are reused."""
    output = path.with_name("plan.json")
    command = ["env", f"XDG_STATE_HOME={state}", *_rows.FAST, "plan", str(path), "--json"]
    key = "sk-bench"
    usage = _rows.measure_process(
        command, output=str(output), BAICAI_BASE_URL=url, BAICAI_API_KEY=key
    )
    planned = json.loads(output.read_text())
    found = sum(group["items"] for group in planned["reuse"])
    if usage.code or planned["items"] != items or found != reused:
        raise SystemExit(f"exit status {usage.code}: {usage.stderr}{planned}")
    return 1000 * usage.cpu / items


def run(items: int, server: _rows.Server) -> float:
    """Return the CPU milliseconds of a run of a new job, for each item."""
    return 1000 * _rows.run(_rows.FAST, _rows.manifest(items), server).cpu / items


def show(name: str, costs: Sequence[float], floor: Sequence[float]) -> None:
    """Print one row."""
    cells = (f"{statistics.median(costs):.3f}", f"{_rows.spread(costs):.0%}")
    _rows.print_row(name, *cells, f"{_rows.ratio(costs, floor):.2f}")


def main(arguments: list[str]) -> None:
    """Print every row."""
    parser = argparse.ArgumentParser(prog="tests.bench.reuse")
    parser.add_argument("--items", type=int, default=ITEMS)
    items = parser.parse_args(arguments).items
    _rows.print_head("reuse: CPU, ms an item", "median", "spread", "× new", means=MEANS)
    with _rows.Server("--bytes", 1000) as server:
        new = [run(items, server)]
        path, state = _rows.manifest(items), Path(server.environment["XDG_STATE_HOME"])
        plans = {
            "new": functools.partial(plan, path, items, 0, server.url, _rows.new_folder()),
            "reused": functools.partial(plan, path, items, items, server.url, state),
        }
        costs = _rows.interleave(plans, ROUNDS)
        reused = [run(items, server)]
    if server.seen["submissions"] != items:
        raise SystemExit(f"an item was submitted again: {server.seen}")
    show(f"plan, {items:,} items of another job", costs["reused"], costs["new"])
    show(f"run, {items:,} items of another job", reused, new)


if __name__ == "__main__":
    main(sys.argv[1:])
