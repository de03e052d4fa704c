"""Two grains: tasks that are alike are known to the second, others as well as before."""

from __future__ import annotations

import json
import math
import random

import pytest

from batch_runner.polling.hazard import HazardModel
from batch_runner.polling.two_scale_hazard import FocusedDurations

SHORTEST = 0.2


def looks(durations: FocusedDurations, seconds: float) -> list[float]:
    """Look at one task when the learner itself would; return the ages at which that was."""
    looked = 0.0
    ages: list[float] = []
    while not ages or ages[-1] < seconds:
        ages.append(durations.next_look(looked, 0.5, shortest=SHORTEST))
        if ages[-1] < seconds:
            durations.survived(looked, ages[-1])
        else:
            durations.ended(looked, ages[-1])
        looked = ages[-1]
    return ages


def learn(durations: FocusedDurations, count: int, *, median: float, sigma: float) -> None:
    chance = random.Random(1)
    for _ in range(count):
        looks(durations, chance.lognormvariate(math.log(median), sigma))


def test_tasks_that_all_take_the_same_are_looked_at_when_they_end() -> None:
    durations = FocusedDurations()
    learn(durations, 300, median=33, sigma=0)

    ages = looks(durations, 33.0)

    assert len(ages) <= 3
    assert 33 <= ages[-1] < 34


def test_two_lengths_are_told_apart() -> None:
    durations = FocusedDurations()
    for number in range(400):
        looks(durations, (20.0, 60.0)[number % 2])

    assert 20 <= looks(durations, 20.0)[-1] < 21
    assert 60 <= looks(durations, 60.0)[-1] < 61.5


def test_tasks_that_differ_are_looked_at_by_the_coarse_grain() -> None:
    """A fine table of a few hundred tasks that differ is all peaks and gaps."""
    durations, alone = FocusedDurations(), HazardModel()
    chance = random.Random(2)
    for _ in range(300):
        seconds = chance.lognormvariate(math.log(30), 0.4)
        for each in (durations, alone):
            each.survived(0.0, seconds * 0.9)
            each.ended(seconds * 0.9, seconds * 1.1)

    for age in (0.0, 20.0, 30.0, 40.0):
        expected = alone.next_look(age, 0.5)
        assert durations.next_look(age, 0.5, shortest=SHORTEST) == expected
    assert durations.quantile(0.5) == alone.quantile(0.5)


def test_a_task_far_beyond_all_others_spoils_nothing() -> None:
    """After an outage: last seen going a thousand times as late as others end, then ended."""
    durations = FocusedDurations()
    for _ in range(400):
        durations.survived(0.0, 0.1)
        durations.ended(0.1, 0.3)

    for minutes in range(5, 60):
        durations.survived(0.3, 60.0 * minutes)
        durations.ended(60.0 * minutes, 60.0 * minutes + 5)
    learn(durations, 50, median=0.2, sigma=0)

    assert 0 < durations.next_look(0.0, 0.5, shortest=SHORTEST) < 2


def test_a_look_comes_past_the_end_of_tasks_that_are_alike_and_not_just_before() -> None:
    """Half a second early would cost the shortest spacing."""
    durations = FocusedDurations()
    learn(durations, 400, median=2, sigma=0)

    last = [looks(durations, 2.0)[-1] for _ in range(20)]

    assert sum(last) / len(last) < 2.1


@pytest.mark.parametrize(("before", "since", "latest"), [(300, 200, 3.6), (1000, 400, 3.3)])
def test_a_service_that_has_changed_is_focused_anew(before: int, since: int, latest: float) -> None:
    """Where tasks end now, also when what is left of earlier ones would do for a guess."""
    durations = FocusedDurations()
    learn(durations, before, median=33, sigma=0)

    durations.fade(0.05)
    learn(durations, since, median=3, sigma=0)

    assert 3 <= looks(durations, 3.0)[-1] < latest


def test_what_was_learned_at_both_grains_survives_json() -> None:
    durations, again = FocusedDurations(), FocusedDurations()
    learn(durations, 300, median=33, sigma=0)

    again.restore(json.loads(json.dumps(durations.state())))

    assert again.seen == 100  # what earlier runs weigh, at most
    assert 33 <= looks(again, 33.0)[-1] < 34


def test_what_a_version_without_a_fine_grain_learned_is_taken_over() -> None:
    coarse, durations = HazardModel(), FocusedDurations()
    for _ in range(50):
        coarse.survived(0.0, 29.0)
        coarse.ended(29.0, 31.0)

    durations.restore(coarse.state())

    assert durations.quantile(0.5) == pytest.approx(30, rel=0.1)


@pytest.mark.parametrize(
    "garbage",
    [
        7,
        {},
        {"range": [1.0], "proof": 1},
        {"range": [30.0, 1.0], "proof": 1},
        {"range": [math.nan, 1.0], "proof": 1},
        {"range": [1e-30, 1e30], "proof": 1},
        {"range": [1.0, 30.0], "proof": "much"},
    ],
)
def test_garbage_about_the_fine_grain_is_refused(garbage: object) -> None:
    durations = FocusedDurations()
    learn(durations, 100, median=33, sigma=0)
    fine = garbage if not isinstance(garbage, dict) else {**durations.state(), **garbage}
    state = {**durations.state(), "fine": fine}
    if garbage == {}:
        del fine["fine"]  # type: ignore[attr-defined]

    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        FocusedDurations().restore(state)
