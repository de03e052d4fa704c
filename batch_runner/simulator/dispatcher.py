"""Turns each request into an exchange and lets the service or a fault respond to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from batch_runner.simulator.exchange import Exchange, pause_until
from batch_runner.simulator.faults import FaultPlan, parse_fault
from batch_runner.simulator.image_cache import ImageCache
from batch_runner.simulator.parsing import Distribution, parse_distribution
from batch_runner.simulator.responses import Answer, Responses
from batch_runner.simulator.service import Service


@dataclass(slots=True)
class Dispatcher:
    """One service with its active fault rules. The ports are 0 until the sockets are bound."""

    service: Service
    pictures: ImageCache
    responses: Responses
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    files_port: int = 0
    trap_port: int = 0
    other_port: int = 0
    plan: FaultPlan = field(init=False)
    _latency: Distribution = field(init=False)

    def __post_init__(self) -> None:
        self._latency = parse_distribution(self.service.settings.latency)
        self.set_faults(list(self.service.settings.faults))

    def set_faults(self, texts: list[str]) -> None:
        """Replace the active rules and restart their counts.

        Raises:
            ValueError: A rule is invalid; nothing was changed.
        """
        rules = [parse_fault(text) for text in texts]
        self.plan = FaultPlan(rules, self.service.settings.seed)

    async def handle(
        self,
        calls: tuple[str, ...],
        request: web.Request,
        work: Callable[[Exchange], Answer],
        *,
        text: str,
        subject: str,
        key: str = "",
    ) -> web.StreamResponse:
        """Respond to one request, by the first fault that applies or else normally."""
        service = self.service
        host = request.url.host or service.settings.host
        if ":" in host:
            host = f"[{host}]"
        exchange = Exchange(
            calls=calls,
            request=request,
            work=work,
            ledger=service.ledger,
            responses=self.responses,
            now=service.now,
            pause=pause_until(self.closing),
            latency=self._latency.sample(service.rng),
            text=text,
            subject=subject,
            files_url=f"http://{host}:{self.files_port}",
            trap_url=f"http://{host}:{self.trap_port}",
            other_url=f"http://{host}:{self.other_port}",
            key=key,
        )
        rule = self.plan.choose(exchange)
        if rule is None:
            return await exchange.respond()
        exchange.fault = rule.kind.name
        return await rule.kind.function(exchange, **rule.options)

    def text_of(self, task_id: str) -> str:
        """Return the text that `match` is searched in for requests about this task."""
        task = self.service.ledger.tasks.get(task_id)
        return task_id if task is None else f"{task_id} {task.body}"

    def record_leak(self, origin: str, path: str, where: str) -> None:
        """Record that a key was sent where none belongs."""
        now = self.service.now()
        self.service.ledger.leak(time=now, origin=origin, path=path, where=where)
