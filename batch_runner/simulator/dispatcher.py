"""Where exchanges are played: the service, the faults in force, and what both need."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batch_runner.simulator.exchange import Exchange, pause_until
from batch_runner.simulator.faults import FaultPlan, parse_fault
from batch_runner.simulator.parsing import parse_distribution

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from batch_runner.simulator.image_cache import Gallery
    from batch_runner.simulator.parsing import Distribution
    from batch_runner.simulator.responses import Answer
    from batch_runner.simulator.service import Service


@dataclass(slots=True)
class Dispatcher:
    """One service on its ports. The ports are known once the sockets are bound."""

    service: Service
    pictures: Gallery
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    files_port: int = 0
    decoy_port: int = 0
    plan: FaultPlan = field(init=False)
    _latency: Distribution = field(init=False)

    def __post_init__(self) -> None:
        self._latency = parse_distribution(self.service.settings.latency)
        self.set_faults(list(self.service.settings.faults))

    def set_faults(self, texts: list[str]) -> None:
        """Put these rules in the place of those in force; their counts begin anew.

        Raises:
            ValueError: one of them cannot be read; nothing is changed.
        """
        rules = [parse_fault(text) for text in texts]
        self.plan = FaultPlan(rules, self.service.settings.seed)

    async def play(
        self,
        call: str,
        request: web.Request,
        work: Callable[[Exchange], Answer],
        *,
        text: str,
        subject: str,
    ) -> web.StreamResponse:
        """Answer one request, honestly or by the first fault that applies."""
        settings = self.service.settings
        host = request.url.host or settings.host
        if ":" in host:
            host = f"[{host}]"
        exchange = Exchange(
            call=call,
            request=request,
            service=self.service,
            work=work,
            pause=pause_until(self.closing),
            latency=self._latency.sample(self.service.draw),
            text=text,
            subject=subject,
            files_url=f"http://{host}:{self.files_port}",
            decoy_url=f"http://{host}:{self.decoy_port}",
        )
        rule = self.plan.choose(exchange)
        if rule is None:
            return await exchange.honest()
        exchange.fault = rule.kind.name
        return await rule.kind.answer(exchange, **rule.options)

    def text_of(self, task_id: str) -> str:
        """Return what a fault's `match` looks into for requests about this task."""
        task = self.service.ledger.tasks.get(task_id)
        return task_id if task is None else f"{task_id} {task.body}"

    def note_leak(self, origin: str, path: str, where: str) -> None:
        """Note a key in a place where none belongs."""
        now = self.service.now()
        self.service.ledger.leak(time=now, origin=origin, path=path, where=where)
