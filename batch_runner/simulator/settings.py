"""Everything about the simulated service that can be chosen, checked when it is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_runner.simulator.faults import parse_fault
from batch_runner.simulator.parsing import parse_distribution, parse_rate
from batch_runner.simulator.responses import VARIANTS

if TYPE_CHECKING:
    from pathlib import Path

PROGRESS = ("honest", "none", "lying", "stuck")
ORDERS = ("fifo", "random")
LARGEST_SIDE = 4096  # pixels


@dataclass(frozen=True, kw_only=True)
class SimulatorSettings:
    """How the service behaves. Durations are texts such as "2s" or numbers of seconds.

    Attributes:
        host: Address to listen on.
        port: Port of the API; 0 takes any free one.
        files_port: Port of the files, which makes them another origin; 0 takes any free one.
        seed: What all chance is drawn from, except task ids, which are never the same twice.
        service_time: How long a task runs: 2s, uniform:1,3, exp:20, lognormal:30,0.4 or mix:5,60.
        workers: Tasks worked on at the same time, the others being PENDING; 0 means all.
        order: Which waiting task is next: fifo or random.
        create_limit: The strict limit of creates such as 5/s or 100/s:burst=10; None for no limit.
        variants: Names out of `VARIANTS`: how the answers read where the documents are open.
        url_life: Seconds after which a result URL answers 403; None for never.
        progress: honest, none (no such field), lying (per task too fast or too slow) or stuck.
        image_size: Width and height of the pictures, in pixels.
        image_bytes: Serve one noise picture of about this many bytes instead; None draws cards.
        outputs: Pictures of one task.
        latency: How long every answer takes, as in `service_time`; the work is done before it.
        faults: What goes wrong, as `parse_fault` reads it, the first that applies being taken.
        keys: The keys accepted; none given means every key that starts with sk-.
        state: File in which tasks and ledger survive a restart; None keeps them in memory.
        workflows: The workflow ids the service knows; none given means all.

    Raises:
        ValueError: a value is not one of those wanted.
    """

    host: str = "127.0.0.1"
    port: int = 0
    files_port: int = 0
    seed: int = 0
    service_time: str | float = "2s"
    workers: int = 0
    order: str = "fifo"
    create_limit: str | None = None
    variants: tuple[str, ...] = ()
    url_life: float | None = None
    progress: str = "honest"
    image_size: tuple[int, int] = (640, 800)
    image_bytes: int | None = None
    outputs: int = 1
    latency: str | float = 0.0
    faults: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    state: Path | None = None
    workflows: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parse_distribution(self.service_time)
        parse_distribution(self.latency)
        if self.create_limit is not None:
            parse_rate(self.create_limit)
        for fault in self.faults:
            parse_fault(fault)
        for variant in self.variants:
            _one_of("variant", variant, tuple(VARIANTS))
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
        if self.url_life is not None and not self.url_life > 0:
            raise ValueError(f"url_life {self.url_life}: wanted seconds above zero")


def _one_of(name: str, value: str, wanted: tuple[str, ...]) -> None:
    if value not in wanted:
        raise ValueError(f"{name} {value!r}: wanted one of {', '.join(wanted)}")


def _between(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} {value}: wanted {low} to {high}")
