"""How 429s reduce the rate, and how it rises again; every time is an argument."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from batch_runner.ratelimit.adaptive_rate import AdaptiveRate


def accept(adaptive: AdaptiveRate, *, since: float, seconds: float) -> float:
    """Accept requests at the present rate for `seconds`; return the time after them."""
    now = since
    while now < since + seconds:
        now += 1 / adaptive.rate
        adaptive.accepted(now)
    return now


def test_rate_without_a_429_is_the_ceiling() -> None:
    adaptive = AdaptiveRate(10.0)

    accept(adaptive, since=0, seconds=60)

    assert adaptive.rate == 10.0


def test_first_429_reduces_the_rate_to_a_quarter() -> None:
    adaptive = AdaptiveRate(20.0)

    assert adaptive.limited(1.0, acquired_at=0.9)

    assert adaptive.rate == 5.0


def test_429s_of_requests_before_the_cut_are_one_incident() -> None:
    adaptive = AdaptiveRate(20.0)
    adaptive.limited(1.0, acquired_at=0.5)

    assert not adaptive.limited(1.1, acquired_at=0.9)
    assert not adaptive.limited(1.2, acquired_at=1.0)

    assert adaptive.rate == 5.0
    assert adaptive.incidents == 1


def test_429_with_nothing_accepted_before_reduces_nothing() -> None:
    adaptive = AdaptiveRate(20.0)
    adaptive.limited(1.0, acquired_at=0.9)

    assert adaptive.limited(3.0, acquired_at=2.5)

    assert adaptive.rate == 5.0


def test_accepted_requests_between_two_429s_show_the_limit() -> None:
    adaptive = AdaptiveRate(100.0)
    adaptive.limited(0.0, acquired_at=-0.1)
    for second in range(1, 21):  # 3 a second are accepted of 25 that may be sent
        for _ in range(3):
            adaptive.accepted(float(second))

    adaptive.limited(20.0, acquired_at=19.9)

    assert adaptive.rate == pytest.approx(3 * AdaptiveRate.KNOWN_CUT, rel=0.3)


def test_rate_rises_steadily_up_to_the_ceiling() -> None:
    adaptive = AdaptiveRate(10.0)
    adaptive.limited(0.0, acquired_at=-1)
    seen = [adaptive.rate]

    now = 0.0
    for _ in range(40):
        now = accept(adaptive, since=now, seconds=10)
        seen.append(adaptive.rate)

    assert seen == sorted(seen)
    assert seen[1] < 5
    assert seen[-1] == 10.0


def test_rate_rises_slowest_near_the_limited_rate() -> None:
    adaptive = AdaptiveRate(100.0)
    adaptive.limited(0.0, acquired_at=-1)  # at 100
    now = accept(adaptive, since=0.0, seconds=20)
    limited_at = adaptive.rate
    adaptive.limited(now, acquired_at=now)
    rates = [adaptive.rate]
    for _ in range(12):
        now = accept(adaptive, since=now, seconds=10)
        rates.append(adaptive.rate)

    growth = [later - sooner for sooner, later in pairwise(rates)]
    nearest = min(range(len(growth)), key=lambda index: abs(rates[index] - limited_at * 0.97))

    assert growth[nearest] < growth[0]
    assert growth[nearest] < max(growth[nearest:])


def test_pause_without_traffic_does_not_raise_the_rate() -> None:
    adaptive = AdaptiveRate(10.0)
    adaptive.limited(0.0, acquired_at=-1)
    adaptive.accepted(1.0)
    before = adaptive.rate

    adaptive.accepted(3600.0)

    assert adaptive.rate <= before * 1.05


def test_rate_never_falls_below_the_floor() -> None:
    adaptive = AdaptiveRate(1.0)

    for now in range(1, 200):
        adaptive.accepted(float(now))
        adaptive.limited(now + 0.5, acquired_at=now + 0.4)

    assert adaptive.rate >= AdaptiveRate.FLOOR


@pytest.mark.parametrize("limit", [1.0, 5.0, 25.0])
def test_rate_four_times_too_high_is_corrected_in_a_minute(limit: float) -> None:
    """The service has a bucket of two, and answers at once."""
    adaptive, level, last, limited_count, accepted_count = AdaptiveRate(4 * limit), 0.0, 0.0, 0, 0
    now, first, at_one_minute = 0.0, math.inf, 0.0
    while accepted_count < 150 or now < first + 61:
        now += 1 / adaptive.rate
        level, last = max(0.0, level - (now - last) * limit), now
        if level + 1 <= 2:
            level += 1
            accepted_count += first < math.inf
            adaptive.accepted(now)
        else:
            limited_count += accepted_count <= 150
            first = min(first, now)
            adaptive.limited(now, acquired_at=now)
            now += 1.0
        if now < first + 60:
            at_one_minute = adaptive.rate

    assert limited_count - 1 <= 5
    assert 0.9 * limit <= at_one_minute <= 1.1 * limit
