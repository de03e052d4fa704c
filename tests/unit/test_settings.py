"""The settings, and the units in which they are written."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from batch_runner.manifest.renamed import RENAMED_SETTINGS
from batch_runner.settings import (
    Downloads,
    Limits,
    Polling,
    Retries,
    Service,
    Settings,
)
from batch_runner.units import (
    Price,
    Rate,
    parse_clock,
    parse_duration,
    parse_network,
    parse_price,
    parse_prices,
    parse_rate,
    parse_size,
    parse_threshold,
)

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
def test_duration_is_parsed_to_seconds(value: Any, seconds: float) -> None:
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
def test_invalid_duration_is_refused(value: Any) -> None:
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
def test_rate_is_parsed_to_a_count_per_time(value: Any, rate: Rate) -> None:
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
def test_invalid_rate_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="wanted a rate"):
        parse_rate(value)


@pytest.mark.parametrize(
    ("rate", "text"),
    [(Rate(5, 1), "5/s"), (Rate(300, 60), "300/min"), (Rate(1, 2), "1/2s")],
)
def test_rate_is_printed_as_it_is_written(rate: Rate, text: str) -> None:
    assert str(rate) == text
    assert parse_rate(text) == rate


def test_rate_is_converted_to_per_second() -> None:
    assert Rate(300, 60).per_second == 5


@pytest.mark.parametrize(
    ("value", "price"),
    [
        ("0.12 CNY", Price(Decimal("0.12"), "CNY")),
        ("1eur", Price(Decimal("1"), "EUR")),
        ("0 CNY", Price(Decimal("0"), "CNY")),
        (Price(Decimal("2"), "USD"), Price(Decimal("2"), "USD")),
    ],
)
def test_price_is_parsed_to_amount_and_currency(value: Any, price: Price) -> None:
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
def test_invalid_price_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="wanted an amount and a currency"):
        parse_price(value)


@pytest.mark.parametrize(
    ("value", "threshold"),
    [
        ("50 CNY", Price(Decimal("50"), "CNY")),
        (500, 500),
        (0, 0),
        ("0 eur", Price(Decimal("0"), "EUR")),
    ],
)
def test_threshold_is_a_cost_or_a_number_of_submissions(value: Any, threshold: Any) -> None:
    assert parse_threshold(value) == threshold
    assert Limits.model_validate({"confirm_above": value}).confirm_above == threshold


@pytest.mark.parametrize("value", ["50", "", -1, 0.5, math.nan, True, [5]])
def test_invalid_threshold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="wanted a cost such as 50 CNY, or a number"):
        parse_threshold(value)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("200 MB", 200_000_000),
        ("200mb", 200_000_000),
        ("1.5 GB", 1_500_000_000),
        ("2 GiB", 2 * 1024**3),
        (" 1 TB ", 10**12),
        ("16 kB", 16_000),
        ("7 B", 7),
        (1, 1),
        (200_000_000, 200_000_000),
    ],
)
def test_size_is_parsed_to_bytes(value: Any, size: int) -> None:
    assert parse_size(value) == size
    assert Downloads.model_validate({"max_bytes": value}).max_bytes == size


@pytest.mark.parametrize(
    "value",
    [
        "",
        "200",
        "MB",
        "-1 MB",
        "0 MB",
        "0.5 B",
        "1 iB",
        "1 PB",
        "9" * 400 + " MB",
        0,
        -1,
        1.5,
        True,
    ],
    ids=lambda value: str(value)[:12] or "empty",
)
def test_invalid_size_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="wanted a size"):
        parse_size(value)


@pytest.mark.parametrize(
    ("value", "network"),
    [
        ("198.18.0.0/15", "198.18.0.0/15"),
        (" 10.0.0.0/8 ", "10.0.0.0/8"),
        ("192.168.1.7", "192.168.1.7/32"),
        ("FD00::/8", "fd00::/8"),
        ("8.8.8.0/24", "8.8.8.0/24"),
    ],
)
def test_network_is_parsed_to_its_usual_form(value: str, network: str) -> None:
    assert parse_network(value) == network
    assert Downloads.model_validate({"allow_networks": [value]}).allow_networks == (network,)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "wanted a network such as"),
        ("localhost", "wanted a network such as"),
        ("10.0.0.0/33", "wanted a network such as"),
        (10, "wanted a network such as"),
        ("10.0.0.1/8", "the network of this address is 10.0.0.0/8"),
        ("127.0.0.1", "addresses in 127.0.0.0/8, from which nothing is downloaded"),
        ("169.254.0.0/16", "addresses in 169.254.0.0/16"),
        ("0.0.0.0/0", "addresses in 127.0.0.0/8"),
        ("160.0.0.0/4", "addresses in 169.254.0.0/16"),
        ("::1", "addresses in ::/96"),
        ("::/0", "addresses in ::/96"),
        ("fe80::/64", "addresses in fe80::/10"),
        ("::ffff:169.254.0.0/112", "addresses in ::ffff:0:0/96"),
    ],
)
def test_network_that_is_none_or_local_is_refused(value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_network(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.12 CNY", "0.12 CNY"),
        ("1.50eur", "1.5 EUR"),
        ("100 CNY", "100 CNY"),
        ({"default": "0.12 CNY"}, "0.12 CNY"),
        ({"default": "0.12 CNY", "a": "3 cny"}, '{"default": "0.12 CNY", "a": "3 CNY"}'),
        ({"剪纸": "1 CNY"}, '{"剪纸": "1 CNY"}'),
    ],
)
def test_prices_are_read_again_from_their_text(value: Any, text: str) -> None:
    prices = parse_prices(value)

    assert str(prices) == text
    assert parse_prices(text) == prices


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "wanted a price, or a price for each workflow"),
        ("{}", "wanted a price, or a price for each workflow"),
        ("{x", "wanted an amount and a currency"),
        (0.12, "wanted an amount and a currency"),
        ({"a": 0.12}, "a: wanted an amount and a currency"),
        ({"a": "1 CNY", "b": "1 EUR"}, "wanted prices in one currency, not in CNY, EUR"),
        ({"a": {"b": "1 CNY"}}, "a: wanted an amount and a currency"),
    ],
)
def test_invalid_prices_are_refused(value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_prices(value)


def test_cost_is_exact_and_unknown_without_a_price() -> None:
    prices = parse_prices({"a": "0.1 CNY", "b": "0.7 CNY"})

    assert prices.cost({"a": 3, "b": 1}) == Price(Decimal("1.0"), "CNY")
    assert prices.cost({"a": 3, "c": 0}) == Price(Decimal("0.3"), "CNY")
    assert prices.cost({"a": 3, "c": 1}) is None


@pytest.mark.parametrize("price", ["1 EUR", {"a": "1 EUR"}])
def test_cost_cap_in_another_currency_is_refused(price: Any) -> None:
    with pytest.raises(ValueError, match="give both in one currency"):
        Limits.model_validate({"max_cost": "30 CNY", "price": price})


def test_text_and_svg_are_accepted_only_on_request() -> None:
    assert Settings().output.kinds == ("image", "video", "audio", "model", "other")


def test_every_setting_is_described_with_its_default() -> None:
    described = {name: Settings.model_fields[name] for name in ("reuse", "keep_awake")}
    for block in set(Settings.model_fields) - set(described):
        fields = type(getattr(Settings(), block)).model_fields
        described |= {f"{block}.{name}": field for name, field in fields.items()}
    for name, field in described.items():
        assert (field.description or "").endswith("."), name
        assert "Default: " in (field.description or ""), name


@pytest.mark.parametrize(("old", "new"), RENAMED_SETTINGS.items())
def test_renamed_setting_leads_to_one_that_exists(old: str, new: str) -> None:
    def exists(dotted: str) -> bool:
        block, _, name = dotted.partition(".")
        return name in type(getattr(Settings(), block)).model_fields

    assert exists(new)
    assert old.startswith("fetching.") or not exists(old)


def test_cost_is_printed_with_two_decimals() -> None:
    assert Price(Decimal("0.12"), "CNY").times(24) == "2.88 CNY"


@pytest.mark.parametrize("value", [0, -1, 1.0, 1.5, "20", True, 10**10, math.nan, math.inf, ABSURD])
def test_count_below_one_or_not_whole_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate({"in_flight": value})


@pytest.mark.parametrize("value", ["6:30", "24:00", "06:60", "06:30 ", "noon", 630, None])
def test_time_of_day_without_four_digits_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate({"until": value} if value is not None else {"until": [None]})


def test_time_of_day_is_kept_as_written() -> None:
    assert Limits.model_validate({"until": "06:30"}).until == "06:30"


@pytest.mark.parametrize("block", [Limits, Polling, Retries, Settings])
def test_unknown_name_in_a_block_is_refused(block: type[Limits]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        block.model_validate({"in_fligth": 5})


def test_settings_are_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().limits.in_flight = 5  # type: ignore[misc]


def test_key_is_hidden_when_the_service_is_printed() -> None:
    service = Service(provider="baicai", base_url="https://example.org", key=SecretStr("sk-open"))

    assert "sk-open" not in f"{service} {service!r} {service.model_dump()} {service.key}"
    assert "sk-open" not in service.model_dump_json()


@pytest.mark.parametrize(
    ("parse", "text", "typed"),
    [
        (parse_rate, "5／s", "5/s"),
        (parse_rate, "５/s", "5/s"),
        (parse_rate, "“5/s”", "5/s"),
        (parse_duration, "１０s", "10s"),
        (parse_duration, "10ｓ", "10s"),
        (parse_duration, "1．5h", "1.5h"),
        (parse_price, "0.12 ＣＮＹ", "0.12 CNY"),
        (parse_price, "０.１２ CNY", "0.12 CNY"),
        (parse_threshold, "５０ CNY", "50 CNY"),
        (parse_size, "200 ＭＢ", "200 MB"),
        (parse_clock, "06：30", "06:30"),
        (parse_clock, "０６:30", "06:30"),
    ],
)
def test_full_width_signs_in_a_unit_are_named(parse: Any, text: str, typed: str) -> None:
    with pytest.raises(ValueError, match=f"type {typed} "):
        parse(text)


def test_text_that_is_no_unit_in_ascii_gets_no_such_hint() -> None:
    with pytest.raises(ValueError, match=r"100/h$"):
        parse_rate("五／秒")
