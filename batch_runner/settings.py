"""Every setting: name, unit, default and meaning.

The same models validate the manifest, the user config, the environment and the flags. In the code,
durations are seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from batch_runner.media import DEFAULT_KINDS
from batch_runner.setting_types import (
    ClockField,
    Count,
    Duration,
    Flag,
    KeepAwakeField,
    KindsField,
    NetworkField,
    PriceField,
    PricesField,
    ProxyField,
    RateField,
    Reuse,
    ReuseField,
    SizeField,
    ThresholdField,
)
from batch_runner.units import Rate, with_one_currency
from batch_runner.util.locale import tr
from batch_runner.util.proxies import Proxies

#: Default concurrency: as many requests as start in this many seconds, up to a maximum.
_CONCURRENT_SECONDS, _MAX_CONCURRENT = 0.5, 64


class Block(BaseModel):
    """A block of settings. Immutable; unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Limits(Block):
    """Rates, cost and duration of a run."""

    rate: RateField = Field(
        default=Rate(1, 1),
        description="Submissions per second, minute or hour, at most, such as 5/s or 300/min; a "
        "number is per second. Default: 1/s.",
    )
    in_flight: Count = Field(
        default=20, description="Tasks submitted and not finished, at most. Default: 20."
    )
    poll_rate: RateField = Field(
        default=Rate(10, 1),
        description="Status requests per second, at most, such as 10/s. Default: 10/s.",
    )
    share_rate: Flag = Field(
        default=True,
        description="Share one rate of submissions, the lowest limit, among the runs of this user "
        "on this machine with the same service and key; a 429 pauses all. Default: true.",
    )
    max_submissions: Count | None = Field(
        default=None,
        description="Submissions over all runs of the job, at most: the spending cap. "
        "Default: no cap.",
        examples=[300],
    )
    max_cost: PriceField | None = Field(
        default=None,
        description="Cost over all runs of the job, at most, such as 30 CNY. Default: no cap.",
        examples=["30 CNY"],
    )
    price: PricesField | None = Field(
        default=None,
        description="Price of one submission, such as 0.12 CNY; or one for each workflow, such as "
        "{default: 0.12 CNY, portrait_v2: 0.3 CNY}. Default: unknown.",
        examples=["0.12 CNY"],
    )
    concurrent_submissions: Count | None = Field(
        default=None,
        description="Submissions being sent at the same time, at most. A crash holds no more items "
        "than that. Default: half of limits.rate (per second), from 16 to 64.",
        examples=[32],
    )
    confirm_above: ThresholdField | None = Field(
        default=None,
        description="On a terminal, ask for confirmation before a run that costs more than this: a "
        "cost such as 50 CNY, or a number of submissions. Default: 50 in the currency of "
        "limits.price; without a price, 500 submissions.",
        examples=["50 CNY"],
    )
    run_for: Duration | None = Field(
        default=None,
        description="Stop a run after this time, such as 8h; the next run continues. "
        "Default: no limit.",
        examples=["8h"],
    )
    until: ClockField | None = Field(
        default=None,
        description='Stop a run at this local time of day, such as "06:30" (in quotes); the next '
        "run continues. Default: no limit.",
        examples=["06:30"],
    )
    _one_currency = model_validator(mode="after")(with_one_currency)


class Timeouts(Block):
    """Timeouts, such as 90s or 10m; a number is seconds."""

    connect: Duration = Field(
        default=10.0, description="Connecting for one request: DNS, TCP and TLS. Default: 10s."
    )
    submit: Duration = Field(default=60.0, description="One submission. Default: 60s.")
    status: Duration = Field(
        default=30.0, description="One status request or result request. Default: 30s."
    )
    upload: Duration = Field(default=300.0, description="One upload. Default: 300s.")
    download: Duration = Field(default=600.0, description="One file download. Default: 600s.")
    idle: Duration = Field(
        default=60.0, description="Time without received bytes during a download. Default: 60s."
    )
    task: Duration = Field(
        default=7200.0,
        description="Time from submission to the end of a task. After it the run stops polling the "
        "task; later runs poll it again. Default: 2h.",
    )
    unknown: Duration = Field(
        default=60.0,
        description="Time for which the service may answer 404 about a task before the run stops "
        "polling it. Default: 60s.",
    )
    first_contact: Duration = Field(
        default=60.0,
        description="Stop a run if it has never reached the service after this time. Default: 60s.",
    )
    outage: Duration = Field(
        default=1800.0,
        description="Stop a run if it has not reached the service for this time. Default: 30m.",
    )


class Polling(Block):
    """How often the status of tasks is requested."""

    concurrency: Count | None = Field(
        default=None,
        description="Status requests at the same time, at most. Default: half of limits.poll_rate "
        "(per second), from 8 to 64.",
        examples=[16],
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
        description="How much later the end of a task may be noticed to save one status request. "
        "Default: 500ms.",
    )


class Retries(Block):
    """How failed requests that cost nothing are sent again."""

    base: Duration = Field(
        default=0.5,
        description="Longest wait before the first retry; it doubles with each retry. Each wait is "
        "random, between 0 and the longest. Default: 500ms.",
    )
    cap: Duration = Field(default=30.0, description="Longest wait before any retry. Default: 30s.")
    max_tries: Count = Field(
        default=6,
        description="Tries of one result request, download or upload per run. Default: 6.",
    )
    budget: Count = Field(
        default=20,
        description="Retries that a run may make in a row; ten successful requests allow one more. "
        "Default: 20.",
    )
    longest_pause: Duration = Field(
        default=300.0,
        description="Longest Retry-After that a run waits for. If the service asks for more, the "
        "run stops and the next one continues. Default: 300s.",
    )
    not_accepted_statuses: tuple[int, ...] = Field(
        default=(),
        description="HTTP statuses, such as 503, that prove that a submission was not accepted. "
        "The item is then submitted again instead of held. Default: none.",
        examples=[[503]],
    )


