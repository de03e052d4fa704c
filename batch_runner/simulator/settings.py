"""The settings of the simulated service, checked when they are built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batch_runner.simulator.faults import parse_fault
from batch_runner.simulator.parsing import parse_distribution, parse_rate
from batch_runner.simulator.personalities import PERSONALITIES

PROGRESS = ("honest", "none", "lying", "stuck")
ORDERS = ("fifo", "random")
LARGEST_SIDE = 4096  # pixels


@dataclass(frozen=True, kw_only=True)
class SimulatorSettings:
    """How the service behaves. A duration is a text such as "2s" or a number of seconds.

    Attributes:
        personality: The service to act as, one of `PERSONALITIES`.
        host: Address to listen on.
        port: TCP port of the API; 0 takes a free one.
        files_port: TCP port of the files, which makes them another origin; 0 takes a free one.
        seed: Seed of all random choices but task ids, which are never repeated.
        service_time: Duration of a task: 2s, uniform:1,3, exp:20, lognormal:30,0.4 or mix:5,60.
        workers: Tasks that run at the same time, the others being PENDING; 0 means all.
        order: Which waiting task runs next: fifo or random.
        submit_limit: Rate limit of submissions, such as 5/s or 100/s:burst=10; None for no limit.
        variants: Names of variants of the personality, such as the forms of responses that its
            documents leave open.
        url_life: Seconds after which a result URL answers 403; None for never.
        idempotency_life: Seconds in which an idempotency key stands for the same submission.
        progress: honest, none (no such field), lying (too fast or too slow, by task) or stuck.
        image_size: Width and height of the pictures, in pixels.
        image_bytes: Serve one noise picture of about this many bytes; None draws cards.
        outputs: Pictures per task.
        latency: Duration of every response, as in `service_time`; the work is done before it.
        faults: Fault rules, as `parse_fault` reads them; the first one that applies is used.
        keys: Accepted API keys; empty for every key (of baicai: that begins with sk-).
        state: File that keeps tasks and ledger over a restart; None keeps them in memory.
        workflows: Accepted workflow ids or models; empty for all.
        graphs: Workflows of ComfyUI in API format whose node classes the server has, too.

    Raises:
        ValueError: A value is invalid.
    """

    personality: str = "baicai"
    host: str = "127.0.0.1"
    port: int = 0
    files_port: int = 0
    seed: int = 0
    service_time: str | float = "2s"
    workers: int = 0
    order: str = "fifo"
    submit_limit: str | None = None
    variants: tuple[str, ...] = ()
    url_life: float | None = None
    idempotency_life: float = 86400.0
    progress: str = "honest"
    image_size: tuple[int, int] = (640, 800)
    image_bytes: int | None = None
    outputs: int = 1
    latency: str | float = 0.0
    faults: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    state: Path | None = None
    workflows: tuple[str, ...] = ()
    graphs: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        _one_of("personality", self.personality, tuple(PERSONALITIES))
        parse_distribution(self.service_time)
        parse_distribution(self.latency)
        if self.submit_limit is not None:
            parse_rate(self.submit_limit)
        for fault in self.faults:
            parse_fault(fault)
        for variant in self.variants:
            _one_of("variant", variant, tuple(PERSONALITIES[self.personality].variants))
        _one_of("progress", self.progress, PROGRESS)
        _one_of("order", self.order, ORDERS)
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name in ("port", "files_port"):
            _between(name, getattr(self, name), 0, 65535)
        _between("workers", self.workers, 0, 1_000_000)
        _between("outputs", self.outputs, 1, 100)
        for side in self.image_size:
            _between("image_size", side, 64, LARGEST_SIDE)
        if self.image_bytes is not None:
            _between("image_bytes", self.image_bytes, 100, 1_000_000_000)
        if not self.idempotency_life >= 0:
            raise ValueError(f"idempotency_life is {self.idempotency_life}; it must be 0 or more")
        if self.url_life is not None and not self.url_life > 0:
            raise ValueError(f"url_life is {self.url_life}; it must be a number of seconds above 0")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        if not choices:
            raise ValueError(f"{name} is {value!r}; this service has none")
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(choices)}")


def _between(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; it must be {low} to {high}")
