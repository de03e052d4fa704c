"""Scale: cost and memory of an item among few and many, wall time over the least possible.

    python -m tests.bench.scale                        every row
    python -m tests.bench.scale --full items           up to 100,000 items, which takes long
    python -m tests.bench.scale items memory wall      the rows of that kind

`items`: one more item, in milliseconds of processor, between one size and the next, in turn with
the bare client at the same sizes; flat means that our cost over its cost does not grow. `memory`:
tasks in flight, held by the schedule alone, and in a run whose service ends none of them.
`wall`: whole runs, start and page included, where in turn the pace, the cap on tasks in flight and
the service's own slots leave no choice. They wait nearly all the time, so they run side by side.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import math
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from batch_runner.models import InFlight, TaskReport, TaskState
from batch_runner.polling.scheduler import PollScheduler
from batch_runner.ratelimit.limiter import LocalRateLimiter
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.settings import Polling
from batch_runner.units import Rate
from tests.bench import _rows
from tests.bench.cpu import FLOOR

SIZES, ROUNDS = (1_000, 5_000, 10_000), 2
FULL, FULL_ROUNDS = (1_000, 10_000, 100_000), 1
FLAT = 1.15
HELD, LOOKING = 100_000, 5.0  # tasks in the schedule alone, seconds that it is worked
FLYING = 10_000  # tasks of a run
SMALL = 1024  # bytes of a task in flight
WALL = 1.02  # of the least possible
BYTES = 1000  # of a file


def carry(client: Sequence[str], items: int) -> _rows.Spent:
    """Carry some small files and return what it took."""
    with _rows.Service("--bytes", BYTES) as service:
        if client is FLOOR:
            return _rows.spend([*client, service.url, str(items), str(_rows.fresh())])
        return _rows.run(client, _rows.manifest(items), service)


def show_items(sizes: Sequence[int], rounds: int) -> None:
    """Print the cost of one more item between sizes, and the peak at each."""
    _rows.head("one more item", "ms", "floor", "× floor", "spread", "peak MB")
    clients = {"ours": _rows.FAST, "floor": FLOOR}
    turns = {
        f"{name} {size}": functools.partial(carry, client, size)
        for size in sizes
        for name, client in clients.items()
    }
    spent = _rows.take_turns(turns, rounds)
    times = []
    for few, many in pairwise(sizes):
        ours, floor = (
            [
                1000 * (more.cpu - less.cpu) / (many - few)
                for less, more in zip(spent[f"{name} {few}"], spent[f"{name} {many}"], strict=True)
            ]
            for name in clients
        )
        times.append(_rows.ratio(ours, floor))
        peak = statistics.median(each.peak for each in spent[f"ours {many}"])
        cells = (f"{statistics.median(ours):.2f}", f"{statistics.median(floor):.2f}")
        more = (f"{times[-1]:.2f}", f"{_rows.spread(ours):.0%}", f"{peak:.0f}")
        _rows.show(f"from {few:,} to {many:,} items", *cells, *more)
    growth = times[-1] / times[0]
    _rows.show("growth of cost", "", "", f"{growth:.2f}", goal=f"≤ {FLAT}", ok=growth <= FLAT)
    few_peak, many_peak = (
        statistics.median(each.peak for each in spent[f"ours {size}"])
        for size in (sizes[0], sizes[-1])
    )
    _rows.show(f"peak at {sizes[0]:,} and {sizes[-1]:,}, MB", f"{few_peak:.0f}", f"{many_peak:.0f}")


async def hold() -> None:
    """Print the bytes that each task in a schedule takes, after some seconds of looks."""
    clock = asyncio.get_running_loop().time
    chance = random.Random(1)
    limiter = LocalRateLimiter(Rate(10_000, 1), gate=PauseGate(clock), clock=clock, random=chance)
    schedule = PollScheduler(Polling(first=0.1), limiter, clock=clock, random=chance)
    report = TaskReport(state=TaskState.RUNNING, progress=0.5, word="RUNNING")
    before = _rows.memory("self")
    for number in range(HELD):
        schedule.add(
            InFlight(
                key=f"{number:032x}",
                task_id=f"{number + HELD:032x}",
                workflow="card",
                name=f"a-horse-number-{number}",
                attempt=1,
                attempts=1,
                submitted_at=time.time(),
                since=clock(),
            )
        )
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LOOKING):
            while (task := await schedule.next()) is not None:
                schedule.report_running(task, report)
    print(2**20 * (_rows.memory("self") - before) / len(schedule))


def show_memory() -> None:
    """Print what a task in flight takes."""
    _rows.head("memory of a task in flight", "bytes")
    command = [sys.executable, "-m", "tests.bench.scale", "--hold"]
    held = float(
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout
    )
    rows = {f"{HELD:,} in the schedule": held, f"{FLYING:,} in a run": flying()}
    for name, size in rows.items():
        _rows.show(name, f"{size:.0f}", goal=f"≤ {SMALL}", ok=size <= SMALL)


def flying() -> float:
    """Return the bytes that a run grows by with each task in flight; none of them ends."""
    settings = f"limits: {{rate: 100000/s, in_flight: {FLYING}, poll_rate: 100/s}}\n"
    with _rows.Service("--seconds", 3600) as service:
        command = [*_rows.FAST, "run", str(_rows.manifest(FLYING, settings)), "--quiet", "--yes"]
        run = subprocess.Popen(command, env=os.environ | service.environment)
        try:
            few, many = (_size_at(count, run, service) for count in (FLYING // 10, FLYING))
        finally:
            run.kill()
            run.wait()
    return 2**20 * (many - few) / (FLYING - FLYING // 10)


def _size_at(count: int, run: subprocess.Popen[bytes], service: _rows.Service) -> float:
    """Return the MB of a run as soon as it has made so many creates."""
    end = time.monotonic() + 300
    while service.creates() < count:
        if run.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"a run did not bring {count} tasks in flight")
        time.sleep(0.1)
    return _rows.memory(run.pid)


class Bound(NamedTuple):
    """A run in which one thing leaves no choice. Seconds, tasks, creates a second."""

    name: str
    items: int
    pace: float
    in_flight: int
    seconds: float
    slots: int = 1_000_000
    polling: str = "polling: {first: 0.1s, shortest: 0.05s, request_cost: 0.005s}\n"

    @property
    def least(self) -> float:
        """Return the seconds that nobody can be under."""
        at_once = min(self.slots, self.in_flight)
        queued = (math.ceil(self.items / at_once) - 1) * self.seconds
        return max((self.items - 1) / self.pace, queued) + self.seconds

    @property
    def settings(self) -> str:
        """Return the manifest's blocks."""
        limits = f"{{rate: {self.pace:g}/s, in_flight: {self.in_flight}, poll_rate: 1000/s}}"
        return f"limits: {limits}\n{self.polling}"


