"""The scheduler as a pool of pollers uses it, in virtual time."""

from __future__ import annotations

import asyncio
import random

import pytest

from batch_runner.models import InFlight, TaskReport, TaskState
from batch_runner.polling.scheduler import PollScheduler
from batch_runner.ratelimit.limiter import LocalRateLimiter
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.settings import Polling
from batch_runner.units import parse_rate
from tests.harness.poll_model import a_task

pytestmark = pytest.mark.anyio

STILL_RUNNING = TaskReport(state=TaskState.RUNNING)


def a_scheduler(poll_rate: str = "100/s", gate: PauseGate | None = None) -> PollScheduler:
    clock, rng = asyncio.get_running_loop().time, random.Random(1)
    limiter = LocalRateLimiter(
        parse_rate(poll_rate), gate=gate or PauseGate(clock), clock=clock, random=rng
    )
    return PollScheduler(Polling(), limiter, clock=clock, random=rng)


def add_some(scheduler: PollScheduler, count: int) -> list[InFlight]:
    tasks = [a_task(number, asyncio.get_running_loop().time()) for number in range(count)]
    for task in tasks:
        scheduler.add(task)
    return tasks


async def test_pool_polls_every_task_to_its_end_and_stops() -> None:
    scheduler, clock = a_scheduler(), asyncio.get_running_loop().time
    polls: dict[str, int] = {}
    ends = {task.task_id: clock() + 5 + n for n, task in enumerate(add_some(scheduler, 40))}
    scheduler.close()

    async def poller() -> None:
        while (task := await scheduler.next()) is not None:
            polls[task.task_id] = polls.get(task.task_id, 0) + 1
            await asyncio.sleep(0.05)
            if clock() >= ends[task.task_id]:
                scheduler.report_completed(task)
            else:
                scheduler.report_running(task, STILL_RUNNING)

    async with asyncio.TaskGroup() as pool:
        for _ in range(6):
            pool.create_task(poller())

    assert polls.keys() == ends.keys()
    assert len(scheduler) == 0


async def test_two_pollers_never_get_the_same_task() -> None:
    scheduler = a_scheduler()
    tasks = add_some(scheduler, 10)

    taken = await asyncio.gather(*(scheduler.next() for _ in range(10)))

    assert {task.task_id for task in taken if task} == {task.task_id for task in tasks}


async def test_waiting_poller_wakes_for_a_task_due_sooner() -> None:
    scheduler, clock = a_scheduler(), asyncio.get_running_loop().time
    add_some(scheduler, 1)
    early = await scheduler.next()
    assert early is not None
    scheduler.report_poll_failed(early, 600.0)
    waiting = asyncio.create_task(scheduler.next())
    await asyncio.sleep(10)

    added_at = clock()
    scheduler.add(a_task(7, added_at))
    task = await waiting

    assert task is not None
    assert task.name == "7"
    assert clock() - added_at < 10


async def test_cancelled_poller_takes_no_task_with_it() -> None:
    scheduler = a_scheduler("1/s")
    tasks = add_some(scheduler, 3)
    pollers = [asyncio.create_task(scheduler.next()) for _ in range(3)]
    await asyncio.sleep(2.5)  # the first has its task, the second waits for the poll limit

    for poller in pollers[1:]:
        poller.cancel()
    ended = await asyncio.gather(*pollers, return_exceptions=True)

    left = [await scheduler.next() for _ in range(2)]
    names = {task.name for task in [*ended, *left] if not isinstance(task, BaseException) and task}
    assert names == {task.name for task in tasks}


async def test_pollers_of_closed_scheduler_end_with_last_task() -> None:
    scheduler = a_scheduler()
    add_some(scheduler, 1)
    task = await scheduler.next()
    assert task is not None
    others = [asyncio.create_task(scheduler.next()) for _ in range(3)]
    scheduler.close()
    await asyncio.sleep(60)
    assert not any(other.done() for other in others)  # the task may come back

    scheduler.report_completed(task)

    assert await asyncio.gather(*others) == [None, None, None]


async def test_next_of_closed_empty_scheduler_returns_none() -> None:
    scheduler = a_scheduler()
    scheduler.close()

    assert await scheduler.next() is None


async def test_polls_wait_for_the_pause_gate() -> None:
    clock = asyncio.get_running_loop().time
    gate = PauseGate(clock)
    scheduler = a_scheduler(gate=gate)
    add_some(scheduler, 1)
    closed_at = clock()
    gate.close(300)

    assert await scheduler.next() is not None
    assert clock() >= closed_at + 300


async def test_429_to_a_poll_pauses_all_and_loses_no_task() -> None:
    clock = asyncio.get_running_loop().time
    gate = PauseGate(clock)
    scheduler = a_scheduler(gate=gate)
    add_some(scheduler, 2)
    task = await scheduler.next()
    assert task is not None

    scheduler.limited(120.0)
    scheduler.report_poll_failed(task, 120.0)

    assert gate.closed_for(clock()) > 110
    assert {task.name for task in [await scheduler.next(), await scheduler.next()] if task} == {
        "0",
        "1",
    }


async def test_polls_never_exceed_the_poll_rate() -> None:
    scheduler, clock = a_scheduler("5/s"), asyncio.get_running_loop().time
    add_some(scheduler, 50)
    await asyncio.sleep(30)
    began = clock()

    for _ in range(50):
        await scheduler.next()

    assert clock() - began >= 49 / 5 - 0.1


async def polls_of_the_last_task(*, closed: bool) -> int:
    """Return how often the last of forty tasks is polled in a minute."""
    scheduler, clock = a_scheduler("1000/s"), asyncio.get_running_loop().time
    tasks = add_some(scheduler, 40)
    if closed:
        scheduler.close()
    for task in tasks[:-1]:
        scheduler.forget(task)
    polls, end = 0, clock() + 60
    while clock() < end:
        last = await scheduler.next()
        assert last is not None
        polls += 1
        scheduler.report_running(last, STILL_RUNNING)
    return polls


async def test_last_task_of_closed_scheduler_is_polled_more_often() -> None:
    usual = await polls_of_the_last_task(closed=False)

    assert await polls_of_the_last_task(closed=True) > 2 * usual
