"""The hazard at two scales: equal durations are learned to the second, others as before."""

from __future__ import annotations

import json
import math
import random

import pytest

from batch_runner.polling.hazard import HazardModel
from batch_runner.polling.two_scale_hazard import TwoScaleHazard

SHORTEST = 0.2


def poll_ages(hazard: TwoScaleHazard, seconds: float) -> list[float]:
    """Poll one task when the model itself would; return its age at each poll."""
    last = 0.0
    ages: list[float] = []
    while not ages or ages[-1] < seconds:
        ages.append(hazard.next_poll(last, 0.5, shortest=SHORTEST))
        if ages[-1] < seconds:
            hazard.observe_running(last, ages[-1])
        else:
            hazard.observe_completed(last, ages[-1])
        last = ages[-1]
    return ages


def learn(hazard: TwoScaleHazard, count: int, *, median: float, sigma: float) -> None:
    rng = random.Random(1)
    for _ in range(count):
        poll_ages(hazard, rng.lognormvariate(math.log(median), sigma))


def test_equal_durations_are_polled_when_they_end() -> None:
    hazard = TwoScaleHazard()
    learn(hazard, 300, median=33, sigma=0)

    ages = poll_ages(hazard, 33.0)

    assert len(ages) <= 3
    assert 33 <= ages[-1] < 34


def test_two_durations_are_distinguished() -> None:
    hazard = TwoScaleHazard()
    for number in range(400):
        poll_ages(hazard, (20.0, 60.0)[number % 2])

    assert 20 <= poll_ages(hazard, 20.0)[-1] < 21
    assert 60 <= poll_ages(hazard, 60.0)[-1] < 61.5


def test_varying_durations_use_the_wide_bins() -> None:
    """Fine bins with a few hundred varying durations are all peaks and gaps."""
    hazard, alone = TwoScaleHazard(), HazardModel()
    rng = random.Random(2)
    for _ in range(300):
        seconds = rng.lognormvariate(math.log(30), 0.4)
        for each in (hazard, alone):
            each.observe_running(0.0, seconds * 0.9)
            each.observe_completed(seconds * 0.9, seconds * 1.1)

    for age in (0.0, 20.0, 30.0, 40.0):
        expected = alone.next_poll(age, 0.5)
        assert hazard.next_poll(age, 0.5, shortest=SHORTEST) == expected
    assert hazard.quantile(0.5) == alone.quantile(0.5)


def test_outliers_after_an_outage_do_not_disturb() -> None:
    """Last seen running a thousand times as late as others complete, then completed."""
    hazard = TwoScaleHazard()
    for _ in range(400):
        hazard.observe_running(0.0, 0.1)
        hazard.observe_completed(0.1, 0.3)

    for minutes in range(5, 60):
        hazard.observe_running(0.3, 60.0 * minutes)
        hazard.observe_completed(60.0 * minutes, 60.0 * minutes + 5)
    learn(hazard, 50, median=0.2, sigma=0)

    assert 0 < hazard.next_poll(0.0, 0.5, shortest=SHORTEST) < 2


def test_equal_durations_are_polled_after_the_end_not_before() -> None:
    """A poll that is a moment early would cost the shortest interval."""
    hazard = TwoScaleHazard()
    learn(hazard, 400, median=2, sigma=0)

    last = [poll_ages(hazard, 2.0)[-1] for _ in range(20)]

    assert sum(last) / len(last) < 2.1


@pytest.mark.parametrize(("before", "since", "latest"), [(300, 200, 3.6), (1000, 400, 3.3)])
def test_changed_service_gets_new_fine_bins(before: int, since: int, latest: float) -> None:
    """Around the new durations, also if what is left of the old ones would suffice."""
    hazard = TwoScaleHazard()
    learn(hazard, before, median=33, sigma=0)

    hazard.fade(0.05)
    learn(hazard, since, median=3, sigma=0)

    assert 3 <= poll_ages(hazard, 3.0)[-1] < latest


def test_state_of_both_scales_survives_json() -> None:
    hazard, again = TwoScaleHazard(), TwoScaleHazard()
    learn(hazard, 300, median=33, sigma=0)

    again.restore(json.loads(json.dumps(hazard.state())))

    assert again.completions == 100  # what earlier runs weigh, at most
    assert 33 <= poll_ages(again, 33.0)[-1] < 34


def test_state_without_fine_bins_is_restored() -> None:
    coarse, hazard = HazardModel(), TwoScaleHazard()
    for _ in range(50):
        coarse.observe_running(0.0, 29.0)
        coarse.observe_completed(29.0, 31.0)

    hazard.restore(coarse.state())

    assert hazard.quantile(0.5) == pytest.approx(30, rel=0.1)


@pytest.mark.parametrize(
    "garbage",
    [
        7,
        {},
        {"range": [1.0], "gain": 1},
        {"range": [30.0, 1.0], "gain": 1},
        {"range": [math.nan, 1.0], "gain": 1},
        {"range": [1e-30, 1e30], "gain": 1},
        {"range": [1.0, 30.0], "gain": "much"},
    ],
)
def test_invalid_state_of_fine_bins_raises(garbage: object) -> None:
    hazard = TwoScaleHazard()
    learn(hazard, 100, median=33, sigma=0)
    fine = garbage if not isinstance(garbage, dict) else {**hazard.state(), **garbage}
    state = {**hazard.state(), "fine": fine}
    if garbage == {}:
        del fine["fine"]  # type: ignore[attr-defined]

    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        TwoScaleHazard().restore(state)