class Uploads(Block):
    """Input files."""

    reuse_for: Duration = Field(
        default=86400.0,
        description="Time for which an uploaded file is used without uploading it again. "
        "Default: 24h.",
    )


class Downloads(Block):
    """Result files."""

    concurrency: Count | None = Field(
        default=None,
        description="Downloads at the same time, at most. A host gets another one while it has "
        "fewer than are free: alone at most half of all, so a slow one leaves room for others. "
        "Default: limits.rate (per second), from 32 to 128.",
        examples=[32],
    )
    max_bytes: SizeField = Field(
        default=200_000_000,
        description="Largest file accepted, such as 200 MB; a number is bytes. A larger one is not "
        "downloaded; a run with a higher value gets it without paying again. Default: 200 MB.",
    )
    allow_networks: tuple[NetworkField, ...] = Field(
        default=(),
        description="Private networks from which files may be downloaded, such as 198.18.0.0/15 "
        "for a proxy with fake IP addresses (Clash). Never this machine and its link. "
        "Default: none.",
        examples=[["198.18.0.0/15"]],
    )
    free_bytes: SizeField = Field(
        default=200_000_000,
        description="Free disk space below which nothing is submitted, such as 200 MB; a number is "
        "bytes. Default: 200 MB.",
    )


class Output(Block):
    """Results."""

    kinds: KindsField = Field(
        default=DEFAULT_KINDS,
        examples=[["image", "svg"]],
        json_schema_extra={"minItems": 1},
        description="Kinds of files that are accepted as results: image, video, audio, model, "
        "other (everything else that is binary), text (HTML, JSON, CSV too), svg. A file of "
        "another kind is set aside, and its item stays download_pending; a run with that kind "
        "added gets it without paying again. Default: all but text and svg, which may be an error "
        "page.",
    )
    sidecar: Literal["json", "none"] = Field(
        default="none",
        examples=["json"],
        description="json: write NAME.json beside each result, with prompt, params, task id, times "
        "and hash; a run writes the missing ones. Default: none.",
    )
    keep: Duration | None = Field(
        default=None,
        examples=["30d"],
        description="How long run logs, and files that were set aside, stay in .batch, such as "
        "30d; those of unfinished items always. Default: the newest 30 logs, all such files.",
    )

    @model_validator(mode="after")
    def _no_json_results(self) -> Self:
        if self.sidecar == "json" and "text" in self.kinds:
            raise ValueError(tr("leave out sidecar, or text in kinds: both may write NAME.json"))
        return self


class Network(Block):
    """How the service is reached."""

    proxy: ProxyField | None = Field(
        default=None,
        examples=["http://proxy.example:3128"],
        description="Proxy of all requests, such as http://proxy.example:3128 or "
        "socks5h://127.0.0.1:1080 (needs the extra socks). Default: none, or the one of the "
        "environment if trust_env is set.",
    )
    trust_env: Flag = Field(
        default=False,
        description="Use the proxies that the variables HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and "
        "NO_PROXY name. Default: false.",
    )


class Settings(Block):
    """All settings."""

    reuse: ReuseField = Reuse.ALWAYS
    keep_awake: KeepAwakeField = True
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    polling: Polling = Polling()
    retries: Retries = Retries()
    uploads: Uploads = Uploads()
    downloads: Downloads = Downloads()
    output: Output = Output()
    network: Network = Network()

    @property
    def pollers(self) -> int:
        """Return how many status requests may be open at the same time."""
        return self.polling.concurrency or _concurrency(self.limits.poll_rate, least=8)

    @property
    def downloaders(self) -> int:
        """Return how many files may be downloaded at the same time."""
        # Twice, because one host alone gets half of them.
        return self.downloads.concurrency or 2 * _concurrency(self.limits.rate, least=16)

    @property
    def concurrent_submissions(self) -> int:
        """Return how many submissions may be open at the same time."""
        return self.limits.concurrent_submissions or _concurrency(self.limits.rate, least=16)


def _concurrency(rate: Rate, *, least: int) -> int:
    """Return the concurrency that reaches `rate` if each request takes half a second."""
    return max(least, math.ceil(min(_MAX_CONCURRENT, rate.per_second * _CONCURRENT_SECONDS)))


class Service(Block):
    """URL of the service and the API key, which is hidden when this is printed."""

    provider: str
    base_url: str
    key: SecretStr
    base_urls: tuple[str, ...] = ()  # of all of the user's own servers; the first is base_url
    workflows: Mapping[str, Any] = {}  # graphs of workflow files, by the manifest's names
    allow_private: bool = Field(
        default=False, description="Allow downloads from loopback and private addresses."
    )
    proxies: Proxies | None = None  # of the requests; None: those that `network` names
    key_source: str = Field(default="", description="Where the key comes from, for messages.")

    @property
    def secrets(self) -> set[str]:
        """Return the key and the proxies' passwords, which no log may show."""
        found = self.proxies.passwords if self.proxies else set()
        return {secret for secret in (*found, self.key.get_secret_value()) if secret}
