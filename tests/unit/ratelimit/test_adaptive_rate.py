"""When 429s reduce the rate, and how it rises again; every time is an argument."""

from __future__ import annotations

import pytest

from batch_runner.ratelimit.adaptive_rate import AdaptiveRate


class Traffic:
    """Requests at the present rate, one after the other."""

    def __init__(self, ceiling: float) -> None:
        self.adaptive = AdaptiveRate(ceiling)
        self.now = 0.0

    def accept(self, count: int) -> None:
        for _ in range(count):
            self.now += 1 / self.adaptive.rate
            self.adaptive.accepted(self.now)

    def limit(self) -> bool:
        self.now += 1 / self.adaptive.rate
        return self.adaptive.limited(self.now, acquired_at=self.now)

    def overload(self) -> None:
        """Reduce the rate: every second request is limited."""
        before = self.adaptive.rate
        while self.adaptive.rate == before:
            self.accept(1)
            self.limit()


def test_rate_without_a_429_is_the_ceiling() -> None:
    traffic = Traffic(10.0)

    traffic.accept(600)

    assert traffic.adaptive.rate == 10.0


def test_isolated_429s_do_not_reduce_the_rate() -> None:
    traffic = Traffic(10.0)

    for _ in range(100):
        traffic.accept(19)
        assert traffic.limit()
        assert traffic.adaptive.rate == 10.0


def test_many_429s_reduce_the_rate_to_what_was_accepted() -> None:
    """Of 10 requests a second, every second one is accepted."""
    traffic = Traffic(10.0)

    traffic.overload()

    assert 3.0 < traffic.adaptive.rate < 5.0
    assert traffic.now < 1.5


def test_429s_of_requests_before_the_last_one_are_the_same_incident() -> None:
    adaptive = AdaptiveRate(20.0)
    adaptive.accepted(0.5)

    assert adaptive.limited(1.0, acquired_at=0.5)
    assert not adaptive.limited(1.1, acquired_at=0.9)
    assert not adaptive.limited(1.2, acquired_at=1.0)
    assert adaptive.limited(1.3, acquired_at=1.1)


def test_one_burst_of_429s_does_not_reduce_the_rate() -> None:
    """Thirty requests were on the way when the service became busy for a moment."""
    traffic = Traffic(10.0)
    traffic.accept(10)
    sent_at = traffic.now

    for number in range(30):
        traffic.adaptive.limited(traffic.now + 1 + number / 100, acquired_at=sent_at + 0.5)

    assert traffic.adaptive.rate == 10.0


def test_service_that_accepts_nothing_does_not_reduce_the_rate() -> None:
    traffic = Traffic(10.0)
    traffic.accept(30)

    for _ in range(200):
        assert traffic.limit()

    assert traffic.adaptive.rate == 10.0


def test_429s_of_requests_sent_before_a_cut_are_ignored() -> None:
    traffic = Traffic(10.0)
    traffic.overload()
    reduced, cut_at = traffic.adaptive.rate, traffic.now

    for number in range(20):
        assert not traffic.adaptive.limited(cut_at + number, acquired_at=cut_at - 0.1)

    assert traffic.adaptive.rate == reduced


def test_limit_is_forgotten_when_429s_go_on_below_it() -> None:
    traffic = Traffic(10.0)
    traffic.overload()

    for _ in range(4):
        traffic.accept(15)
        traffic.limit()

    assert traffic.adaptive.rate == 10.0


def test_second_429_soon_after_a_cut_reduces_the_rate_again() -> None:
    traffic = Traffic(10.0)
    traffic.overload()
    reduced = traffic.adaptive.rate

    for _ in range(2):
        traffic.accept(4)
        traffic.limit()

    assert traffic.adaptive.rate == pytest.approx(reduced * AdaptiveRate.CUT)


def test_rate_rises_to_the_ceiling_once_the_limit_is_gone() -> None:
    traffic = Traffic(10.0)
    traffic.overload()
    cut_at, seen = traffic.now, [traffic.adaptive.rate]

    while traffic.adaptive.rate < 10.0:
        traffic.accept(1)
        seen.append(traffic.adaptive.rate)

    assert seen == sorted(seen)
    assert seen[AdaptiveRate.CHECKED] == seen[0]
    assert traffic.now - cut_at < 60


def test_each_429_beyond_the_limit_makes_the_next_rise_slower() -> None:
    traffic = Traffic(10.0)
    traffic.overload()
    times = []
    for _ in range(4):
        since, limit = traffic.now, traffic.adaptive.rate / AdaptiveRate.CUT
        while traffic.adaptive.rate < limit * 1.02:
            traffic.accept(1)
        times.append(traffic.now - since)
        traffic.limit()

    assert times == sorted(times)
    assert times[-1] > 3 * times[0]


def test_time_without_traffic_does_not_raise_the_rate() -> None:
    traffic = Traffic(10.0)
    traffic.overload()
    traffic.accept(AdaptiveRate.CHECKED + 1)
    before = traffic.adaptive.rate

    traffic.now += 3600
    traffic.accept(1)

    assert traffic.adaptive.rate <= before * 1.05


def test_rate_never_falls_below_the_floor() -> None:
    traffic = Traffic(1.0)

    for _ in range(300):
        traffic.accept(1)
        traffic.limit()

    assert traffic.adaptive.rate >= AdaptiveRate.FLOOR
