"""The pacer in virtual time: how many tokens, how many in any window, who gets them."""

from __future__ import annotations

import asyncio
import random

import pytest

from batch_runner.ratelimit.limiter import PauseGate, RateLimiter
from batch_runner.units import Rate, parse_rate
from tests.bench._windows import most_in

pytestmark = pytest.mark.anyio


def a_pacer(rate: str | Rate, gate: PauseGate | None = None) -> RateLimiter:
    clock = asyncio.get_running_loop().time
    return RateLimiter(
        parse_rate(rate), gate=gate or PauseGate(clock), clock=clock, random=random.Random(7)
    )


@pytest.mark.parametrize("text", ["1/s", "10/s", "100/s", "300/min", "1/2s", "2.5/s", "0.5/s"])
async def test_the_limit_is_used_and_never_exceeded_in_any_window(text: str) -> None:
    limiter, rate = a_pacer(text), parse_rate(text)

    moments = [await limiter.token() for _ in range(max(20, int(rate.count * 3)))]

    used = (len(moments) - 1) / (moments[-1] - moments[0]) / rate.per_second
    # Real time goes on beside the virtual: what this machine needs to compute is lost here.
    assert used > 0.9
    assert used <= 1 + 1 / (len(moments) - 1)
    assert most_in(moments, rate.seconds) <= max(1, -(-rate.count // 1))


async def left_after(rate: str, pause: float = 0.0) -> list[float]:
    """Return how long after its token each request left that waited for a shared commit.

    Once as many have been sent as the limit's period allows; each is sent `pause` after the last.
    """
    loop = asyncio.get_running_loop()
    limiter, every = a_pacer(rate), 0.008
    left = []

    async def send(given: float) -> None:
        await asyncio.sleep(every - loop.time() % every)
        await limiter.in_step(given)
        left.append(loop.time() - given)

    for _ in range(int(parse_rate(rate).count)):
        await asyncio.sleep(pause)
        await limiter.token()
    async with asyncio.TaskGroup() as sends:
        for _ in range(50):
            await asyncio.sleep(pause)
            sends.create_task(send(await limiter.token()))
    return left


async def test_at_a_high_pace_what_shares_a_commit_does_not_leave_in_a_bunch() -> None:
    assert min(await left_after("100/s")) > 0.0099


@pytest.mark.parametrize(("rate", "pause"), [("20/s", 0.0), ("100/s", 0.02)], ids=["low", "unused"])
async def test_nothing_waits_for_evenness_where_the_limit_is_low_or_not_used(
    rate: str, pause: float
) -> None:
    assert min(await left_after(rate, pause)) < 0.0099


async def test_there_is_no_burst_at_the_start() -> None:
    limiter = a_pacer("10/s")

    moments = [await limiter.token() for _ in range(3)]

    assert moments[1] - moments[0] > 0.085
    assert moments[2] - moments[0] > 0.18


async def test_what_a_stalled_caller_missed_is_not_made_up_for() -> None:
    limiter = a_pacer("100/s")
    await limiter.token()
    await asyncio.sleep(60)

    moments = [await limiter.token() for _ in range(50)]

    assert most_in(moments, 0.1) <= 10 + 2


async def test_nobody_passes_while_the_gate_is_closed() -> None:
    loop = asyncio.get_running_loop()
    gate = PauseGate(loop.time)
    limiter = a_pacer("10/s", gate)
    await limiter.token()
    closed_at = loop.time()
    gate.close(30)
    loop.call_later(20, gate.close, 40)

    assert await limiter.token() >= closed_at + 60


async def test_a_429_closes_the_gate_for_everyone_with_retry_after_as_a_floor() -> None:
    loop = asyncio.get_running_loop()
    gate = PauseGate(loop.time)
    submissions, polls = a_pacer("10/s", gate), a_pacer("10/s", gate)
    sent = await submissions.token()

    submissions.limited(20.0, sent=sent)

    assert await polls.token() >= sent + 20
    assert polls.rate_now == 10
    assert submissions.rate_now < 10


async def test_without_retry_after_the_pauses_grow_while_nothing_is_accepted() -> None:
    clock = asyncio.get_running_loop().time
    gate = PauseGate(clock)
    limiter = a_pacer("10/s", gate)
    pauses = []
    for _ in range(6):
        sent = await limiter.token()
        limiter.limited(None, sent=sent)
        pauses.append(gate.closed_for(clock()))

    assert pauses == sorted(pauses)
    assert pauses[-1] > 8 * pauses[0]


async def test_after_a_cut_tokens_come_at_the_lower_rate() -> None:
    limiter = a_pacer("40/s")
    sent = await limiter.token()
    limiter.limited(0.0, sent=sent)
    await limiter.token()

    moments = [await limiter.token() for _ in range(11)]

    assert 10 / (moments[-1] - moments[0]) == pytest.approx(limiter.rate_now, rel=0.1)


async def test_callers_are_served_in_the_order_they_came() -> None:
    limiter, order = a_pacer("50/s"), []

    async def caller(name: int) -> None:
        await limiter.token()
        order.append(name)

    async with asyncio.TaskGroup() as tasks:
        for name in range(8):
            tasks.create_task(caller(name))

    assert order == list(range(8))


async def test_a_cancelled_caller_takes_no_token() -> None:
    limiter = a_pacer("1/2s")
    first = await limiter.token()
    waiting = asyncio.create_task(limiter.token())
    await asyncio.sleep(1.0)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert await limiter.token() - first == pytest.approx(2.0, abs=0.1)


async def test_a_night_of_nothing_but_429s_ends_like_any_other() -> None:
    """Each pause doubles up to half a minute; two to the power of a thousand is no float."""
    limiter = a_pacer("1/s")

    for _ in range(1200):
        await limiter.token()
        limiter.limited(None)

    gate = asyncio.get_running_loop().time()
    await limiter.token()
    assert asyncio.get_running_loop().time() - gate < 120