BOUNDS = (
    Bound("pace 25/s", 1001, 25, 200, 0.5),
    Bound("40 in flight, 2 s each", 800, 1000, 40, 2.0),
    Bound("40 in flight, 2 s each, polling by default", 800, 1000, 40, 2.0, polling=""),
    Bound("40 in flight, 10 s each, polling by default", 240, 1000, 40, 10.0, polling=""),
    Bound("40 slots, 2 s each", 800, 1000, 200, 2.0, slots=40),
)


def show_wall() -> None:
    """Print the wall time of whole runs."""
    _rows.head("wall time, s", "least", "run", "to first", "× least")
    threads = []
    for number, bound in enumerate(BOUNDS):
        # One starts after the other: starting is the only time when they want the processor.
        threads.append(threading.Thread(target=show_bound, args=(bound, 3.0 * number)))
        threads[-1].start()
    for thread in threads:
        thread.join()


def show_bound(bound: Bound, delay: float) -> None:
    """Run one of them and print its row."""
    time.sleep(delay)
    with _rows.Service(
        *("--bytes", BYTES, "--seconds", bound.seconds, "--slots", bound.slots)
    ) as service:
        path = _rows.manifest(bound.items, bound.settings)
        begun = time.monotonic()
        spent = _rows.run(_rows.FAST, path, service, limit=300)
    times = spent.wall / bound.least
    first = service.seen["first"] - begun
    cells = (f"{bound.least:.2f}", f"{spent.wall:.2f}", f"{first:.2f}", f"{times:.3f}")
    _rows.show(bound.name, *cells, goal=f"≤ {WALL}", ok=times <= WALL)


def main(arguments: list[str]) -> None:
    """Print the rows that are asked for."""
    parser = argparse.ArgumentParser(prog="tests.bench.scale")
    parser.add_argument("words", nargs="*", help="items, memory, wall")
    parser.add_argument("--full", action="store_true", help="up to 100,000 items")
    parser.add_argument("--hold", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.hold:
        asyncio.run(hold())
        return
    words = asked.words or ["items", "memory", "wall"]
    if "items" in words:
        show_items(*((FULL, FULL_ROUNDS) if asked.full else (SIZES, ROUNDS)))
    if "memory" in words:
        show_memory()
    if "wall" in words:
        show_wall()


if __name__ == "__main__":
    main(sys.argv[1:])
