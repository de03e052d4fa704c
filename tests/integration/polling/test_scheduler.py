"""The schedule as the pollers see it: many of them, in virtual time."""

from __future__ import annotations

import asyncio
import random

import pytest

from batch_runner.models import InFlight, TaskReport, TaskState
from batch_runner.polling.scheduler import PollScheduler
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.settings import Polling
from batch_runner.units import parse_rate
from tests.harness.poll_model import a_task

pytestmark = pytest.mark.anyio

STILL_GOING = TaskReport(state=TaskState.RUNNING)


def a_schedule(polls: str = "100/s", gate: PauseGate | None = None) -> PollScheduler:
    clock = asyncio.get_running_loop().time
    return PollScheduler(
        Polling(),
        parse_rate(polls),
        gate=gate or PauseGate(clock),
        clock=clock,
        random=random.Random(1),
    )


def add_some(schedule: PollScheduler, count: int) -> list[InFlight]:
    tasks = [a_task(number, asyncio.get_running_loop().time()) for number in range(count)]
    for task in tasks:
        schedule.add(task)
    return tasks


async def test_a_pool_carries_every_task_to_its_end_and_then_stops() -> None:
    schedule, clock = a_schedule(), asyncio.get_running_loop().time
    looks: dict[str, int] = {}
    ends = {task.task_id: clock() + 5 + n for n, task in enumerate(add_some(schedule, 40))}
    schedule.close()

    async def poller() -> None:
        while (task := await schedule.next()) is not None:
            looks[task.task_id] = looks.get(task.task_id, 0) + 1
            await asyncio.sleep(0.05)
            if clock() >= ends[task.task_id]:
                schedule.finished(task)
            else:
                schedule.running(task, STILL_GOING)

    async with asyncio.TaskGroup() as pool:
        for _ in range(6):
            pool.create_task(poller())

    assert looks.keys() == ends.keys()
    assert len(schedule) == 0


async def test_no_task_is_given_to_two_pollers_at_once() -> None:
    schedule = a_schedule()
    tasks = add_some(schedule, 10)

    taken = await asyncio.gather(*(schedule.next() for _ in range(10)))

    assert {task.task_id for task in taken if task} == {task.task_id for task in tasks}


async def test_a_waiting_poller_wakes_for_a_task_that_is_due_sooner() -> None:
    schedule, clock = a_schedule(), asyncio.get_running_loop().time
    add_some(schedule, 1)
    early = await schedule.next()
    assert early is not None
    schedule.missed(early, 600.0)
    waiting = asyncio.create_task(schedule.next())
    await asyncio.sleep(10)

    added_at = clock()
    schedule.add(a_task(7, added_at))
    task = await waiting

    assert task is not None
    assert task.name == "7"
    assert clock() - added_at < 10


async def test_a_cancelled_poller_takes_no_task_with_it() -> None:
    schedule = a_schedule("1/s")
    tasks = add_some(schedule, 3)
    pollers = [asyncio.create_task(schedule.next()) for _ in range(3)]
    await asyncio.sleep(2.5)  # the first has its task, the second waits for the poll limit

    for poller in pollers[1:]:
        poller.cancel()
    ended = await asyncio.gather(*pollers, return_exceptions=True)

    left = [await schedule.next() for _ in range(2)]
    names = {task.name for task in [*ended, *left] if not isinstance(task, BaseException) and task}
    assert names == {task.name for task in tasks}


async def test_pollers_end_when_the_last_task_ends_and_no_more_will_come() -> None:
    schedule = a_schedule()
    add_some(schedule, 1)
    task = await schedule.next()
    assert task is not None
    others = [asyncio.create_task(schedule.next()) for _ in range(3)]
    schedule.close()
    await asyncio.sleep(60)
    assert not any(other.done() for other in others)  # the task may come back

    schedule.finished(task)

    assert await asyncio.gather(*others) == [None, None, None]


async def test_a_closed_schedule_that_was_never_used_ends_at_once() -> None:
    schedule = a_schedule()
    schedule.close()

    assert await schedule.next() is None


async def test_looks_wait_for_the_gate() -> None:
    clock = asyncio.get_running_loop().time
    gate = PauseGate(clock)
    schedule = a_schedule(gate=gate)
    add_some(schedule, 1)
    closed_at = clock()
    gate.close(300)

    assert await schedule.next() is not None
    assert clock() >= closed_at + 300


async def test_a_429_to_a_look_pauses_everyone_and_loses_no_task() -> None:
    clock = asyncio.get_running_loop().time
    gate = PauseGate(clock)
    schedule = a_schedule(gate=gate)
    add_some(schedule, 2)
    task = await schedule.next()
    assert task is not None

    schedule.limited(120.0)
    schedule.missed(task, 120.0)

    assert gate.closed_for(clock()) > 110
    assert {task.name for task in [await schedule.next(), await schedule.next()] if task} == {
        "0",
        "1",
    }


async def test_looks_never_exceed_the_poll_limit() -> None:
    schedule, clock = a_schedule("5/s"), asyncio.get_running_loop().time
    add_some(schedule, 50)
    await asyncio.sleep(30)
    began = clock()

    for _ in range(50):
        await schedule.next()

    assert clock() - began >= 49 / 5 - 0.1


async def looks_at_the_last(*, closed: bool) -> int:
    """Return how often the last of forty tasks is looked at in a minute."""
    schedule, clock = a_schedule("1000/s"), asyncio.get_running_loop().time
    tasks = add_some(schedule, 40)
    if closed:
        schedule.close()
    for task in tasks[:-1]:
        schedule.forget(task)
    looks, end = 0, clock() + 60
    while clock() < end:
        last = await schedule.next()
        assert last is not None
        looks += 1
        schedule.running(last, STILL_GOING)
    return looks


async def test_once_no_more_will_come_the_last_one_is_looked_at_more_often() -> None:
    assert await looks_at_the_last(closed=True) > 2 * await looks_at_the_last(closed=False)
