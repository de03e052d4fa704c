"""What the hazard model learns from polls, which only bracket the end of a task."""

from __future__ import annotations

import json
import math
import random

import pytest

from batch_runner.polling.hazard import HazardModel


def learn(
    hazard: HazardModel, rng: random.Random, count: int, *, median: float, sigma: float
) -> None:
    """Poll tasks of lognormal durations when the model itself would poll."""
    for _ in range(count):
        seconds = rng.lognormvariate(math.log(median), sigma)
        last = 0.0
        while (poll := max(last + 0.5, hazard.next_poll(last, 0.5))) < seconds:
            hazard.observe_running(last, poll)
            last = poll
        hazard.observe_completed(last, poll)


def test_untrained_model_polls_older_tasks_less_often() -> None:
    hazard = HazardModel()

    intervals = [hazard.next_poll(age, 0.5) - age for age in (1, 10, 100, 1000)]

    assert intervals == sorted(intervals)
    assert intervals[-1] < 100


def test_quantiles_are_found_from_intervals() -> None:
    hazard = HazardModel()

    learn(hazard, random.Random(1), 400, median=30, sigma=0.4)

    assert hazard.quantile(0.5) == pytest.approx(30, rel=0.1)
    assert hazard.quantile(0.9) == pytest.approx(50, rel=0.15)


def test_estimate_does_not_drift_upwards() -> None:
    """After thousands of polls the estimate is still the true median."""
    hazard, rng = HazardModel(), random.Random(2)
    medians = []
    for _ in range(6):
        learn(hazard, rng, 400, median=30, sigma=0.2)
        medians.append(hazard.quantile(0.5))

    assert all(abs(median - 30) < 2.5 for median in medians)


def test_polls_are_densest_where_most_tasks_complete() -> None:
    hazard = HazardModel()
    learn(hazard, random.Random(3), 500, median=30, sigma=0.2)

    first = hazard.next_poll(0, 0.5)
    busy = hazard.next_poll(30, 0.5) - 30

    assert first > 15
    assert busy < 4


def test_higher_cost_makes_polls_rarer() -> None:
    hazard = HazardModel()
    learn(hazard, random.Random(4), 300, median=30, sigma=0.4)

    intervals = [hazard.next_poll(30, cost) - 30 for cost in (0.1, 0.5, 2, 10)]

    assert intervals == sorted(intervals)
    assert intervals[0] < intervals[-1] / 3


def test_two_kinds_of_task_are_polled_at_two_times() -> None:
    hazard, rng = HazardModel(), random.Random(5)
    for _ in range(400):
        learn(hazard, rng, 1, median=rng.choice([20, 200]), sigma=0.1)

    in_between = hazard.next_poll(60, 0.5) - 60
    at_the_second = hazard.next_poll(190, 0.5) - 190

    assert in_between > 3 * at_the_second


def test_running_tasks_raise_the_estimate() -> None:
    """Twenty completed early; two hundred have run longer and are not completed."""
    hazard = HazardModel()
    for _ in range(20):
        hazard.observe_completed(9.0, 11.0)
    alone = hazard.quantile(0.5)

    for _ in range(200):
        hazard.observe_running(0.0, 100.0)

    assert hazard.quantile(0.5) > 3 * alone


def test_faster_service_is_relearned_after_fading() -> None:
    hazard, rng = HazardModel(), random.Random(6)
    learn(hazard, rng, 300, median=100, sigma=0.3)

    hazard.fade(0.05)
    learn(hazard, rng, 100, median=20, sigma=0.3)

    assert hazard.quantile(0.5) == pytest.approx(20, rel=0.25)


def test_accumulated_hazard_agrees_with_quantile() -> None:
    hazard = HazardModel()
    learn(hazard, random.Random(7), 300, median=30, sigma=0.4)

    half = hazard.quantile(0.5)

    assert hazard.observe_running(0.0, half) == pytest.approx(math.log(2))
    assert hazard.observe_completed(half, half) == 0


