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


async def tokens_of(delays: list[float], *, renew_late: bool) -> int:
    """Return how many tokens requests take that are delayed by these seconds."""
    clock, shared = asyncio.get_running_loop().time, CountedTokens()
    limiter = LocalRateLimiter(
        parse_rate("20/s"),
        gate=PauseGate(clock, shared),
        clock=clock,
        random=random.Random(1),
        shared=shared,
        renew_late=renew_late,
    )
    for delay in delays:
        acquired_at = await limiter.acquire()
        await asyncio.sleep(delay)
        await limiter.align(acquired_at)
    return shared.taken


async def test_late_request_takes_another_token() -> None:
    assert await tokens_of([0.01, 0.2, 0.01], renew_late=True) == 4


async def test_delay_that_all_requests_have_costs_no_tokens() -> None:
    assert await tokens_of([0.2] * 100, renew_late=True) < 100 + 30


async def test_late_request_on_one_host_keeps_its_token() -> None:
    assert await tokens_of([0.01, 0.2, 0.01], renew_late=False) == 3
