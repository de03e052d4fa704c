"""Processor: what one more item costs, beside the least a client in Python can do.

    python -m tests.bench.cpu          every row
    python -m tests.bench.cpu 10 KB    the rows whose name holds a word

Milliseconds of user and system time, of the process and its children. Our command with every
promise kept (pacer, journal, files verified and synced), with the extra `fast` and as if without
it, takes turns with a bare aiohttp script that does none of that (`_floor`). Each is measured at
two sizes: what lies between them, over the items between, is the cost of one more item; what is
left is the cost of a process, its start and its page. The service is a process of its own.
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
DRAWN = {
    "with [fast]": "batch-runner with uvloop",
    "without": "batch-runner",
    "floor": "a bare aiohttp script, nothing kept safe",
}
GOALS = {"floor": None, "with [fast]": 1.0, "without": 1.25}


class Kind(NamedTuple):
    """Files of one size, and how many of them are carried."""

    name: str
    size: int
    few: int
    many: int
    rounds: int


KINDS = (
    Kind("10 KB", 10 * 2**10, 500, 3000, 5),
    Kind("1 MB", 2**20, 40, 240, 3),
)


class Cost(NamedTuple):
    """Milliseconds of processor."""

    few: float
    many: float

    def more(self, kind: Kind) -> float:
        """Return the cost of one more item."""
        return (self.many - self.few) / (kind.many - kind.few)

    def fixed(self, kind: Kind) -> float:
        """Return the cost of a process."""
        return self.few - kind.few * self.more(kind)

    def whole(self, kind: Kind) -> float:
        """Return the cost of an item in the longer run, the process included."""
        return self.many / kind.many


def carry(client: Sequence[str], size: int, items: int) -> float:
    """Return the milliseconds of processor that a client took for some items."""
    with _rows.Service("--bytes", size) as service:
        if client is FLOOR:
            command = [*client, service.url, str(items), str(_rows.fresh())]
            spent = _rows.spend(command, limit=300)
        else:
            spent = _rows.run(client, _rows.manifest(items), service, limit=300)
    if spent.code or service.seen["submissions"] != items:
        raise SystemExit(f"{spent.words}ended with {spent.code}; the service saw {service.seen}")
    return 1000 * spent.cpu


def cost(client: Sequence[str], kind: Kind) -> Cost:
    """Measure both sizes."""
    return Cost(carry(client, kind.size, kind.few), carry(client, kind.size, kind.many))


def show(kind: Kind) -> None:
    """Measure one size of file and print its rows."""
    turns = {name: functools.partial(cost, client, kind) for name, client in CLIENTS.items()}
    costs = _rows.take_turns(turns, kind.rounds)
    parts = {
        "one more item": Cost.more,
        f"all of {kind.many:,}, an item": Cost.whole,
        "a process": Cost.fixed,
    }
    for part, of in parts.items():
        figures = {name: [of(each, kind) for each in costs[name]] for name in CLIENTS}
        for name in CLIENTS:
            goal = GOALS[name] if part == "one more item" else None
            show_row(f"{kind.name}, {part}, {name}", figures[name], figures["floor"], goal)
        if part == "one more item":
            for name, words in DRAWN.items():
                _rows.keep(f"cpu {kind.name}", words, statistics.median(figures[name]))


def show_row(
    name: str, figures: Sequence[float], floor: Sequence[float], goal: float | None
) -> None:
    """Print one row."""
    times = _rows.ratio(figures, floor)
    cells = (f"{statistics.median(figures):.3f}", f"{_rows.spread(figures):.0%}", f"{times:.2f}")
    ok = None if goal is None else times <= goal
    _rows.show(name, *cells, goal="" if goal is None else f"≤ {goal:.2f}", ok=ok)


def main(words: list[str]) -> None:
    """Print every row that holds one of the words."""
    _rows.head("processor, ms", "median", "spread", "× floor")
    for kind in KINDS:
        if not words or any(word in kind.name for word in words):
            show(kind)


if __name__ == "__main__":
    main(sys.argv[1:])
