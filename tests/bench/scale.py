"""Scale: CPU and memory per item for few and many items, wall time over the least possible.

    python -m tests.bench.scale                        every row
    python -m tests.bench.scale --full items           up to 100,000 items; takes long
    python -m tests.bench.scale items memory wall      the rows of that kind

`items`: CPU milliseconds of one more item between one size and the next, interleaved with the bare
client at the same sizes; the goal is that our multiple of its cost does not grow. `memory`: of a
task in flight, in the scheduler alone and in a run whose tasks never end. `wall`: complete runs,
start and report included, that are bound by the rate, by the tasks in flight or by the service's
slots. They wait nearly all the time, so they run at the same time.
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
HELD, POLLING = 100_000, 5.0  # tasks in the scheduler alone, seconds of polling
IN_FLIGHT = 10_000  # tasks of a run
SMALL = 1024  # bytes of a task in flight
LONG, LONG_WALL, WALL = 30.0, 1.02, 1.05  # seconds of a long task; goals × the least possible
BYTES = 1000  # of a file


def run_client(client: Sequence[str], items: int) -> _rows.Usage:
    """Run a client with small files."""
    with _rows.Server("--bytes", BYTES) as server:
        if client is FLOOR:
            return _rows.measure_process([*client, server.url, str(items), str(_rows.new_folder())])
        return _rows.run(client, _rows.manifest(items), server)


def show_items(sizes: Sequence[int], rounds: int) -> None:
    """Print the CPU time of one more item between sizes, and the peak memory at each."""
    _rows.print_head(
        "scale: CPU of one more item",
        *("ms", "floor", "× floor", "spread", "peak MB"),
        means="Whether a long job costs more for each item than a short one.",
    )
    clients = {"ours": _rows.FAST, "floor": FLOOR}
    runs = {
        f"{name} {size}": functools.partial(run_client, client, size)
        for size in sizes
        for name, client in clients.items()
    }
    usage = _rows.interleave(runs, rounds)
    times = []
    for few, many in pairwise(sizes):
        ours, floor = (
            [
                1000 * (more.cpu - less.cpu) / (many - few)
                for less, more in zip(usage[f"{name} {few}"], usage[f"{name} {many}"], strict=True)
            ]
            for name in clients
        )
        times.append(_rows.ratio(ours, floor))
        peak = statistics.median(each.peak for each in usage[f"ours {many}"])
        cells = (f"{statistics.median(ours):.2f}", f"{statistics.median(floor):.2f}")
        more = (f"{times[-1]:.2f}", f"{_rows.spread(ours):.0%}", f"{peak:.0f}")
        _rows.print_row(f"from {few:,} to {many:,} items", *cells, *more)
    growth = times[-1] / times[0]
    _rows.print_row("growth of cost", "", "", f"{growth:.2f}", goal=f"≤ {FLAT}", ok=growth <= FLAT)
    few_peak, many_peak = (
        statistics.median(each.peak for each in usage[f"ours {size}"])
        for size in (sizes[0], sizes[-1])
    )
    _rows.print_row(
        f"peak at {sizes[0]:,} and {sizes[-1]:,}, MB", f"{few_peak:.0f}", f"{many_peak:.0f}"
    )


async def hold() -> None:
    """Print the bytes of each task in a scheduler, after some seconds of polling."""
    clock = asyncio.get_running_loop().time
    rng = random.Random(1)
    limiter = LocalRateLimiter(Rate(10_000, 1), gate=PauseGate(clock), clock=clock, random=rng)
    scheduler = PollScheduler(Polling(first=0.1), limiter, clock=clock, random=rng)
    report = TaskReport(state=TaskState.RUNNING, progress=0.5, word="RUNNING")
    before = _rows.memory("self")
    for number in range(HELD):
        scheduler.add(
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
        async with asyncio.timeout(POLLING):
            while (task := await scheduler.next()) is not None:
                scheduler.report_running(task, report)
    print(2**20 * (_rows.memory("self") - before) / len(scheduler))


def show_memory() -> None:
    """Print the bytes of a task in flight."""
    _rows.print_head(
        "scale: memory of a task in flight",
        "bytes",
        means="How many tasks may wait at the service at once: 100,000 of 1 KB need 100 MB.",
    )
    command = [sys.executable, "-m", "tests.bench.scale", "--hold"]
    held = float(
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout
    )
    rows = {f"{HELD:,} in the scheduler": held, f"{IN_FLIGHT:,} in a run": in_flight_bytes()}
    for name, size in rows.items():
        _rows.print_row(name, f"{size:.0f}", goal=f"≤ {SMALL}", ok=size <= SMALL)


def in_flight_bytes() -> float:
    """Return the bytes by which a run grows with each task in flight; none of them ends."""
    settings = f"limits: {{rate: 100000/s, in_flight: {IN_FLIGHT}, poll_rate: 100/s}}\n"
    with _rows.Server("--seconds", 3600) as server:
        command = [*_rows.FAST, "run", str(_rows.manifest(IN_FLIGHT, settings)), "--quiet", "--yes"]
        run = subprocess.Popen(command, env=os.environ | server.environment)
        try:
            few, many = (_size_at(count, run, server) for count in (IN_FLIGHT // 10, IN_FLIGHT))
        finally:
            run.kill()
            run.wait()
    return 2**20 * (many - few) / (IN_FLIGHT - IN_FLIGHT // 10)


def _size_at(count: int, run: subprocess.Popen[bytes], server: _rows.Server) -> float:
    """Return the MB of a run as soon as it has submitted `count` tasks."""
    end = time.monotonic() + 300
    while server.counts()["submissions"] < count:
        if run.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"the run did not submit {count} tasks in 300 s")
        time.sleep(0.1)
    return _rows.memory(run.pid)


class Bound(NamedTuple):
    """A run bound by one limit: items, submissions per second, tasks in flight, seconds, slots."""

    name: str
    items: int
    rate: float
    in_flight: int
    seconds: float
    slots: int = 1_000_000
    polling: str = "polling: {first: 0.1s, shortest: 0.05s, request_cost: 0.005s}\n"
    drawn: str = ""  # its bar in the chart, if it has one

    @property
    def least(self) -> float:
        """Return the least possible seconds."""
        at_once = min(self.slots, self.in_flight)
        queued = (math.ceil(self.items / at_once) - 1) * self.seconds
        return max((self.items - 1) / self.rate, queued) + self.seconds

    @property
    def settings(self) -> str:
        """Return the settings for the manifest."""
        limits = f"{{rate: {self.rate:g}/s, in_flight: {self.in_flight}, poll_rate: 1000/s}}"
        return f"limits: {limits}\n{self.polling}"


BOUNDS = (
    Bound("rate 25/s", 1001, 25, 200, 0.5, drawn="40 s of submissions"),
    Bound("40 in flight, 2 s each", 800, 1000, 40, 2.0),
    Bound("40 in flight, 2 s each, polling by default", 800, 1000, 40, 2.0, polling=""),
    Bound("40 in flight, 10 s each, polling by default", 240, 1000, 40, 10.0, polling=""),
    Bound(
        "40 in flight, 30 s each, polling by default",
        120,
        1000,
        40,
        30.0,
        polling="",
        drawn="90 s of tasks",
    ),
    Bound("40 slots, 2 s each", 800, 1000, 200, 2.0, slots=40, drawn="40 s of a queue"),
)


def show_wall() -> None:
    """Print the wall time of complete runs."""
    _rows.print_head(
        "scale: wall time, s",
        *("least", "run", "to first", "× least"),
        means="Time of a complete run, beside the least that your limits and the service allow: "
        "what is above 1 is lost by the program.",
    )
    threads = []
    for number, bound in enumerate(BOUNDS):
        # Not all at once: only the start needs much CPU.
        threads.append(threading.Thread(target=show_bound, args=(bound, 3.0 * number)))
        threads[-1].start()
    for thread in threads:
        thread.join()


def show_bound(bound: Bound, delay: float) -> None:
    """Run one after `delay` seconds and print its row."""
    time.sleep(delay)
    with _rows.Server(
        *("--bytes", BYTES, "--seconds", bound.seconds, "--slots", bound.slots)
    ) as server:
        path = _rows.manifest(bound.items, bound.settings)
        begun = time.monotonic()
        usage = _rows.run(_rows.FAST, path, server, limit=300)
    times = usage.wall / bound.least
    goal = LONG_WALL if bound.seconds >= LONG else WALL
    first = server.seen["first"] - begun
    cells = (f"{bound.least:.2f}", f"{usage.wall:.2f}", f"{first:.2f}", f"{times:.3f}")
    _rows.print_row(bound.name, *cells, goal=f"≤ {goal}", ok=times <= goal)
    if bound.drawn:
        _rows.store_figure("wall", f"batch-runner, {bound.drawn}", times)


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