def test_state_survives_json() -> None:
    hazard, again = HazardModel(), HazardModel()
    learn(hazard, random.Random(8), 300, median=30, sigma=0.4)

    again.restore(json.loads(json.dumps(hazard.state())))

    assert again.quantile(0.5) == pytest.approx(hazard.quantile(0.5), rel=0.05)


def test_completion_over_many_bins_counts_once_whenever_it_is_added() -> None:
    at_once, later = HazardModel(), HazardModel()
    for number in range(200):
        start, end = number % 5, 10.0 + number % 7
        for hazard in (at_once, later):
            hazard.observe_completed(start, end)
        at_once.state()  # adds what is kept for later

    first, second = at_once.state(), later.state()
    for name in ("completed", "at_risk"):
        assert first[name] == pytest.approx(second[name], abs=0.001)
    weights = sum(math.exp(-number / 400) for number in range(1, 201))
    assert sum(second["completed"].values()) == pytest.approx(weights, rel=0.01)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "garbage",
    [
        {},
        {"completions": 1, "completed": [], "at_risk": {}},
        {"completions": 1, "completed": {"x": 1}, "at_risk": {}},
        {"completions": 1, "completed": {"999999": 1}, "at_risk": {}},
        {"completions": 1, "completed": {"1": -1}, "at_risk": {}},
        {"completions": 1, "completed": {"1": math.nan}, "at_risk": {}},
    ],
)
def test_invalid_state_raises_and_changes_nothing(garbage: dict[str, object]) -> None:
    hazard = HazardModel()

    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        hazard.restore(garbage)

    assert hazard.quantile(0.5) == HazardModel().quantile(0.5)


@pytest.mark.parametrize("at", [0.0, 0.1, 1.0, 1e3, 1e6, 1e9])
def test_next_poll_is_in_the_future_and_finite(at: float) -> None:
    hazard = HazardModel()
    learn(hazard, random.Random(9), 100, median=0.3, sigma=0.05)

    assert at < hazard.next_poll(at, 0.5) < math.inf


@pytest.mark.parametrize("cost", [0.5, 5.0])
@pytest.mark.parametrize("at", [0.0, 1.0])
def test_narrow_peak_is_polled_soon_after(at: float, cost: float) -> None:
    """After it no task is left, so the expected delay grows by a second each second."""
    hazard = HazardModel()
    for _ in range(400):
        hazard.observe_completed(2.0, 2.0001)

    assert 1.0 < hazard.next_poll(at, cost) < 2.2 + cost


def test_skipping_negligible_bins_hardly_changes_quantiles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    skipping, exact = HazardModel(), HazardModel()
    learn(skipping, random.Random(10), 300, median=30, sigma=0.1)
    monkeypatch.setattr("batch_runner.polling.hazard._NEGLIGIBLE", -1.0)
    learn(exact, random.Random(10), 300, median=30, sigma=0.1)

    for share in (0.1, 0.5, 0.9):
        assert skipping.quantile(share) == pytest.approx(exact.quantile(share), rel=0.001)


def test_narrow_peak_is_polled_after_it_not_before() -> None:
    hazard = HazardModel()
    for _ in range(400):
        hazard.observe_running(0.0, 1.95)
        hazard.observe_completed(1.95, 2.05)
    early = hazard.next_poll(0.0, 0.01)

    late = hazard.next_poll(0.0, 0.01, shortest=0.5)

    assert early < late < early + 0.5
    assert hazard.observe_running(0.0, late) > 1.5  # four of five have completed by then


def test_shortest_interval_does_not_matter_for_wide_peak() -> None:
    hazard = HazardModel()
    learn(hazard, random.Random(11), 400, median=30, sigma=0.4)

    assert hazard.next_poll(20.0, 0.5, shortest=0.2) == hazard.next_poll(20.0, 0.5)
    assert hazard.next_poll(20.0, 1e-9, shortest=0.2) == 20.2
