"""Params on the page: spread over lines as `json.dumps` does it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batch_runner.report.items import spread


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"6": {"text": 'a "red"\nhorse 马', "steps": 20}, "7": {"seed": 2**63, "cfg": 1.0}},
        {"1": [], "2": {}, "3": [[1, None], {"a": [True]}], "4": "</script>"},
    ],
)
def test_params_are_spread_over_lines(value: dict[str, Any]) -> None:
    assert spread(value) == json.dumps(value, ensure_ascii=False, indent=2)
