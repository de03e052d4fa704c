"""What a 429 teaches about the rate, as tables of calls; and the gate. No loop, no clock."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from batch_runner.ratelimit.limiter import AdaptiveRate, PauseGate


def accept(adaption: AdaptiveRate, *, since: float, seconds: float) -> float:
    """Let requests be accepted at the present rate for a while; return the moment after."""
    now = since
    while now < since + seconds:
        now += 1 / adaption.rate
        adaption.accepted(now)
    return now


def test_the_rate_is_the_ceiling_until_something_is_limited() -> None:
    adaption = AdaptiveRate(10.0)

    accept(adaption, since=0, seconds=60)

    assert adaption.rate == 10.0


def test_a_429_out_of_the_blue_cuts_the_rate_to_a_quarter() -> None:
    adaption = AdaptiveRate(20.0)

    assert adaption.limited(1.0, sent=0.9)

    assert adaption.rate == 5.0


def test_429s_to_requests_that_left_before_the_cut_are_the_same_incident() -> None:
    adaption = AdaptiveRate(20.0)
    adaption.limited(1.0, sent=0.5)

    assert not adaption.limited(1.1, sent=0.9)
    assert not adaption.limited(1.2, sent=1.0)

    assert adaption.rate == 5.0
    assert adaption.incidents == 1


def test_a_429_after_nothing_was_accepted_pauses_again_but_cuts_nothing() -> None:
    adaption = AdaptiveRate(20.0)
    adaption.limited(1.0, sent=0.9)

    assert adaption.limited(3.0, sent=2.5)

    assert adaption.rate == 5.0


def test_what_was_accepted_between_two_429s_tells_the_limit() -> None:
    adaption = AdaptiveRate(100.0)
    adaption.limited(0.0, sent=-0.1)
    for second in range(1, 21):  # 3 a second are taken, though 25 a second are asked for
        for _ in range(3):
            adaption.accepted(float(second))

    adaption.limited(20.0, sent=19.9)

    assert adaption.rate == pytest.approx(3 * AdaptiveRate.CUT_KNOWN, rel=0.3)


def test_the_way_back_is_steady_and_ends_at_the_ceiling() -> None:
    adaption = AdaptiveRate(10.0)
    adaption.limited(0.0, sent=-1)
    seen = [adaption.rate]

    now = 0.0
    for _ in range(40):
        now = accept(adaption, since=now, seconds=10)
        seen.append(adaption.rate)

    assert seen == sorted(seen)
    assert seen[1] < 5
    assert seen[-1] == 10.0


def test_the_rate_grows_slowest_near_the_rate_that_drew_the_429() -> None:
    adaption = AdaptiveRate(100.0)
    adaption.limited(0.0, sent=-1)  # at 100
    now = accept(adaption, since=0.0, seconds=20)
    drew = adaption.rate
    adaption.limited(now, sent=now)
    rates = [adaption.rate]
    for _ in range(12):
        now = accept(adaption, since=now, seconds=10)
        rates.append(adaption.rate)

    growth = [later - sooner for sooner, later in pairwise(rates)]
    nearest = min(range(len(growth)), key=lambda index: abs(rates[index] - drew * 0.97))

    assert growth[nearest] < growth[0]
    assert growth[nearest] < max(growth[nearest:])


def test_a_pause_without_traffic_is_no_reason_to_speed_up() -> None:
    adaption = AdaptiveRate(10.0)
    adaption.limited(0.0, sent=-1)
    adaption.accepted(1.0)
    before = adaption.rate

    adaption.accepted(3600.0)

    assert adaption.rate <= before * 1.05


def test_the_rate_never_falls_to_nothing() -> None:
    adaption = AdaptiveRate(1.0)

    for now in range(1, 200):
        adaption.accepted(float(now))
        adaption.limited(now + 0.5, sent=now + 0.4)

    assert adaption.rate >= AdaptiveRate.FLOOR


@pytest.mark.parametrize("limit", [1.0, 5.0, 25.0])
def test_a_rate_four_times_too_high_draws_few_429s_and_is_mended_within_a_minute(
    limit: float,
) -> None:
    """A service with a bucket of two, asked through a fast wire."""
    adaption, level, last, refused, taken = AdaptiveRate(4 * limit), 0.0, 0.0, 0, 0
    now, first, at_one_minute = 0.0, math.inf, 0.0
    while taken < 150 or now < first + 61:
        now += 1 / adaption.rate
        level, last = max(0.0, level - (now - last) * limit), now
        if level + 1 <= 2:
            level += 1
            taken += first < math.inf
            adaption.accepted(now)
        else:
            refused += taken <= 150
            first = min(first, now)
            adaption.limited(now, sent=now)
            now += 1.0
        if now < first + 60:
            at_one_minute = adaption.rate

    assert refused - 1 <= 5
    assert 0.9 * limit <= at_one_minute <= 1.1 * limit


@pytest.mark.parametrize(
    ("closings", "now", "left"),
    [
        ([], 0.0, 0.0),
        ([(0.0, 5.0)], 0.0, 5.0),
        ([(0.0, 5.0)], 6.0, 0.0),
        ([(0.0, 5.0), (1.0, 1.0)], 2.0, 3.0),
        ([(0.0, 5.0), (1.0, 10.0)], 2.0, 9.0),
    ],
)
def test_the_gate_opens_at_the_latest_time_it_was_closed_until(
    closings: list[tuple[float, float]], now: float, left: float
) -> None:
    moment = 0.0
    gate = PauseGate(lambda: moment)
    for moment, seconds in closings:  # noqa: B007  read by the gate's clock
        gate.close(seconds)

    assert gate.closed_for(now) == left
