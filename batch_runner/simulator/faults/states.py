"""Faults of tasks: ids, states and outcomes."""

from __future__ import annotations

from batch_runner.simulator.exchange import Exchange
from batch_runner.simulator.faults.registry import Response, fault
from batch_runner.simulator.tasks import Outcome


@fault("submit")
async def no_task_id(exchange: Exchange) -> Response:
    """Accept the submission and leave the task id out of the response: paid."""
    answer = await exchange.do_work()
    if answer.status == 200:
        del answer.data["taskId"]
    return exchange.send(answer)


@fault("submit")
async def same_task_id(exchange: Exchange) -> Response:
    """Accept the submission and send the id of the first task: paid."""
    first = next(iter(exchange.ledger.tasks), None)
    return await _with_task_id(exchange, first)


@fault("submit")
async def bad_task_id(exchange: Exchange, *, value: str = "../../etc/passwd") -> Response:
    """Accept the submission and send an invalid task id (or value=…): paid."""
    return await _with_task_id(exchange, value)


async def _with_task_id(exchange: Exchange, task_id: str | None) -> Response:
    answer = await exchange.do_work()
    if answer.status == 200 and task_id is not None:
        answer.data["taskId"] = task_id
    return exchange.send(answer)


@fault("submit")
async def fail(exchange: Exchange) -> Response:
    """Accept the submission; its task ends FAILED."""
    exchange.outcome = Outcome.FAILED
    return await exchange.respond()


@fault("submit")
async def cancel(exchange: Exchange) -> Response:
    """Accept the submission; its task ends CANCELED."""
    exchange.outcome = Outcome.CANCELED
    return await exchange.respond()


@fault("submit")
async def never(exchange: Exchange) -> Response:
    """Accept the submission; its task stays RUNNING."""
    exchange.outcome = Outcome.NEVER
    return await exchange.respond()


@fault("submit")
async def slow(exchange: Exchange, *, factor: float = 10.0) -> Response:
    """Accept the submission; its task takes ten times as long."""
    exchange.slowness = factor
    return await exchange.respond()


@fault("status", "result")
async def forget(exchange: Exchange) -> Response:
    """Respond 404 for a task that exists (each=N: N times)."""
    return exchange.reject(exchange.responses.error(404, "任务不存在"))


@fault("status")
async def lower_case(exchange: Exchange) -> Response:
    """Send the state in lower case."""
    answer = await exchange.do_work()
    if answer.status == 200:
        answer.data["status"] = answer.data["status"].lower()
    return exchange.send(answer)


@fault("status")
async def word(exchange: Exchange, *, value: str = "QUEUED_ON_GPU") -> Response:
    """Send an unknown state (or value=…)."""
    return await _with_status(exchange, value)


@fault("status")
async def backwards(exchange: Exchange) -> Response:
    """Send RUNNING for a task that is COMPLETED (each=N: N times)."""
    return await _with_status(exchange, "RUNNING", progress="50")


@fault("status")
async def early(exchange: Exchange) -> Response:
    """Send COMPLETED for a task that is RUNNING: its result is not ready."""
    return await _with_status(exchange, "COMPLETED", progress="100")


@fault("status")
async def progress(exchange: Exchange, *, value: str = "-7e400%") -> Response:
    """Send an invalid progress (or value=…)."""
    answer = await exchange.do_work()
    if answer.status == 200:
        answer.data["progress"] = value
    return exchange.send(answer)


@fault("status")
async def no_status(exchange: Exchange) -> Response:
    """Leave the state out of the response."""
    answer = await exchange.do_work()
    if answer.status == 200:
        del answer.data["status"]
    return exchange.send(answer)


async def _with_status(exchange: Exchange, value: str, progress: str | None = None) -> Response:
    answer = await exchange.do_work()
    if answer.status == 200:
        answer.data["status"] = value
        if progress is not None and "progress" in answer.data:
            answer.data["progress"] = progress
    return exchange.send(answer)
