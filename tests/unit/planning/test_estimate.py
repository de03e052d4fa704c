from __future__ import annotations

from typing import Any

import pytest

from batch_runner.planning.estimate import CappedCount, make_estimate, must_confirm
from batch_runner.settings import Limits

PRICES = {"default": "0.1 CNY", "wedding": "0.35 CNY"}


@pytest.mark.parametrize(
    ("limits", "spent", "allowed", "cap", "cost"),
    [
        ({"price": PRICES}, {}, 4, None, "0.65 CNY"),
        ({"price": PRICES, "max_cost": "0.5 CNY"}, {}, 2, "cost", "0.45 CNY"),
        ({"price": PRICES, "max_cost": "0.65 CNY"}, {}, 4, None, "0.65 CNY"),
        ({"price": PRICES, "max_cost": "0.65 CNY"}, {"wedding": 1}, 1, "cost", "0.10 CNY"),
        ({"price": PRICES, "max_cost": "0.2 CNY"}, {"wedding": 1}, 0, "cost", "0.00 CNY"),
        ({"price": PRICES, "max_submissions": 3}, {"cards": 1}, 2, "submissions", "0.45 CNY"),
        ({"price": {"wedding": "1 CNY"}}, {}, 4, None, None),
        ({"max_submissions": 9}, {}, 4, None, None),
    ],
)
def test_submissions_are_counted_in_order_up_to_the_caps(
    limits: dict[str, Any], spent: dict[str, int], allowed: int, cap: str | None, cost: str | None
) -> None:
    counted = CappedCount(Limits.model_validate(limits), spent)
    for workflow in ("cards", "wedding", "cards", "cards"):
        counted.add(workflow)

    estimate = make_estimate(counted, task=None)

    assert (estimate.submissions, estimate.capped) == (allowed, 4 - allowed)
    assert (estimate.cap, estimate.cost, counted.unpriced) == (cap, cost, set())


def test_cost_cap_names_workflows_without_a_price() -> None:
    limits = Limits.model_validate({"max_cost": "9 CNY", "price": {"wedding": "1 CNY"}})
    counted = CappedCount(limits, {"portraits": 1, "wedding": 1})
    counted.add("cards")

    assert counted.unpriced == {"portraits", "cards"}


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ({}, 500),
        ({"price": "0.5 CNY"}, 100),
        ({"price": "0.5 EUR", "confirm_above": "10 EUR"}, 20),
        ({"price": "0.5 EUR", "confirm_above": 7}, 7),
        ({"confirm_above": 7}, 7),
        ({"confirm_above": "10 EUR"}, 500),  # what it costs is not known
        ({"price": "0.5 EUR", "confirm_above": "10 CNY"}, 0),  # cannot be compared
        ({"price": "0 EUR"}, 1_000_000),
    ],
)
def test_run_asks_above_this_many_submissions(limits: dict[str, Any], most: int) -> None:
    given = Limits.model_validate(limits)

    def asks(submissions: int) -> bool:
        counted = CappedCount(given, {})
        for _ in range(submissions):
            counted.add("cards")
        return must_confirm(make_estimate(counted, task=None), given)

    assert not asks(most)
    assert asks(most + 1) is (most < 1_000_000)
