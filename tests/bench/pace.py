"""Pace: how much of the limit is used, and the most that arrive in any window of its period.

    python -m tests.bench.pace             every row
    python -m tests.bench.pace 1000/s 429  the rows whose name holds a word

Arrivals are stamped by another process at the end of a socket, so what is measured is what a
server sees. Beside the pacer: aiolimiter as it is mostly used, and the whole command, whose creates
wait for commits and share two cores with the server. The rows with 429s are played in
virtual time against a service that enforces a limit four times below the configured one.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import multiprocessing
import random
import socket
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

from aiolimiter import AsyncLimiter

from batch_runner.ratelimit.limiter import LocalRateLimiter
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.units import Rate
from tests.bench import _rows
from tests.bench._windows import most_in
from tests.clock import VirtualTimeLoop

SECONDS, COMMAND = 6.0, 10.0  # of each rate, and with the whole command
WAYS = [0.05, 0.3]  # seconds there and back, in the rows with 429s
ITEMS = 150  # over which further 429s are counted


def stamp(arrivals: socket.socket, answer: Connection) -> None:
    """Note when each byte arrives; send the moments when the other end closes."""
    answer.send("ready")
    moments: list[float] = []
    while got := arrivals.recv(65536):
        moments += [time.monotonic()] * len(got)
    answer.send(moments)


def measure(make: Callable[[], Callable[[], Awaitable[object]]], seconds: float) -> list[float]:
    """Return when the tokens of `seconds` arrived in another process."""
    near, far = socket.socketpair()
    ours, theirs = multiprocessing.Pipe()
    # Not forked: a copy of our end in the child would keep the stream open for ever.
    fresh = multiprocessing.get_context("spawn")
    stamper = fresh.Process(target=stamp, args=(far, theirs), daemon=True)
    stamper.start()
    far.close()
    ours.recv()

    async def send() -> None:
        token = make()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await token()
            near.send(b".")

    asyncio.run(send())
    near.close()
    moments: list[float] = ours.recv()
    stamper.join()
    return moments


def pacer(rate: Rate) -> Callable[[], Awaitable[object]]:
    """Return our way to a token."""
    clock = asyncio.get_running_loop().time
    return LocalRateLimiter(
        rate, gate=PauseGate(clock), clock=clock, random=random.Random(1)
    ).acquire


def plain(rate: Rate) -> Callable[[], Awaitable[object]]:
    """Return the way of aiolimiter's first example."""
    return AsyncLimiter(rate.count, rate.seconds).acquire


def show(rate: Rate) -> None:
    """Measure one rate and print its row."""
    seconds = max(SECONDS, 5 * rate.seconds)
    used, worst = usage(measure(lambda: pacer(rate), seconds), rate)
    plain_used, plain_worst = usage(measure(lambda: plain(rate), seconds), rate)
    plainly = f"AsyncLimiter({rate.count:g}, {rate.seconds:g}), {plain_used:.1%} used"
    _rows.keep(f"pace {rate}", f"batch-runner, {used:.1%} used", worst)
    _rows.keep(f"pace {rate}", plainly, plain_worst)
    cells = f"{used:12.3f}{worst:8d}{plain_used:12.3f}{plain_worst:8d}"
    print(f"{rate!s:34}{cells}   {verdict(used, worst, rate.count)}", flush=True)


def usage(moments: list[float], rate: Rate) -> tuple[float, int]:
    """Return the part of the rate that was used, and the most in any of its periods."""
    used = (len(moments) - 1) / (moments[-1] - moments[0]) / rate.per_second
    return used, most_in(moments, rate.seconds)


def show_command(count: int) -> None:
    """Carry ten seconds of items with the command and print what the server saw of its creates."""
    items = int(count * COMMAND)
    settings = f"limits: {{rate: {count}/s, in_flight: 10000, poll_rate: 10000/s}}\n"
    with _rows.Service("--bytes", 1000) as service:
        _rows.run(_rows.FAST, _rows.manifest(items, settings), service)
    used = (items - 1) / service.seen["span"] / count
    worst = int(service.seen["worst"])
    name = f"{count}/s, the whole command"
    cells = f"{used:12.3f}{worst:8d}{'':20}"
    print(f"{name:34}{cells}   {verdict(used, worst, count)}", flush=True)


def verdict(used: float, worst: int, count: float) -> str:
    """Return the goal at a limit of that count, and whether it is met."""
    met = used >= 0.99 and worst <= count + 1
    return f"≥ 0.99, ≤ {count + 1:g}  {'ok' if met else 'MISSED'}"


class Strict:
    """A service that takes `limit` in any window of `seconds`, and answers 429 beyond."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._taken: deque[float] = deque()
        self._limit, self._seconds = limit, seconds

    def ask(self, now: float) -> float | None:
        """Return None when the request is taken, or else Retry-After in seconds."""
        while self._taken and self._taken[0] <= now - self._seconds:
            self._taken.popleft()
        if len(self._taken) < self._limit:
            self._taken.append(now)
            return None
        return math.ceil(self._taken[0] + self._seconds - now)


async def play(way: float, limit: int, *, told: bool) -> tuple[int, float]:
    """Return the 429s after the first incident in 150 items, and what was used a minute later."""
    loop = asyncio.get_running_loop()
    chance = random.Random(3)
    pace = LocalRateLimiter(
        Rate(limit * 4, 1), gate=PauseGate(loop.time), clock=loop.time, random=chance
    )
    service = Strict(limit, 1.0)
    taken: list[float] = []
    refused: list[tuple[float, int]] = []  # when it was sent, how many were taken before

    async def create(sent: float) -> None:
        await asyncio.sleep(way * chance.uniform(0.4, 0.6))
        retry_after = service.ask(loop.time())
        await asyncio.sleep(way / 2)
        if retry_after is None:
            taken.append(loop.time())
            pace.accepted()
        else:
            refused.append((sent, len(taken)))
            pace.limited(retry_after if told else None, acquired_at=sent)

    async with asyncio.TaskGroup() as tasks:
        end = loop.time() + 100
        while loop.time() < end:
            tasks.create_task(create(await pace.acquire()))
    first, before = refused[0]
    further = [sent for sent, had in refused if sent > first + way and had < before + ITEMS]
    later = [moment for moment in taken if 60 <= moment - first < 95]
    return len(further), len(later) / 35 / limit


def show_429(way: float, limit: int, *, told: bool) -> None:
    """Play one service that enforces its limit and print its row."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        further, used = runner.run(play(way, limit, told=told))
    verdict = "ok" if further <= 5 and used >= 0.9 else "MISSED"
    name = f"429: {limit * 4}/s at a limit of {limit}/s, {1000 * way:.0f} ms"
    name += "" if told else ", no time told"
    print(f"{name:54}{further:4d} further {used:8.3f} used   ≤ 5, ≥ 0.9  {verdict}", flush=True)


def main(words: list[str]) -> None:
    """Print every row that holds one of the words."""
    print(f"{'rate':34}{'used':>12}{'worst':>8}{'plain':>12}{'worst':>8}")
    for count in (1, 10, 100, 1000):
        if not words or any(word in f"{count}/s" for word in words):
            show(Rate(count, 1))
            if count > 1:
                show_command(count)
    if not words or "429" in words:
        for way in WAYS:
            for told in (True, False):
                show_429(way, 5, told=told)


if __name__ == "__main__":
    # By its own name, under which the stamping process finds `stamp`, whoever runs this.
    importlib.import_module("tests.bench.pace").main(sys.argv[1:])
