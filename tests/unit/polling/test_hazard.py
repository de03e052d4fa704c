"""What the learner makes of looks: always intervals, never the moment itself."""

from __future__ import annotations

import json
import math
import random

import pytest

from batch_runner.polling.hazard import HazardModel


def learn(
    durations: HazardModel, chance: random.Random, count: int, *, median: float, sigma: float
) -> None:
    """Look at tasks of lognormal run times when the learner itself would look."""
    for _ in range(count):
        seconds = chance.lognormvariate(math.log(median), sigma)
        looked = 0.0
        while (look := max(looked + 0.5, durations.next_look(looked, 0.5))) < seconds:
            durations.survived(looked, look)
            looked = look
        durations.ended(looked, look)


def test_before_anything_is_seen_looks_are_the_farther_apart_the_older_the_task() -> None:
    durations = HazardModel()

    spacings = [durations.next_look(age, 0.5) - age for age in (1, 10, 100, 1000)]

    assert spacings == sorted(spacings)
    assert spacings[-1] < 100


def test_the_median_is_found_from_intervals() -> None:
    durations = HazardModel()

    learn(durations, random.Random(1), 400, median=30, sigma=0.4)

    assert durations.quantile(0.5) == pytest.approx(30, rel=0.1)
    assert durations.quantile(0.9) == pytest.approx(50, rel=0.15)


def test_durations_do_not_ratchet_upwards() -> None:
    """Thousands of looks, each learned from: the estimate stays where the truth is."""
    durations, chance = HazardModel(), random.Random(2)
    medians = []
    for _ in range(6):
        learn(durations, chance, 400, median=30, sigma=0.2)
        medians.append(durations.quantile(0.5))

    assert all(abs(median - 30) < 2.5 for median in medians)


def test_looks_are_densest_where_most_tasks_end() -> None:
    durations = HazardModel()
    learn(durations, random.Random(3), 500, median=30, sigma=0.2)

    first = durations.next_look(0, 0.5)
    busy = durations.next_look(30, 0.5) - 30

    assert first > 15
    assert busy < 4


def test_a_higher_price_makes_looks_rarer() -> None:
    durations = HazardModel()
    learn(durations, random.Random(4), 300, median=30, sigma=0.4)

    spacings = [durations.next_look(30, price) - 30 for price in (0.1, 0.5, 2, 10)]

    assert spacings == sorted(spacings)
    assert spacings[0] < spacings[-1] / 3


def test_two_kinds_of_task_are_looked_at_at_two_times() -> None:
    durations, chance = HazardModel(), random.Random(5)
    for _ in range(400):
        learn(durations, chance, 1, median=chance.choice([20, 200]), sigma=0.1)

    in_between = durations.next_look(60, 0.5) - 60
    at_the_second = durations.next_look(190, 0.5) - 190

    assert in_between > 3 * at_the_second


def test_tasks_that_are_still_going_count() -> None:
    """Twenty ended early; hundreds are known to have lasted longer, and have not ended yet."""
    durations = HazardModel()
    for _ in range(20):
        durations.ended(9.0, 11.0)
    alone = durations.quantile(0.5)

    for _ in range(200):
        durations.survived(0.0, 100.0)

    assert durations.quantile(0.5) > 3 * alone


def test_a_service_that_has_become_faster_is_learned_anew() -> None:
    durations, chance = HazardModel(), random.Random(6)
    learn(durations, chance, 300, median=100, sigma=0.3)

    durations.fade(0.05)
    learn(durations, chance, 100, median=20, sigma=0.3)

    assert durations.quantile(0.5) == pytest.approx(20, rel=0.25)


def test_the_cumulated_hazard_is_what_a_quantile_says() -> None:
    durations = HazardModel()
    learn(durations, random.Random(7), 300, median=30, sigma=0.4)

    half = durations.quantile(0.5)

    assert durations.survived(0.0, half) == pytest.approx(math.log(2))
    assert durations.ended(half, half) == 0


def test_what_was_learned_survives_json() -> None:
    durations, again = HazardModel(), HazardModel()
    learn(durations, random.Random(8), 300, median=30, sigma=0.4)

    again.restore(json.loads(json.dumps(durations.state())))

    assert again.quantile(0.5) == pytest.approx(durations.quantile(0.5), rel=0.05)


@pytest.mark.parametrize(
    "garbage",
    [
        {},
        {"seen": 1, "ends": [], "at_risk": {}},
        {"seen": 1, "ends": {"x": 1}, "at_risk": {}},
        {"seen": 1, "ends": {"999999": 1}, "at_risk": {}},
        {"seen": 1, "ends": {"1": -1}, "at_risk": {}},
        {"seen": 1, "ends": {"1": math.nan}, "at_risk": {}},
    ],
)
def test_garbage_is_refused_and_changes_nothing(garbage: dict[str, object]) -> None:
    durations = HazardModel()

    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        durations.restore(garbage)

    assert durations.quantile(0.5) == HazardModel().quantile(0.5)


@pytest.mark.parametrize("at", [0.0, 0.1, 1.0, 1e3, 1e6, 1e9])
def test_the_next_look_is_always_ahead_and_finite(at: float) -> None:
    durations = HazardModel()
    learn(durations, random.Random(9), 100, median=0.3, sigma=0.05)

    assert at < durations.next_look(at, 0.5) < math.inf


@pytest.mark.parametrize("price", [0.5, 5.0])
@pytest.mark.parametrize("at", [0.0, 1.0])
def test_where_everything_ends_at_once_the_next_look_comes_soon_after(
    at: float, price: float
) -> None:
    """Behind a hazard so high nobody is left, and delay grows a second a second."""
    durations = HazardModel()
    for _ in range(400):
        durations.ended(2.0, 2.0001)

    assert 1.0 < durations.next_look(at, price) < 2.2 + price


def test_taking_the_quiet_before_an_end_for_none_changes_next_to_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick, whole = HazardModel(), HazardModel()
    learn(quick, random.Random(10), 300, median=30, sigma=0.1)
    monkeypatch.setattr("batch_runner.polling.hazard._QUIET", -1.0)
    learn(whole, random.Random(10), 300, median=30, sigma=0.1)

    for share in (0.1, 0.5, 0.9):
        assert quick.quantile(share) == pytest.approx(whole.quantile(share), rel=0.001)


def test_one_look_past_a_narrow_peak_rather_than_one_before_it() -> None:
    durations = HazardModel()
    for _ in range(400):
        durations.survived(0.0, 1.95)
        durations.ended(1.95, 2.05)
    early = durations.next_look(0.0, 0.01)

    late = durations.next_look(0.0, 0.01, shortest=0.5)

    assert early < late < early + 0.5
    assert durations.survived(0.0, late) > 1.5  # four of five have ended by then


def test_the_shortest_spacing_changes_nothing_where_ends_are_far_apart() -> None:
    durations = HazardModel()
    learn(durations, random.Random(11), 400, median=30, sigma=0.4)

    assert durations.next_look(20.0, 0.5, shortest=0.2) == durations.next_look(20.0, 0.5)
    assert durations.next_look(20.0, 1e-9, shortest=0.2) == 20.2
