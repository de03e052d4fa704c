"""Every number the program uses: name, unit, default, meaning; frozen, passed by argument.

The same models check the manifest's blocks, the environment and the flags, so a setting has one
spelling and one meaning. In code every duration is a float of seconds.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, WithJsonSchema

from batch_runner.units import (
    CLOCK_PATTERN,
    DURATION_PATTERN,
    PRICE_PATTERN,
    RATE_PATTERN,
    Price,
    Rate,
    parse_clock,
    parse_duration,
    parse_price,
    parse_rate,
    parse_threshold,
)

#: Former name of a setting → its name today, both as "block.name", for hints in errors.
RENAMED_SETTINGS: dict[str, str] = {
    "limits.pace": "limits.rate",
    "limits.polls": "limits.poll_rate",
    "limits.tasks": "limits.max_submissions",
    "timeouts.create": "timeouts.submit",
    "timeouts.uploaded": "uploads.reuse_for",
    "polling.pollers": "polling.concurrency",
    "polling.cost": "polling.request_cost",
    "retries.tries": "retries.max_tries",
    "retries.unsent_statuses": "retries.not_accepted_statuses",
    "fetching.fetchers": "downloads.concurrency",
    "fetching.creators": "limits.concurrent_submissions",
    "fetching.max_bytes": "downloads.max_bytes",
    "fetching.free_bytes": "downloads.free_bytes",
}

#: Seconds of a rate that may be under way by default, and how many requests that is at most.
_UNDER_WAY, _MOST_AT_ONCE = 0.5, 64

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
    BeforeValidator(parse_clock),
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
