"""Types of values of settings, each with its validation and its JSON Schema."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from batch_runner.media import Kind
from batch_runner.units import (
    CLOCK_PATTERN,
    DURATION_PATTERN,
    NETWORK_PATTERN,
    PRICE_PATTERN,
    RATE_PATTERN,
    SIZE_PATTERN,
    Price,
    Prices,
    Rate,
    parse_clock,
    parse_duration,
    parse_flag,
    parse_network,
    parse_price,
    parse_prices,
    parse_rate,
    parse_size,
    parse_threshold,
)
from batch_runner.util.locale import tr
from batch_runner.util.proxies import ProxyUrl, parse_proxy


def _not_empty(kinds: Any) -> Any:
    if kinds in ([], ()):
        raise ValueError(tr("wanted at least one kind, such as image"))
    return kinds


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": DURATION_PATTERN},
                {"type": "number", "exclusiveMinimum": 0},
            ],
            "examples": ["90s", "10m", "8h"],
        }
    ),
]


def _price_text(value: Price | int) -> str | int:
    return value if isinstance(value, int) else str(value)


RateField = Annotated[
    Rate,
    BeforeValidator(parse_rate),
    PlainSerializer(lambda rate: rate.exact_text, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": RATE_PATTERN},
                {"type": "number", "exclusiveMinimum": 0},
            ],
            "examples": ["5/s", "300/min"],
        }
    ),
]
_PRICE_SCHEMA = {"type": "string", "pattern": PRICE_PATTERN, "examples": ["0.12 CNY"]}
PriceField = Annotated[
    Price,
    BeforeValidator(parse_price),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema(_PRICE_SCHEMA),
]
PricesField = Annotated[
    Prices,
    BeforeValidator(parse_prices),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                _PRICE_SCHEMA,
                {"type": "object", "additionalProperties": _PRICE_SCHEMA, "minProperties": 1},
            ]
        }
    ),
]
ThresholdField = Annotated[
    Price | int,
    BeforeValidator(parse_threshold),
    PlainSerializer(_price_text, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": PRICE_PATTERN},
                {"type": "integer", "minimum": 0},
            ],
            "examples": ["50 CNY", 500],
        }
    ),
]
ClockField = Annotated[
    str,
    BeforeValidator(parse_clock),
    WithJsonSchema({"type": "string", "pattern": CLOCK_PATTERN, "examples": ["06:30"]}),
]
SizeField = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": SIZE_PATTERN},
                {"type": "integer", "minimum": 1},
            ],
            "examples": ["200 MB", "2 GiB"],
        }
    ),
]
NetworkField = Annotated[
    str,
    BeforeValidator(parse_network),
    WithJsonSchema(
        {"type": "string", "pattern": NETWORK_PATTERN, "examples": ["198.18.0.0/15", "10.0.0.0/8"]}
    ),
]
KindsField = Annotated[tuple[Kind, ...], BeforeValidator(_not_empty)]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]
ProxyField = Annotated[
    ProxyUrl,
    BeforeValidator(parse_proxy),
    WithJsonSchema({"type": "string", "examples": ["http://proxy.example:3128"]}),
]
Flag = Annotated[
    bool,
    BeforeValidator(parse_flag),
    WithJsonSchema({"type": "boolean", "examples": [True]}),
]


class Reuse(StrEnum):
    """What a run does with items that another job of this user has submitted."""

    ALWAYS = "always"
    ASK = "ask"
    NEVER = "never"


ReuseField = Annotated[
    Reuse,
    WithJsonSchema({"type": "string", "enum": [mode.value for mode in Reuse]}),
    Field(
        description="What to do with items that another job of yours has submitted to the same "
        "service: always (use its results, pay nothing), ask (on a terminal; elsewhere they are "
        "held), never (submit and pay again). Default: always.",
        examples=["never"],
    ),
]

KeepAwakeField = Annotated[
    Flag,
    Field(
        description="Keep the computer from going to sleep while tasks are in flight, with "
        "systemd-inhibit or caffeinate where they are installed. Default: true.",
        examples=[False],
    ),
]
