"""Faults of tasks: ids, states and outcomes."""

from __future__ import annotations

from batch_runner.simulator.exchange import Exchange
from batch_runner.simulator.faults.registry import Response, fault
from batch_runner.simulator.tasks import Outcome


@fault("submit")
async def no_task_id(exchange: Exchange) -> Response:
    """Accept the submission and leave the task id out of the response: paid."""
    answer = await exchange.do_work()
    exchange.responses.drop(answer, "task_id")
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
    if task_id is not None:
        exchange.responses.put(answer, "task_id", task_id)
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
async def withhold(exchange: Exchange) -> Response:
    """Accept the submission; its task ends without files, because they are not allowed."""
    exchange.outcome = Outcome.WITHHELD
    return await exchange.respond()


@fault("submit")
async def lose_task(exchange: Exchange) -> Response:
    """Accept the submission, and lose its task: it is paid, and unknown from then on."""
    exchange.outcome = Outcome.LOST
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
    return exchange.reject(exchange.responses.unknown_task())


@fault("status")
async def lower_case(exchange: Exchange) -> Response:
    """Send the state in lower case."""
    answer = await exchange.do_work()
    state = exchange.responses.get(answer, "state")
    if isinstance(state, str):
        exchange.responses.put(answer, "state", state.lower())
    return exchange.send(answer)


@fault("status")
async def word(exchange: Exchange, *, value: str = "QUEUED_ON_GPU") -> Response:
    """Send an unknown state (or value=…)."""
    return await _with_status(exchange, value)


@fault("status")
async def backwards(exchange: Exchange) -> Response:
    """Send RUNNING for a task that is COMPLETED (each=N: N times)."""
    return await _with_status(exchange, exchange.responses.word("RUNNING"), progress="50")


@fault("status")
async def early(exchange: Exchange) -> Response:
    """Send COMPLETED for a task that is RUNNING: its result is not ready."""
    return await _with_status(exchange, exchange.responses.word("COMPLETED"), progress="100")


@fault("status")
async def progress(exchange: Exchange, *, value: str = "-7e400%") -> Response:
    """Send an invalid progress (or value=…)."""
    answer = await exchange.do_work()
    exchange.responses.put(answer, "progress", value)
    return exchange.send(answer)


@fault("status")
async def no_status(exchange: Exchange) -> Response:
    """Leave the state out of the response."""
    answer = await exchange.do_work()
    exchange.responses.drop(answer, "state")
    return exchange.send(answer)


async def _with_status(exchange: Exchange, value: str, progress: str | None = None) -> Response:
    answer = await exchange.do_work()
    responses = exchange.responses
    responses.put(answer, "state", value)
    if progress is not None and responses.get(answer, "progress") is not None:
        responses.put(answer, "progress", progress)
    return exchange.send(answer)
