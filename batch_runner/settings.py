"""Every number the program uses: name, unit, default, meaning; frozen, passed by argument.

The same models check the manifest's blocks, the environment and the flags, so a setting has one
spelling and one meaning. In code every duration is a float of seconds.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, WithJsonSchema

#: Seconds of a rate that may be under way by default, and how many requests that is at most.
_UNDER_WAY, _MOST_AT_ONCE = 0.5, 64

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART = r"\d+(?:\.\d+)?\s*(?:ms|s|min|m|h|d)"
DURATION_PATTERN = rf"^\s*(?:{_DURATION_PART}\s*)+$"
RATE_PATTERN = r"^\s*(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)?\s*(ms|s|min|m|h|d)\s*$"
PRICE_PATTERN = r"^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]{3})\s*$"
CLOCK_PATTERN = r"^([01]\d|2[0-3]):([0-5]\d)$"


def _as_float(value: int | float) -> float:
    """Return `value` as a float; a whole number too large for one is infinite, not an accident."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def parse_duration(value: Any) -> float:
    """Return seconds for "90s", "1h 30m", "500ms" or a plain number of seconds.

    Raises:
        ValueError: it is not a duration, or not a finite number above zero.
    """
    if isinstance(value, bool):
        raise ValueError("wanted a duration such as 90s, 10m or 8h")
    if isinstance(value, int | float):
        seconds = _as_float(value)
    elif isinstance(value, str) and re.fullmatch(DURATION_PATTERN, value):
        parts = re.findall(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)", value)
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    else:
        raise ValueError("wanted a duration such as 90s, 10m or 8h")
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError("wanted a duration above zero")
    return seconds


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` in any `seconds`."""

    count: float
    seconds: float

    @property
    def per_second(self) -> float:
        """Return the mean rate."""
        return self.count / self.seconds

    def __str__(self) -> str:
        unit = {1.0: "s", 60.0: "min", 3600.0: "h", 86400.0: "d"}.get(self.seconds)
        return f"{self.count:g}/{unit or f'{self.seconds:g}s'}"


def parse_rate(value: Any) -> Rate:
    """Return the rate for "5/s", "300/min", "1/2s" or a plain number a second.

    Raises:
        ValueError: it is not a rate, or not a finite number above zero.
    """
    if isinstance(value, Rate):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        count, seconds = _as_float(value), 1.0
    elif isinstance(value, str) and (match := re.match(RATE_PATTERN, value)):
        count = float(match[1])
        seconds = float(match[2] or 1) * _UNITS[match[3]]
    else:
        raise ValueError("wanted a rate such as 5/s, 300/min or 100/h")
    if not (math.isfinite(count) and math.isfinite(seconds) and count > 0 and seconds > 0):
        raise ValueError("wanted a rate above zero")
    return Rate(count, seconds)


@dataclass(frozen=True, slots=True)
class Price:
    """What one create costs, for estimates and reports; the service is never asked."""

    amount: float
    currency: str

    def __str__(self) -> str:
        return f"{self.amount:g} {self.currency}"

    def times(self, count: int) -> str:
        """Return the cost of `count` creates as text."""
        return f"{self.amount * count:.2f} {self.currency}"


def parse_price(value: Any) -> Price:
    """Return the price for "0.12 CNY".

    Raises:
        ValueError: it is not an amount and a three-letter currency.
    """
    if isinstance(value, Price):
        return value
    if isinstance(value, str) and (match := re.match(PRICE_PATTERN, value)):
        amount = float(match[1])
        if math.isfinite(amount):
            return Price(amount, match[2].upper())
    raise ValueError("wanted an amount and a currency such as 0.12 CNY")


def parse_threshold(value: Any) -> Price | int:
    """Return the amount for "50 CNY", or the count for a plain number.

    Raises:
        ValueError: it is neither an amount and a currency nor a whole number of creates.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    try:
        return parse_price(value)
    except ValueError:
        raise ValueError("wanted a cost such as 50 CNY, or a number of creates") from None


def _parse_clock(value: Any) -> str:
    if isinstance(value, str) and re.match(CLOCK_PATTERN, value):
        return value
    raise ValueError('wanted a time of day such as "06:30", in quotes')


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
RateField = Annotated[
    Rate,
    BeforeValidator(parse_rate),
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
PriceField = Annotated[
    Price,
    BeforeValidator(parse_price),
    WithJsonSchema({"type": "string", "pattern": PRICE_PATTERN, "examples": ["0.12 CNY"]}),
]
ThresholdField = Annotated[
    Price | int,
    BeforeValidator(parse_threshold),
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
    BeforeValidator(_parse_clock),
    WithJsonSchema({"type": "string", "pattern": CLOCK_PATTERN, "examples": ["06:30"]}),
]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]


class Block(BaseModel):
    """A block of settings: frozen, unknown names refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Limits(Block):
    """How fast, how much, how long: the operator's limits."""

    rate: RateField = Field(default=Rate(1, 1), description="Create requests: at most this rate.")
    in_flight: Count = Field(
        default=20, description="Tasks submitted and not finished, at most; bounds what waits."
    )
    poll_rate: RateField = Field(
        default=Rate(10, 1), description="Status requests: at most this rate."
    )
    max_submissions: Count | None = Field(
        default=None, description="Creates over the whole life of the job, at most: the spend cap."
    )
    price: PriceField | None = Field(default=None, description="What one create costs.")
    concurrent_submissions: Count | None = Field(
        default=None,
        description="Submissions at the same time, at most; bounds how many items a crash holds. "
        "Default: half a second of limits.rate, from 16 to 64.",
    )
    confirm_above: ThresholdField | None = Field(
        default=None,
        description="On a terminal, ask before a run that costs more: a cost such as 50 CNY, or a "
        "number of creates. Default: 50 in the price's currency; without a price, 500 creates.",
    )
    run_for: Duration | None = Field(
        default=None, description="Stop a run after this long; the next run goes on."
    )
    until: ClockField | None = Field(
        default=None, description="Stop a run at this time of day (local), in quotes."
    )


class Timeouts(Block):
    """How long one thing may take before it counts as lost, in seconds."""

    connect: Duration = Field(default=10.0, description="Name look-up, TCP and TLS, each request.")
    submit: Duration = Field(default=60.0, description="A whole create request.")
    status: Duration = Field(default=30.0, description="A whole status or result request.")
    upload: Duration = Field(default=300.0, description="A whole upload.")
    download: Duration = Field(default=600.0, description="A whole file download.")
    idle: Duration = Field(default=60.0, description="Silence during a download.")
    task: Duration = Field(
        default=7200.0, description="From create to finish; later runs go on asking."
    )
    unknown: Duration = Field(
        default=60.0, description="How long a task may be unknown to the service (404) a run."
    )
    first_contact: Duration = Field(
        default=60.0, description="Give up a run that never reached the service after this long."
    )
    outage: Duration = Field(
        default=1800.0, description="Give up a run that lost the service for this long."
    )


class Polling(Block):
    """When to ask for a task's status."""

    concurrency: Count | None = Field(
        default=None,
        description="Status requests at once. Default: half a second of limits.poll_rate, 8 to 64.",
    )
    first: Duration = Field(
        default=2.0,
        description="Until the first look at a new task, before anything is learned.",
    )
    shortest: Duration = Field(default=0.2, description="Between two looks at a task, at least.")
    longest: Duration = Field(
        default=30.0,
        description="Between two looks at a task whose turn has come, at most.",
    )
    request_cost: Duration = Field(
        default=0.5, description="Seconds of delay that one status request is worth."
    )


class Retries(Block):
    """Sending the same request again, which costs nothing."""

    base: Duration = Field(default=0.5, description="First back-off; doubles, with full jitter.")
    cap: Duration = Field(default=30.0, description="Longest back-off.")
    max_tries: Count = Field(
        default=6, description="Tries of one result, download or upload a run."
    )
    budget: Count = Field(
        default=20, description="Retries that a run may owe; each answer pays back 0.1."
    )
    longest_pause: Duration = Field(
        default=300.0,
        description="Longest obeyed Retry-After; for more the rest is left to the next run.",
    )
    not_accepted_statuses: tuple[int, ...] = Field(
        default=(), description="HTTP statuses that mean: this create was not accepted."
    )


class Uploads(Block):
    """Input files."""

    reuse_for: Duration = Field(
        default=86400.0, description="How long an uploaded file is used again before it is resent."
    )


class Downloads(Block):
    """Result files."""

    concurrency: Count | None = Field(
        default=None,
        description="Downloads at the same time. Default: half a second of limits.rate, 16 to 64.",
    )
    max_bytes: Count = Field(default=200_000_000, description="Largest file accepted, in bytes.")
    free_bytes: Count = Field(
        default=200_000_000,
        description="Free disk space below which nothing is submitted, in bytes.",
    )


class Settings(Block):
    """All parts together."""

    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    polling: Polling = Polling()
    retries: Retries = Retries()
    uploads: Uploads = Uploads()
    downloads: Downloads = Downloads()

    @property
    def pollers(self) -> int:
        """Return how many coroutines ask for states."""
        return self.polling.concurrency or _at_once(self.limits.poll_rate, least=8)

    @property
    def downloaders(self) -> int:
        """Return how many coroutines download."""
        return self.downloads.concurrency or _at_once(self.limits.rate, least=16)

    @property
    def concurrent_submissions(self) -> int:
        """Return how many submissions may be sent at the same time."""
        return self.limits.concurrent_submissions or _at_once(self.limits.rate, least=16)


def _at_once(rate: Rate, *, least: int) -> int:
    """Return how many requests must be under way for `rate`, if each takes half a second.

    Whoever asks for a higher rate of a slow service says so; more at once is more to hold.
    """
    return max(least, math.ceil(min(_MOST_AT_ONCE, rate.per_second * _UNDER_WAY)))


class Service(Block):
    """Where the service is and how we are known there. The key hides itself when shown."""

    provider: str
    base_url: str
    key: SecretStr
    allow_private: bool = Field(
        default=False, description="Result URLs may be on loopback or private addresses."
    )
    trust_env: bool = Field(default=False, description="Use the proxy of the environment.")
