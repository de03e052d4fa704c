from __future__ import annotations

import pytest

from batch_runner.util.text import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.36, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (365, "6 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_duration_has_one_format(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_duration_in_chinese() -> None:
    assert duration(365, language="zh") == "6 分 05 秒"
