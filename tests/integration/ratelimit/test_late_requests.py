"""With other hosts, a request that is later than usual needs another token."""

from __future__ import annotations

import asyncio
import math
import random

import pytest

from batch_runner.ratelimit.limiter import LocalRateLimiter
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.units import parse_rate

pytestmark = pytest.mark.anyio


class CountedTokens:
    """A shared rate that always has tokens, and counts them."""

    rate_now = math.inf

    def __init__(self) -> None:
        self.taken = 0

    def take(self, now: float) -> float:
        self.taken += 1
        return 0.0

    def pause(self, now: float, seconds: float) -> None: ...

    def paused_for(self, now: float) -> float:
        return 0.0


def a_limiter(shared: CountedTokens, *, renew_late: bool) -> LocalRateLimiter:
    clock = asyncio.get_running_loop().time
    return LocalRateLimiter(
        parse_rate("20/s"),
        gate=PauseGate(clock, shared),
        clock=clock,
        random=random.Random(1),
        shared=shared,
        renew_late=renew_late,
    )


async def tokens_of(delays: list[float], *, renew_late: bool) -> int:
    """Return how many tokens requests take that are delayed by these seconds."""
    shared = CountedTokens()
    limiter = a_limiter(shared, renew_late=renew_late)
    for delay in delays:
        acquired_at = await limiter.acquire()
        await asyncio.sleep(delay)
        await limiter.align(acquired_at)
    return shared.taken


async def test_late_request_takes_another_token() -> None:
    assert await tokens_of([0.01, 0.2, 0.01], renew_late=True) == 4


async def test_delay_that_all_requests_have_costs_no_tokens() -> None:
    assert await tokens_of([0.2] * 100, renew_late=True) < 100 + 30


async def test_requests_leave_at_the_distances_of_their_tokens() -> None:
    clock, shared, rng = asyncio.get_running_loop().time, CountedTokens(), random.Random(2)
    limiter = a_limiter(shared, renew_late=True)
    lags: list[float] = []

    async def send(acquired_at: float, commit: float) -> None:
        await asyncio.sleep(commit)
        await limiter.align(acquired_at)
        lags.append(clock() - acquired_at)

    async with asyncio.TaskGroup() as requests:
        for _ in range(200):
            commit = rng.uniform(0.005, 0.025)
            requests.create_task(send(await limiter.acquire(), commit))

    assert max(lags[20:]) - min(lags[20:]) < 0.01  # that of commits is 0.02


async def test_late_request_on_one_host_keeps_its_token() -> None:
    assert await tokens_of([0.01, 0.2, 0.01], renew_late=False) == 3
