from __future__ import annotations

from typing import Any

import pytest

from batch_runner.planning.estimate import CappedCount, make_estimate, must_confirm
from batch_runner.settings import Limits


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
