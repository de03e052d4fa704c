"""Params in the report."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batch_runner.report.items import indented


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"6": {"text": 'a "red"\nhorse 马', "steps": 20}, "7": {"seed": 2**63, "cfg": 1.0}},
        {"1": [], "2": {}, "3": [[1, None], {"a": [True]}], "4": "</script>"},
    ],
)
def test_params_are_indented_as_json_dumps_does(value: dict[str, Any]) -> None:
    assert indented(value) == json.dumps(value, ensure_ascii=False, indent=2)
