"""Requests through the rate limiter to services that answer 429, in virtual time."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

import pytest

from batch_runner.ratelimit.limiter import LocalRateLimiter
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.units import parse_rate

pytestmark = pytest.mark.anyio

#: Whether a service accepts a request at a time in seconds.
Service = Callable[[float], bool]


class Traffic:
    """What happened to the requests of some minutes: when each was answered, and if accepted."""

    def __init__(self) -> None:
        self.answers: list[tuple[float, bool]] = []

    def accepted(self, since: float, until: float) -> float:
        """Return the accepted requests per second."""
        return sum(ok for at, ok in self.answers if since <= at < until) / (until - since)

    def limited(self, since: float, until: float) -> int:
        """Return the number of 429s."""
        return sum(not ok for at, ok in self.answers if since <= at < until)


async def send(
    service: Service, seconds: float, *, latency: float = 0.05, retry_after: float | None = None
) -> Traffic:
    """Send as many requests as the limiter allows at a setting of 10/s."""
    clock = asyncio.get_running_loop().time
    limiter = LocalRateLimiter(
        parse_rate("10/s"), gate=PauseGate(clock), clock=clock, random=random.Random(1)
    )
    traffic, start = Traffic(), clock()

    async def request(acquired_at: float) -> None:
        accepted = service(clock() - start)
        await asyncio.sleep(latency)
        traffic.answers.append((clock() - start, accepted))
        if accepted:
            limiter.accepted()
        else:
            limiter.limited(retry_after, acquired_at=acquired_at)

    async with asyncio.TaskGroup() as requests:
        while clock() - start < seconds:
            requests.create_task(request(await limiter.acquire()))
    return traffic


def at_random(share: float, seed: int) -> Service:
    """Return a service that rejects this share of the requests, whatever the rate."""
    chance = random.Random(seed)
    return lambda _: chance.random() >= share


def a_limit(per_second: float, burst: int) -> Service:
    """Return a service that accepts so many requests per second, and at first `burst` at once."""
    due = 0.0

    def accepts(now: float) -> bool:
        nonlocal due
        if due - (burst - 1) / per_second > now + 1e-6:
            return False
        due = max(due, now) + 1 / per_second
        return True

    return accepts


@pytest.mark.parametrize(("latency", "seed"), [(0.05, 1), (1.0, 2)])
async def test_random_429s_of_5_percent_hardly_slow_the_run(latency: float, seed: int) -> None:
    traffic = await send(at_random(0.05, seed), 120, latency=latency)

    assert traffic.limited(0, 120) > 30
    assert traffic.accepted(0, 120) >= 8


@pytest.mark.parametrize(
    ("burst", "latency", "retry_after"),
    [(3, 0.05, None), (10, 1.0, None), (10, 0.05, 1.0), (3, 1.0, 1.0)],
)
async def test_true_limit_is_approached_with_few_429s(
    burst: int, latency: float, retry_after: float | None
) -> None:
    service = a_limit(3, burst)

    traffic = await send(service, 200, latency=latency, retry_after=retry_after)

    assert traffic.limited(0, 60) <= 40
    assert 2.6 <= traffic.accepted(80, 200) <= 3.1
    assert traffic.limited(60, 200) <= 6


async def test_limit_that_is_lifted_is_noticed() -> None:
    limited = a_limit(3, 3)

    traffic = await send(lambda now: now > 30 or limited(now), 150)

    assert traffic.accepted(10, 30) < 3.1
    assert traffic.accepted(130, 150) > 9


@pytest.mark.parametrize("seconds", [2, 60])
async def test_outage_of_429s_leaves_the_rate_as_it_was(seconds: float) -> None:
    """The last pause may be as long as the longest one; then all is as before."""
    traffic = await send(lambda now: not 20 <= now < 20 + seconds, 150)

    assert traffic.accepted(0, 20) > 9.5
    assert traffic.limited(20, 20 + seconds) < 20
    assert traffic.accepted(20 + seconds + 31, 150) > 9.5


async def test_log_says_when_the_rate_is_reduced_and_restored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "batch_runner.ratelimit.limiter")
    limited = a_limit(3, 3)

    await send(lambda now: now > 10 or limited(now), 120)

    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith("many 429 responses: requests are reduced from 10/s to ")
    assert said[-1] == "requests are sent at 10/s again"
