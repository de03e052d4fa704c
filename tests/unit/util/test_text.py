from __future__ import annotations

import pytest

from batch_runner.util.locale import use_language
from batch_runner.util.text import (
    date_time,
    duration,
    fitted,
    printable,
    replace_lone_surrogates,
    time_of_day,
    width,
)


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
    with use_language("zh"):
        assert duration(365) == "6 分 05 秒"


def test_printable_is_one_line_without_escape_sequences() -> None:
    assert printable(" a\x1b[2J\nb\u202e") == "a [2J b"
    assert printable("x" * 300, 20) == "x" * 19 + "…"


def test_lone_surrogate_is_replaced() -> None:
    assert replace_lone_surrogates("\ud83d\ude00 \ud800!") == "😀 \ufffd!"


def test_width_counts_terminal_cells() -> None:
    assert [width(text) for text in ("card", "贺卡", "e\u0301")] == [4, 4, 1]


def test_fitted_text_has_exactly_the_cells() -> None:
    assert fitted("贺卡", 6) == "贺卡  "
    assert fitted("贺卡贺卡", 6) == "贺卡… "


def test_unknown_time_is_a_question_mark() -> None:
    assert date_time(None) == time_of_day(None) == "?"
    assert date_time(0).endswith(time_of_day(0))
