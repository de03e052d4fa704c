from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from batch_runner.engine.deadline import seconds_left
from batch_runner.settings import Limits

HOUR = 3600


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use a time zone whose clocks change: forward on 29 March 2026, back on 25 October."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()


def limits(**values: object) -> Limits:
    return Limits.model_validate(values)


def test_no_limits_mean_no_end() -> None:
    assert seconds_left(limits()) is None


def test_run_for_counts_from_the_start() -> None:
    assert seconds_left(limits(run_for="8h")) == 8 * HOUR


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        pytest.param("2026-06-01 22:30", 8, id="over-midnight"),
        pytest.param("2026-06-01 06:00", 0.5, id="later-today"),
        pytest.param("2026-06-01 06:30", 24, id="exactly-now-means-tomorrow"),
        pytest.param("2026-12-31 06:31", 24 - 1 / 60, id="over-the-new-year"),
        pytest.param("2026-03-28 22:30", 7, id="clocks-set-forward"),
        pytest.param("2026-10-24 22:30", 9, id="clocks-set-back"),
    ],
)
def test_until_is_the_next_such_time_of_day(now: str, hours: float) -> None:
    assert seconds_left(limits(until="06:30"), local(now)) == pytest.approx(hours * HOUR)


@pytest.mark.parametrize(
    ("now", "until", "minutes"),
    [
        pytest.param("2026-10-25 00:10+00:00", "02:30", 20, id="first-time-before"),
        pytest.param("2026-10-25 00:50+00:00", "02:30", 40, id="between-the-two"),
        pytest.param("2026-10-25 01:10+00:00", "02:30", 20, id="second-time-before"),
        pytest.param("2026-10-25 01:50+00:00", "02:30", 24 * 60 - 20, id="after-both"),
    ],
)
def test_until_in_a_repeated_hour_is_the_next_one(now: str, until: str, minutes: float) -> None:
    assert seconds_left(limits(until=until), local(now)) == pytest.approx(minutes * 60)


@pytest.mark.parametrize(("run_for", "hours"), [("2h", 2), ("20h", 8)])
def test_earlier_of_both_limits_ends_the_run(run_for: str, hours: float) -> None:
    both = limits(run_for=run_for, until="06:30")

    assert seconds_left(both, local("2026-06-01 22:30")) == hours * HOUR
