from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from batch_runner.settings import Limits, Polling, Retries, Service, Settings
from batch_runner.units import Price, Rate, parse_duration, parse_price, parse_rate, parse_threshold

#: More digits than a float can hold.
ABSURD = 10**400


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("500ms", 0.5),
        ("90s", 90.0),
        ("1.5s", 1.5),
        ("10m", 600.0),
        ("10min", 600.0),
        ("8h", 28_800.0),
        ("2d", 172_800.0),
        ("1h 30m", 5400.0),
        ("1h30m", 5400.0),
        (" 5 s ", 5.0),
        (30, 30.0),
        (0.25, 0.25),
    ],
)
def test_a_duration_is_seconds(value: Any, seconds: float) -> None:
    assert parse_duration(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "5",
        "5x",
        "s",
        "-5s",
        "1h30",
        "1:30",
        "0s",
        "9" * 400 + "s",
        0,
        -1,
        math.nan,
        math.inf,
        -math.inf,
        ABSURD,
        True,
        False,
        None,
        [5],
    ],
    ids=lambda value: str(value)[:12] or "empty",
)
def test_what_is_no_duration_above_zero_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="wanted a duration"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        ("5/s", Rate(5, 1)),
        ("300/min", Rate(300, 60)),
        ("300/m", Rate(300, 60)),
        ("100/h", Rate(100, 3600)),
        ("1/2s", Rate(1, 2)),
        (" 0.5 / s ", Rate(0.5, 1)),
        (3, Rate(3, 1)),
        (Rate(3, 1), Rate(3, 1)),
    ],
)
def test_a_rate_is_a_count_in_a_time(value: Any, rate: Rate) -> None:
    assert parse_rate(value) == rate


@pytest.mark.parametrize(
    "value",
    [
        "",
        "5",
        "5/",
        "/s",
        "5/fortnight",
        "-5/s",
        "0/s",
        "5/0s",
        "9" * 400 + "/s",
        0,
        -1,
        math.nan,
        math.inf,
        ABSURD,
        True,
        None,
    ],
    ids=lambda value: str(value)[:12] or "empty",
)
def test_what_is_no_rate_above_zero_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="wanted a rate"):
        parse_rate(value)


@pytest.mark.parametrize(
    ("rate", "text"),
    [(Rate(5, 1), "5/s"), (Rate(300, 60), "300/min"), (Rate(1, 2), "1/2s")],
)
def test_a_rate_is_shown_as_it_may_be_written(rate: Rate, text: str) -> None:
    assert str(rate) == text
    assert parse_rate(text) == rate


def test_a_rate_has_a_mean() -> None:
    assert Rate(300, 60).per_second == 5


@pytest.mark.parametrize(
    ("value", "price"),
    [
        ("0.12 CNY", Price(0.12, "CNY")),
        ("1eur", Price(1, "EUR")),
        ("0 CNY", Price(0, "CNY")),
        (Price(2, "USD"), Price(2, "USD")),
    ],
)
def test_a_price_is_an_amount_and_a_currency(value: Any, price: Price) -> None:
    assert parse_price(value) == price


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0.12",
        "CNY",
        "-1 CNY",
        "0.12 yuan",
        "nan CNY",
        "inf CNY",
        "9" * 400 + " CNY",
        0.12,
        math.nan,
        True,
        None,
    ],
    ids=lambda value: str(value)[:12] or "empty",
)
def test_what_is_no_price_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="wanted an amount and a currency"):
        parse_price(value)


@pytest.mark.parametrize(
    ("value", "threshold"),
    [("50 CNY", Price(50, "CNY")), (500, 500), (0, 0), ("0 eur", Price(0, "EUR"))],
)
def test_a_threshold_is_a_cost_or_a_number_of_creates(value: Any, threshold: Any) -> None:
    assert parse_threshold(value) == threshold
    assert Limits.model_validate({"confirm_above": value}).confirm_above == threshold


@pytest.mark.parametrize("value", ["50", "", -1, 0.5, math.nan, True, [5]])
def test_what_is_no_threshold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="wanted a cost such as 50 CNY, or a number"):
        parse_threshold(value)


def test_a_cost_is_told_in_hundredths() -> None:
    assert Price(0.12, "CNY").times(24) == "2.88 CNY"


@pytest.mark.parametrize("value", [0, -1, 1.0, 1.5, "20", True, 10**10, math.nan, math.inf, ABSURD])
def test_a_count_is_a_whole_number_above_zero(value: Any) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate({"in_flight": value})


@pytest.mark.parametrize("value", ["6:30", "24:00", "06:60", "06:30 ", "noon", 630, None])
def test_a_time_of_day_has_four_digits(value: Any) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate({"until": value} if value is not None else {"until": [None]})


def test_a_time_of_day_is_kept_as_written() -> None:
    assert Limits.model_validate({"until": "06:30"}).until == "06:30"


@pytest.mark.parametrize("block", [Limits, Polling, Retries, Settings])
def test_a_name_that_is_not_known_is_refused(block: type[Limits]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        block.model_validate({"in_fligth": 5})


def test_settings_do_not_change_after_they_are_made() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().limits.in_flight = 5  # type: ignore[misc]


def test_the_key_hides_itself_when_the_service_is_shown() -> None:
    service = Service(provider="baicai", base_url="https://example.org", key=SecretStr("sk-open"))

    assert "sk-open" not in f"{service} {service!r} {service.model_dump()} {service.key}"
    assert "sk-open" not in service.model_dump_json()
