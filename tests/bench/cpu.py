"""CPU time of one more item, compared with the minimal client in Python.

    python -m tests.bench.cpu          every row
    python -m tests.bench.cpu 10 KB    the rows whose name contains a word

Milliseconds of user and system time, of the process and its children. Our command does everything
it does for a user (rate limiter, journal, files verified and synced), once with the extra `fast`
and once without; `_floor` is a bare aiohttp script that does none of that. They are measured
interleaved, each with few and with many items. The difference, divided by the additional items, is
the cost of one more item; the rest is the cost of a process with its start and its report. The
service is a process of its own.
"""

from __future__ import annotations

import functools
import statistics
import sys
from collections.abc import Sequence
from typing import NamedTuple

from tests.bench import _rows

FLOOR = (sys.executable, "-m", "tests.bench._floor")
CLIENTS = {"floor": FLOOR, "with [fast]": _rows.FAST, "without": _rows.PLAIN}
MEANS = (
    "Processor time that an item costs, beside that of a bare script which keeps nothing safe (the "
    "floor). Below the floor nothing is possible; a small multiple leaves the computer to others."
)


class Kind(NamedTuple):
    """Files of one size, the numbers of items, the goal as a multiple of the floor.

    `server` are more options of the service.
    """

    name: str
    size: int
    few: int
    many: int
    rounds: int
    goal: float
    server: tuple[str, ...] = ()


KINDS = (
    Kind("10 KB", 10 * 2**10, 300, 1500, 5, 2.2),
    Kind("1 MB", 2**20, 40, 240, 3, 1.5),
)


class Cost(NamedTuple):
    """CPU milliseconds of a run with few items and of one with many."""

    few: float
    many: float

    def more(self, kind: Kind) -> float:
        """Return the cost of one more item."""
        return (self.many - self.few) / (kind.many - kind.few)

    def fixed(self, kind: Kind) -> float:
        """Return the cost of a process."""
        return self.few - kind.few * self.more(kind)

    def per_item(self, kind: Kind) -> float:
        """Return the cost of an item in the longer run, the process included."""
        return self.many / kind.many


def cpu_time(client: Sequence[str], kind: Kind, items: int) -> float:
    """Return the CPU milliseconds of a client for that many items."""
    with _rows.Server("--bytes", kind.size, *kind.server) as server:
        if client is FLOOR:
            command = [*client, server.url, str(items), str(_rows.new_folder())]
            usage = _rows.measure_process(command, limit=300, **server.environment)
        else:
            usage = _rows.run(client, _rows.manifest(items), server, limit=300)
    if usage.code or server.seen["submissions"] != items:
        raise SystemExit(f"{usage.stderr}exit status {usage.code}; the server saw {server.seen}")
    return 1000 * usage.cpu


def cost(client: Sequence[str], kind: Kind) -> Cost:
    """Measure a client with few and with many items."""
    return Cost(cpu_time(client, kind, kind.few), cpu_time(client, kind, kind.many))


def show(kind: Kind) -> None:
    """Measure one file size and print its rows."""
    clients = {name: functools.partial(cost, client, kind) for name, client in CLIENTS.items()}
    costs = _rows.interleave(clients, kind.rounds)
    parts = {
        "one more item": Cost.more,
        f"all of {kind.many:,}, an item": Cost.per_item,
        "a process": Cost.fixed,
    }
    for part, of in parts.items():
        figures = {name: [of(each, kind) for each in costs[name]] for name in CLIENTS}
        for name in CLIENTS:
            goal = kind.goal if part == "one more item" and name != "floor" else None
            show_row(f"{kind.name}, {part}, {name}", figures[name], figures["floor"], goal)


def show_row(
    name: str, figures: Sequence[float], floor: Sequence[float], goal: float | None
) -> None:
    """Print one row."""
    times = _rows.ratio(figures, floor)
    cells = (f"{statistics.median(figures):.3f}", f"{_rows.spread(figures):.0%}", f"{times:.2f}")
    ok = None if goal is None else times <= goal
    _rows.print_row(name, *cells, goal="" if goal is None else f"≤ {goal:.2f}", ok=ok)


def main(words: list[str]) -> None:
    """Print every row whose name contains one of the words."""
    _rows.print_head("CPU time, ms", "median", "spread", "× floor", means=MEANS)
    for kind in KINDS:
        if not words or any(word in kind.name for word in words):
            show(kind)


if __name__ == "__main__":
    main(sys.argv[1:])
