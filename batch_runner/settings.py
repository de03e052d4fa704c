"""Every setting: name, unit, default and meaning.

The same models validate the manifest, the user config, the environment and the flags. In code a
duration is a float of seconds.
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
    SIZE_PATTERN,
    Price,
    Rate,
    parse_clock,
    parse_duration,
    parse_price,
    parse_rate,
    parse_size,
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

#: Default concurrency: the requests of this many seconds at the rate limit, and at most so many.
_CONCURRENT_SECONDS, _MAX_CONCURRENT = 0.5, 64

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
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]


class Block(BaseModel):
    """A block of settings: immutable, unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Limits(Block):
    """Rates, cost and duration of a run."""

    rate: RateField = Field(
        default=Rate(1, 1), description="Submissions, at most this rate, such as 5/s or 300/min."
    )
    in_flight: Count = Field(default=20, description="Tasks submitted and not finished, at most.")
    poll_rate: RateField = Field(
        default=Rate(10, 1), description="Status requests, at most this rate, such as 10/s."
    )
    max_submissions: Count | None = Field(
        default=None,
        description="Submissions over the whole life of the job, at most: the spending cap. "
        "Default: no cap.",
    )
    price: PriceField | None = Field(
        default=None,
        description="Price of one submission, such as 0.12 CNY, for estimates. Default: unknown.",
    )
    concurrent_submissions: Count | None = Field(
        default=None,
        description="Submissions being sent at the same time, at most; a crash holds no more items "
        "than that. Default: half a second of limits.rate, from 16 to 64.",
    )
    confirm_above: ThresholdField | None = Field(
        default=None,
        description="On a terminal, ask before a run that costs more: a cost such as 50 CNY, or a "
        "number of submissions. Default: 50 in the currency of limits.price; without a price, 500 "
        "submissions.",
    )
    run_for: Duration | None = Field(
        default=None,
        description="Stop a run after this time, such as 8h; the next run continues. "
        "Default: no limit.",
    )
    until: ClockField | None = Field(
        default=None,
        description='Stop a run at this local time of day, such as "06:30" (in quotes); the next '
        "run continues. Default: no limit.",
    )


class Timeouts(Block):
    """Durations after which something is given up, such as 90s or 10m; a number is seconds."""

    connect: Duration = Field(
        default=10.0, description="DNS, TCP and TLS of one request. Default: 10s."
    )
    submit: Duration = Field(default=60.0, description="One submission. Default: 60s.")
    status: Duration = Field(
        default=30.0, description="One status request or result request. Default: 30s."
    )
    upload: Duration = Field(default=300.0, description="One upload. Default: 300s.")
    download: Duration = Field(default=600.0, description="One file download. Default: 600s.")
    idle: Duration = Field(
        default=60.0, description="Time without any bytes during a download. Default: 60s."
    )
    task: Duration = Field(
        default=7200.0,
        description="Time from submission to the end of a task. After it the run stops polling the "
        "task; later runs poll it again. Default: 2h.",
    )
    unknown: Duration = Field(
        default=60.0,
        description="Time for which the service may not know a task (404) before the run stops "
        "polling it. Default: 60s.",
    )
    first_contact: Duration = Field(
        default=60.0,
        description="Stop a run that has not reached the service once for this time. Default: 60s.",
    )
    outage: Duration = Field(
        default=1800.0,
        description="Stop a run that has not reached the service for this time. Default: 30m.",
    )


class Polling(Block):
    """How often the status of tasks is requested."""

    concurrency: Count | None = Field(
        default=None,
        description="Status requests at the same time, at most. Default: half a second of "
        "limits.poll_rate, from 8 to 64.",
    )
    first: Duration = Field(
        default=2.0,
        description="Delay before the first poll of a task. After ten completed tasks of its "
        "workflow the learned durations are used. Default: 2s.",
    )
    shortest: Duration = Field(
        default=0.2, description="Time between two polls of a task, at least. Default: 200ms."
    )
    longest: Duration = Field(
        default=30.0,
        description="Time between two polls of a task that the service may be working on, at most. "
        "Default: 30s.",
    )
    request_cost: Duration = Field(
        default=0.5,
        description="Detection delay accepted to save one status request. Default: 500ms.",
    )


class Retries(Block):
    """Repetition of requests that cost nothing."""

    base: Duration = Field(
        default=0.5,
        description="Longest wait before the first retry; doubles with each one. The wait is "
        "random between 0 and that. Default: 500ms.",
    )
    cap: Duration = Field(default=30.0, description="Longest wait before a retry. Default: 30s.")
    max_tries: Count = Field(
        default=6,
        description="Tries of one result request, download or upload per run. Default: 6.",
    )
    budget: Count = Field(
        default=20,
        description="Retries in a row that a run may make; each successful request restores a "
        "tenth of one. Default: 20.",
    )
    longest_pause: Duration = Field(
        default=300.0,
        description="Longest Retry-After that a run waits for. If the service asks for more, the "
        "run stops and the next one continues. Default: 300s.",
    )
    not_accepted_statuses: tuple[int, ...] = Field(
        default=(),
        description="HTTP statuses of a submission that prove that it was not accepted, such as "
        "503. Such a submission is sent again, not held. Default: none.",
    )


class Uploads(Block):
    """Input files."""

    reuse_for: Duration = Field(
        default=86400.0,
        description="Time for which an uploaded file is used again without a new upload. "
        "Default: 24h.",
    )


class Downloads(Block):
    """Result files."""

    concurrency: Count | None = Field(
        default=None,
        description="Downloads at the same time, at most. Default: half a second of limits.rate, "
        "from 16 to 64.",
    )
    max_bytes: SizeField = Field(
        default=200_000_000,
        description="Largest file accepted, such as 200 MB; a number is bytes. Default: 200 MB.",
    )
    free_bytes: SizeField = Field(
        default=200_000_000,
        description="Free disk space below which nothing is submitted, such as 200 MB; a number is "
        "bytes. Default: 200 MB.",
    )


class Settings(Block):
    """All settings."""

    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    polling: Polling = Polling()
    retries: Retries = Retries()
    uploads: Uploads = Uploads()
    downloads: Downloads = Downloads()

    @property
    def pollers(self) -> int:
        """Return how many status requests may be sent at the same time."""
        return self.polling.concurrency or _concurrency(self.limits.poll_rate, least=8)

    @property
    def downloaders(self) -> int:
        """Return how many files may be downloaded at the same time."""
        return self.downloads.concurrency or _concurrency(self.limits.rate, least=16)

    @property
    def concurrent_submissions(self) -> int:
        """Return how many submissions may be sent at the same time."""
        return self.limits.concurrent_submissions or _concurrency(self.limits.rate, least=16)


def _concurrency(rate: Rate, *, least: int) -> int:
    """Return the concurrency that reaches `rate` if each request takes half a second."""
    return max(least, math.ceil(min(_MAX_CONCURRENT, rate.per_second * _CONCURRENT_SECONDS)))


class Service(Block):
    """Where the service is, and the key for it. The key is hidden when this is printed."""

    provider: str
    base_url: str
    key: SecretStr
    allow_private: bool = Field(
        default=False, description="Allow downloads from loopback and private addresses."
    )
    trust_env: bool = Field(default=False, description="Use the proxy that the environment names.")
