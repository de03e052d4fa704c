"""Faults of tasks: their ids, their words, their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_runner.simulator.faults.registry import fault
from batch_runner.simulator.tasks import Outcome

if TYPE_CHECKING:
    from batch_runner.simulator.exchange import Exchange
    from batch_runner.simulator.faults.registry import Response


@fault("create")
async def no_task_id(exchange: Exchange) -> Response:
    """Create the task and leave its id out of the answer: paid."""
    answer = await exchange.answer()
    if answer.status == 200:
        del answer.data["taskId"]
    return exchange.send(answer)


@fault("create")
async def same_task_id(exchange: Exchange) -> Response:
    """Create the task and give the id of the first one: paid."""
    first = next(iter(exchange.service.ledger.tasks), None)
    return await _with_task_id(exchange, first)


@fault("create")
async def bad_task_id(exchange: Exchange, *, value: str = "../../etc/passwd") -> Response:
    """Create the task and give an id that is none (value=…): paid."""
    return await _with_task_id(exchange, value)


async def _with_task_id(exchange: Exchange, task_id: str | None) -> Response:
    answer = await exchange.answer()
    if answer.status == 200 and task_id is not None:
        answer.data["taskId"] = task_id
    return exchange.send(answer)


@fault("create")
async def fail(exchange: Exchange) -> Response:
    """Create a task that ends FAILED."""
    exchange.fate = Outcome.FAILED
    return await exchange.honest()


@fault("create")
async def cancel(exchange: Exchange) -> Response:
    """Create a task that ends CANCELED."""
    exchange.fate = Outcome.CANCELED
    return await exchange.honest()


@fault("create")
async def never(exchange: Exchange) -> Response:
    """Create a task that is RUNNING for ever."""
    exchange.fate = Outcome.NEVER
    return await exchange.honest()


@fault("create")
async def slow(exchange: Exchange, *, factor: float = 10.0) -> Response:
    """Create a task that takes ten times as long."""
    exchange.slowness = factor
    return await exchange.honest()


@fault("status", "result")
async def forget(exchange: Exchange) -> Response:
    """Say 404 for a task that exists (each=N: for a while)."""
    return exchange.refuse(exchange.service.voice.refusal(404, "任务不存在"))


@fault("status")
async def lower_case(exchange: Exchange) -> Response:
    """Give the status word in lower case."""
    answer = await exchange.answer()
    if answer.status == 200:
        answer.data["status"] = answer.data["status"].lower()
    return exchange.send(answer)


@fault("status")
async def word(exchange: Exchange, *, value: str = "QUEUED_ON_GPU") -> Response:
    """Give a status word nobody knows (or value=…)."""
    return await _with_status(exchange, value)


@fault("status")
async def backwards(exchange: Exchange) -> Response:
    """Say RUNNING for a task that is COMPLETED (each=N: N times)."""
    return await _with_status(exchange, "RUNNING", progress="50")


@fault("status")
async def early(exchange: Exchange) -> Response:
    """Say COMPLETED for a task that is not: its result is not ready."""
    return await _with_status(exchange, "COMPLETED", progress="100")


@fault("status")
async def progress(exchange: Exchange, *, value: str = "-7e400%") -> Response:
    """Give a progress that is nonsense (or value=…)."""
    answer = await exchange.answer()
    if answer.status == 200:
        answer.data["progress"] = value
    return exchange.send(answer)


@fault("status")
async def no_status(exchange: Exchange) -> Response:
    """Leave the status word out."""
    answer = await exchange.answer()
    if answer.status == 200:
        del answer.data["status"]
    return exchange.send(answer)


async def _with_status(exchange: Exchange, value: str, progress: str | None = None) -> Response:
    answer = await exchange.answer()
    if answer.status == 200:
        answer.data["status"] = value
        if progress is not None and "progress" in answer.data:
            answer.data["progress"] = progress
    return exchange.send(answer)
