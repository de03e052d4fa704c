"""Many workers share one rate in virtual time; some are killed."""

from __future__ import annotations

import pytest

from batch_runner.cluster.leases import SPAN
from batch_runner.lifecycle import ItemStatus
from tests.cluster.many_workers import Outcome, simulate
from tests.harness.postgres import postgres


def check(outcome: Outcome, *, items: int, rate: float) -> None:
    print(outcome)
    held = outcome.statuses[ItemStatus.HELD]
    assert outcome.statuses[ItemStatus.DONE] + held == items
    assert outcome.duplicates == 0
    assert outcome.used >= 0.95
    assert outcome.fullest <= rate * 1.03 + 2
    assert outcome.pick_up <= SPAN + 2


def test_workers_use_the_rate_and_take_over_from_killed_ones() -> None:
    outcome = simulate(postgres(), 1, workers=10, items=400, deaths=2, rate=20)

    check(outcome, items=400, rate=20)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_hundred_workers_use_the_rate_and_take_over_from_killed_ones(seed: int) -> None:
    outcome = simulate(postgres(), seed, workers=100, items=6000, deaths=10, rate=100)

    check(outcome, items=6000, rate=100)
