"""What every rate limiter must do, in virtual time; each implementation is a `param`."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from batch_runner.ratelimit.base import RateLimiter, SharedTokens
from batch_runner.ratelimit.limiter import LocalRateLimiter
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.ratelimit.postgres import PostgresRate, create_rates, open_postgres_rate
from batch_runner.ratelimit.shared_rate import open_shared_rate
from batch_runner.units import Rate, parse_rate
from tests.bench._windows import most_in
from tests.clock import VirtualTimeLoop
from tests.harness.postgres import postgres

pytestmark = pytest.mark.anyio

MakeLimiter = Callable[..., RateLimiter]


@pytest.fixture(params=["local", "file", "postgres"])
def make_limiter(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeLimiter]:
    """Return a function that makes limiters; those with one gate pause together."""
    with ExitStack() as stack:
        numbers = itertools.count()
        databases: list[PostgresRate] = []
        if request.param == "postgres":
            create_rates(postgres().dsn)

        def in_database(rate: Rate, clock: Callable[[], float]) -> PostgresRate:
            """Return a part in a rate in the database, on the clock of the test."""
            name = f"{tmp_path} {next(numbers)}"
            opened = open_postgres_rate(
                postgres().dsn, name, rate, clock=clock, database_clock=clock
            )
            databases.append(stack.enter_context(opened))
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualTimeLoop)
            loop.never_jump_while(lambda: any(one.busy for one in databases))
            return databases[-1]

        def make(rate: str, gate: PauseGate | None = None) -> RateLimiter:
            clock = asyncio.get_running_loop().time
            parsed, gate = parse_rate(rate), gate or PauseGate(clock)
            shared: SharedTokens | None
            if request.param == "postgres":
                shared = in_database(parsed, clock)
            else:
                path = tmp_path / str(next(numbers)) if request.param == "file" else None
                shared = stack.enter_context(open_shared_rate(path, parsed))
            return LocalRateLimiter(
                parsed, gate=gate, clock=clock, random=random.Random(7), shared=shared
            )

        yield make


@pytest.mark.parametrize("text", ["1/s", "10/s", "100/s", "300/min", "1/2s", "2.5/s", "0.5/s"])
async def test_limit_is_used_and_never_exceeded_in_any_window(
    make_limiter: MakeLimiter, text: str
) -> None:
    limiter, rate = make_limiter(text), parse_rate(text)

    times = [await limiter.acquire() for _ in range(max(20, int(rate.count * 3)))]

    used = (len(times) - 1) / (times[-1] - times[0]) / rate.per_second
    # Each round of the event loop takes a little virtual time, which is lost here.
    assert used > 0.9
    assert used <= 1 + 1 / (len(times) - 1)
    assert most_in(times, rate.seconds) <= max(1, -(-rate.count // 1))


async def lags_after_a_shared_commit(limiter: RateLimiter, rate: str, pause: float) -> list[float]:
    """Return the seconds from token to request, of requests that wait for a shared commit.

    They begin once as many have been sent as the limit's period allows, each `pause` seconds after
    the one before.
    """
    loop = asyncio.get_running_loop()
    commit_every = 0.008
    lags = []

    async def send(acquired_at: float) -> None:
        await asyncio.sleep(commit_every - loop.time() % commit_every)
        await limiter.align(acquired_at)
        lags.append(loop.time() - acquired_at)

    for _ in range(int(parse_rate(rate).count)):
        await asyncio.sleep(pause)
        await limiter.acquire()
    async with asyncio.TaskGroup() as requests:
        for _ in range(50):
            await asyncio.sleep(pause)
            requests.create_task(send(await limiter.acquire()))
    return lags


async def test_aligned_requests_of_one_commit_do_not_leave_together(
    make_limiter: MakeLimiter,
) -> None:
    limiter = make_limiter("100/s")

    assert min(await lags_after_a_shared_commit(limiter, "100/s", 0.0)) > 0.0099


@pytest.mark.parametrize(("rate", "pause"), [("20/s", 0.0), ("100/s", 0.02)], ids=["low", "unused"])
async def test_align_waits_for_nothing_at_a_low_or_unused_rate(
    make_limiter: MakeLimiter, rate: str, pause: float
) -> None:
    assert min(await lags_after_a_shared_commit(make_limiter(rate), rate, pause)) < 0.0099


@pytest.mark.parametrize("text", ["10/s", "100/s", "1000/s"])
async def test_requests_behind_slow_commits_do_not_exceed_the_limit(
    make_limiter: MakeLimiter, text: str
) -> None:
    limiter, rate = make_limiter(text), parse_rate(text)
    loop, rng = asyncio.get_running_loop(), random.Random(3)
    sent: list[float] = []
    lags: list[float] = []

    async def send(acquired_at: float, commit: float) -> None:
        await asyncio.sleep(commit)
        await limiter.align(acquired_at)
        sent.append(loop.time())
        lags.append(loop.time() - acquired_at)

    async with asyncio.TaskGroup() as requests:
        for _ in range(int(rate.count * 12)):
            commit = 0.25 if rng.random() < 0.1 else 0.005
            requests.create_task(send(await limiter.acquire(), commit))

    assert most_in(sent, rate.seconds) <= rate.count + (1 if rate.count <= 10 else 0)
    assert (len(sent) - 1) / (sent[-1] - sent[0]) / rate.per_second > 0.95
    assert max(lags) < 0.5


async def test_first_tokens_do_not_come_in_a_burst(make_limiter: MakeLimiter) -> None:
    limiter = make_limiter("10/s")

    times = [await limiter.acquire() for _ in range(3)]

    assert times[1] - times[0] > 0.085
    assert times[2] - times[0] > 0.18


async def test_tokens_missed_by_a_stalled_caller_are_lost(make_limiter: MakeLimiter) -> None:
    limiter = make_limiter("100/s")
    await limiter.acquire()
    await asyncio.sleep(60)

    times = [await limiter.acquire() for _ in range(50)]

    assert most_in(times, 0.1) <= 10 + 2


async def test_no_token_is_given_while_the_gate_is_closed(make_limiter: MakeLimiter) -> None:
    loop = asyncio.get_running_loop()
    gate = PauseGate(loop.time)
    limiter = make_limiter("10/s", gate)
    await limiter.acquire()
    closed_at = loop.time()
    gate.close(30)
    loop.call_later(20, gate.close, 40)

    assert await limiter.acquire() >= closed_at + 60


async def test_429_pauses_every_limiter_of_the_gate(make_limiter: MakeLimiter) -> None:
    """Retry-After is the least time; one 429 reduces no rate."""
    gate = PauseGate(asyncio.get_running_loop().time)
    submissions, polls = make_limiter("10/s", gate), make_limiter("10/s", gate)
    acquired_at = await submissions.acquire()

    submissions.limited(20.0, acquired_at=acquired_at)

    assert await polls.acquire() >= acquired_at + 20
    assert polls.rate_now == 10
    assert submissions.rate_now == 10


async def overload(limiter: RateLimiter) -> None:
    """Let every second request be limited until the rate is reduced."""
    before = limiter.rate_now
    while limiter.rate_now == before:
        await limiter.acquire()
        limiter.accepted()
        limiter.limited(0.0, acquired_at=await limiter.acquire())


async def test_many_429s_reduce_only_the_rate_of_their_calls(make_limiter: MakeLimiter) -> None:
    gate = PauseGate(asyncio.get_running_loop().time)
    submissions, polls = make_limiter("10/s", gate), make_limiter("10/s", gate)

    await overload(submissions)

    assert polls.rate_now == 10
    assert submissions.rate_now < 6


async def test_pauses_grow_while_nothing_is_accepted(make_limiter: MakeLimiter) -> None:
    clock = asyncio.get_running_loop().time
    gate = PauseGate(clock)
    limiter = make_limiter("10/s", gate)
    pauses = []
    for _ in range(6):
        acquired_at = await limiter.acquire()
        limiter.limited(None, acquired_at=acquired_at)
        pauses.append(gate.closed_for(clock()))

    assert pauses == sorted(pauses)
    assert pauses[-1] > 8 * pauses[0]


@pytest.mark.parametrize("rate", ["10/s", "40/s", "400/s"])
async def test_tokens_come_at_the_reduced_rate_after_429s(
    make_limiter: MakeLimiter, rate: str
) -> None:
    limiter = make_limiter(rate)
    await overload(limiter)
    await limiter.acquire()

    times = [await limiter.acquire() for _ in range(11)]

    assert 10 / (times[-1] - times[0]) == pytest.approx(limiter.rate_now, rel=0.1)
    assert limiter.rate_now < parse_rate(rate).per_second * 0.7


async def test_callers_are_served_in_the_order_they_came(make_limiter: MakeLimiter) -> None:
    limiter, order = make_limiter("50/s"), []

    async def caller(number: int) -> None:
        await limiter.acquire()
        order.append(number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(caller(number))

    assert order == list(range(8))


async def test_cancelled_caller_takes_no_token(make_limiter: MakeLimiter) -> None:
    limiter = make_limiter("1/2s")
    first = await limiter.acquire()
    waiting = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(1.0)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert await limiter.acquire() - first == pytest.approx(2.0, abs=0.1)


async def test_a_thousand_429s_in_a_row_leave_the_pause_bounded(make_limiter: MakeLimiter) -> None:
    limiter = make_limiter("1/s")

    for _ in range(1200):  # more than 2.0 ** n can count
        await limiter.acquire()
        limiter.limited(None)

    before = asyncio.get_running_loop().time()
    assert await limiter.acquire() - before < 120
