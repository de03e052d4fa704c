"""Submission rate: how much of the limit is used, and the most in any window of its period.

    python -m tests.bench.rate             every row
    python -m tests.bench.rate 1000/s 429  the rows whose name contains a word

Arrivals are timed by another process at the end of a socket, so the figures are what a server sees.
Compared are our rate limiter, aiolimiter as it is mostly used, and the complete command, whose
submissions wait for commits and share the cores with the server. The rows with 429s run in virtual
time, against a service that enforces a quarter of the configured limit: they show how many requests
it rejects, and how much of its limit is used a minute later.
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

SECONDS, COMMAND = 6.0, 10.0  # of each measurement: limiter, complete command
ROUND_TRIPS = [0.05, 0.3]  # seconds, in the rows with 429s
ITEMS = 150  # over which further 429s are counted


def record_arrivals(arrivals: socket.socket, result: Connection) -> None:
    """Record when each byte arrives; send the moments when the other end closes."""
    result.send("ready")
    moments: list[float] = []
    while got := arrivals.recv(65536):
        moments += [time.monotonic()] * len(got)
    result.send(moments)


def arrival_times(
    make: Callable[[], Callable[[], Awaitable[object]]], seconds: float
) -> list[float]:
    """Return when the tokens of that many seconds arrived in another process."""
    near, far = socket.socketpair()
    ours, theirs = multiprocessing.Pipe()
    # Not forked: the child would inherit our end, and the stream would never close.
    context = multiprocessing.get_context("spawn")
    recorder = context.Process(target=record_arrivals, args=(far, theirs), daemon=True)
    recorder.start()
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
    recorder.join()
    return moments


def our_limiter(rate: Rate) -> Callable[[], Awaitable[object]]:
    clock = asyncio.get_running_loop().time
    return LocalRateLimiter(
        rate, gate=PauseGate(clock), clock=clock, random=random.Random(1)
    ).acquire


def plain_limiter(rate: Rate) -> Callable[[], Awaitable[object]]:
    """Return aiolimiter as its first example uses it."""
    return AsyncLimiter(rate.count, rate.seconds).acquire


def show(rate: Rate) -> None:
    """Measure one rate and print its row."""
    seconds = max(SECONDS, 5 * rate.seconds)
    used, worst = usage(arrival_times(lambda: our_limiter(rate), seconds), rate)
    plain_used, plain_worst = usage(arrival_times(lambda: plain_limiter(rate), seconds), rate)
    plain_bar = f"AsyncLimiter({rate.count:g}, {rate.seconds:g}), {plain_used:.1%} used"
    _rows.store_figure(f"rate {rate}", f"batch-runner, {used:.1%} used", worst)
    _rows.store_figure(f"rate {rate}", plain_bar, plain_worst)
    plain = (f"{plain_used:.3f}", f"{plain_worst}")
    show_usage(f"{rate}, rate limiter", used, worst, rate.count, *plain)


def usage(moments: list[float], rate: Rate) -> tuple[float, int]:
    """Return the part of the rate that was used, and the most arrivals in any of its periods."""
    used = (len(moments) - 1) / (moments[-1] - moments[0]) / rate.per_second
    return used, most_in(moments, rate.seconds)


def show_command(count: int) -> None:
    """Run the command with ten seconds of items and print the submissions the server saw."""
    items = int(count * COMMAND)
    settings = f"limits: {{rate: {count}/s, in_flight: 10000, poll_rate: 10000/s}}\n"
    with _rows.Server("--bytes", 1000) as server:
        _rows.run(_rows.FAST, _rows.manifest(items, settings), server)
    used = (items - 1) / server.seen["span"] / count
    show_usage(f"{count}/s, complete command", used, int(server.seen["worst"]), count)


def show_usage(name: str, used: float, worst: int, count: float, *plain: str) -> None:
    """Print a row for a limit of `count`."""
    goal, ok = f"≥ 0.99, ≤ {count + 1:g}", used >= 0.99 and worst <= count + 1
    cells = (f"{used:.3f}", f"{worst}", *(plain or ("", "")))
    _rows.print_row(name, *cells, goal=goal, ok=ok)


class StrictService:
    """Accepts `limit` requests in any window of `seconds`, and answers 429 to others."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._accepted: deque[float] = deque()
        self._limit, self._seconds = limit, seconds

    def request(self, now: float) -> float | None:
        """Return None if the request is accepted, else Retry-After in seconds."""
        while self._accepted and self._accepted[0] <= now - self._seconds:
            self._accepted.popleft()
        if len(self._accepted) < self._limit:
            self._accepted.append(now)
            return None
        return math.ceil(self._accepted[0] + self._seconds - now)


async def play(round_trip: float, limit: int, *, retry_after: bool) -> tuple[int, float]:
    """Return the 429s after the first ones in 150 items, and the part used a minute later."""
    loop = asyncio.get_running_loop()
    rng = random.Random(3)
    limiter = LocalRateLimiter(
        Rate(limit * 4, 1), gate=PauseGate(loop.time), clock=loop.time, random=rng
    )
    service = StrictService(limit, 1.0)
    accepted: list[float] = []
    rejected: list[tuple[float, int]] = []  # when sent, how many were accepted before

    async def submit(sent: float) -> None:
        await asyncio.sleep(round_trip * rng.uniform(0.4, 0.6))
        wait = service.request(loop.time())
        await asyncio.sleep(round_trip / 2)
        if wait is None:
            accepted.append(loop.time())
            limiter.accepted()
        else:
            rejected.append((sent, len(accepted)))
            limiter.limited(wait if retry_after else None, acquired_at=sent)

    async with asyncio.TaskGroup() as tasks:
        end = loop.time() + 100
        while loop.time() < end:
            tasks.create_task(submit(await limiter.acquire()))
    first, before = rejected[0]
    further = [sent for sent, had in rejected if sent > first + round_trip and had < before + ITEMS]
    later = [moment for moment in accepted if 60 <= moment - first < 95]
    return len(further), len(later) / 35 / limit


def show_429(round_trip: float, limit: int, *, retry_after: bool) -> None:
    """Simulate a service that enforces its limit and print the row."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        further, used = runner.run(play(round_trip, limit, retry_after=retry_after))
    name = f"{limit * 4}/s at a limit of {limit}/s, {1000 * round_trip:.0f} ms"
    name += "" if retry_after else ", no Retry-After"
    ok = further <= 5 and used >= 0.9
    _rows.print_row(name, f"{further}", f"{used:.3f}", goal="≤ 5, ≥ 0.9", ok=ok)


def main(words: list[str]) -> None:
    """Print every row whose name contains one of the words."""
    _rows.print_head(
        "rate: submissions",
        *("used", "worst", "aiolimiter", "worst"),
        means="Part of the allowed submissions that was used, and the most in any window of the "
        "limit's period: less than 1 makes a run longer, more than the limit draws 429s.",
    )
    for count in (1, 10, 100, 1000):
        if not words or any(word in f"{count}/s" for word in words):
            show(Rate(count, 1))
            if count > 1:
                show_command(count)
    if not words or "429" in words:
        _rows.print_head(
            "rate: a limit that is four times too high",
            *("429s", "used"),
            means="Requests that the service rejects after the first ones, and part of its own "
            "limit that is used a minute later: what a wrong guess of the limit costs.",
        )
        for round_trip in ROUND_TRIPS:
            for retry_after in (True, False):
                show_429(round_trip, 5, retry_after=retry_after)


if __name__ == "__main__":
    # By its own name, so that the spawned process finds `record_arrivals` also under runpy.
    importlib.import_module("tests.bench.rate").main(sys.argv[1:])
