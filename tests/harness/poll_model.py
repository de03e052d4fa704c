"""A simulated service in virtual time, to count what a polling policy costs.

`play` submits tasks to a service as a `Row` describes it and polls them when the policy is due. It
returns the number of polls and the delays from a task's end to the poll that found it. Nothing
waits: the time is an argument, so a run takes a fraction of a second, and the same seed gives the
same figures.
"""

from __future__ import annotations

import heapq
import math
import random
import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from batch_runner.models import InFlight
from batch_runner.polling.queue import PollQueue
from batch_runner.settings import Polling

ITEMS = 1000
MEAN = 30 * math.exp(0.4**2 / 2)  # seconds, of the run times that `lognormal` draws


@dataclass
class Work:
    """One task as the service knows it."""

    task: InFlight
    seconds: float
    started: float | None = None
    ended: float | None = None


def lognormal(rng: random.Random, _: int) -> float:
    """Return a run time with a median of 30 seconds; two of three are between 20 and 45."""
    return rng.lognormvariate(math.log(30), 0.4)


@dataclass
class Row:
    """A kind of service, how tasks are submitted to it, and the goal for polls × delay."""

    name: str
    goal: float | None = None  # seconds; None: `share` of the better of the two fixed policies
    share: float = 0.9
    slots: int | None = None  # tasks worked on at once; None: no limit
    every: float = 1.0  # seconds between submissions, on average
    in_flight: int = 1_000_000
    order: str = "oldest"  # first; "newest", "any", or "reversing": newest after half the tasks
    failing: float = 0.0  # share of tasks that fail one second after their submission
    progress: Callable[[Work, float, random.Random], float | None] = lambda *_: None
    draw: Callable[[random.Random, int], float] = lognormal  # the run time of a task, by its number
    change_at: float = math.inf  # seconds; tasks that start later take `slowdown` times as long
    slowdown: float = 1.0
    limit: float = 1000.0  # polls per second
    warm_up: int = 100  # tasks at the start that are not counted
    items: int = ITEMS
    earlier_run: Row | None = None  # whose learned state this run begins with


class PollPolicy(Protocol):
    """What decides when to poll which task."""

    def add(self, task: InFlight, now: float) -> None: ...
    def due_at(self) -> float | None: ...
    def take(self, now: float) -> InFlight | None: ...
    def report_running(self, task: InFlight, now: float, progress: float | None) -> None: ...
    def report_completed(self, task: InFlight, now: float) -> None: ...


class FixedPolicy:
    """Poll at a fixed interval, or with back-off."""

    def __init__(self, first: float, factor: float, cap: float) -> None:
        self._first, self._factor, self._cap = first, factor, cap
        self._interval: dict[str, float] = {}
        self._heap: list[tuple[float, str, InFlight]] = []

    def add(self, task: InFlight, now: float) -> None:
        self._interval[task.task_id] = self._first
        heapq.heappush(self._heap, (now + self._first, task.task_id, task))

    def due_at(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> InFlight | None:
        return heapq.heappop(self._heap)[2]

    def report_running(self, task: InFlight, now: float, progress: float | None) -> None:
        interval = min(self._cap, self._interval[task.task_id] * self._factor)
        self._interval[task.task_id] = interval
        heapq.heappush(self._heap, (now + interval, task.task_id, task))

    def report_completed(self, task: InFlight, now: float) -> None:
        del self._interval[task.task_id]


class ModelService:
    """Slots, and a queue in front of them."""

    def __init__(self, row: Row, rng: random.Random) -> None:
        self._row, self._rng = row, rng
        self._queue: deque[Work] = deque()
        self._busy: list[tuple[float, str, Work]] = []
        self.works: dict[str, Work] = {}

    def submit(self, task: InFlight, now: float) -> None:
        """Accept a task."""
        work = Work(task, self._row.draw(self._rng, len(self.works)))
        self.works[task.task_id] = work
        if self._row.failing and self._rng.random() < self._row.failing:
            work.ended = now + 1
        else:
            self._queue.append(work)
        self._start(now)

    def advance(self, now: float) -> None:
        """End and start the tasks that are due until `now`."""
        while self._busy and self._busy[0][0] <= now:
            ended, _, work = heapq.heappop(self._busy)
            work.ended = ended
            self._start(ended)

    def _start(self, now: float) -> None:
        slots = self._row.slots
        while self._queue and (slots is None or len(self._busy) < slots):
            work = self._next()
            work.started = now
            if now >= self._row.change_at:
                work.seconds *= self._row.slowdown
            heapq.heappush(self._busy, (now + work.seconds, work.task.task_id, work))

    def _next(self) -> Work:
        order = self._row.order
        if order == "reversing":
            order = "newest" if len(self.works) > ITEMS / 2 else "oldest"
        if order == "any":
            self._queue.rotate(-self._rng.randrange(len(self._queue)))
        return self._queue.pop() if order == "newest" else self._queue.popleft()


@dataclass
class PollCount:
    """The polls and delays of the tasks that count."""

    polls: int = 0
    delays: list[float] = field(default_factory=list)

    @property
    def product(self) -> float:
        return self.polls_each * self.delay

    @property
    def polls_each(self) -> float:
        return self.polls / len(self.delays)

    @property
    def delay(self) -> float:
        return statistics.fmean(self.delays)


def play(row: Row, policy: PollPolicy, seed: int, *, items: int | None = None) -> PollCount:
    """Run `items` tasks (default: those of the row) through the service and count the polls."""
    items = row.items if items is None else items
    rng = random.Random(seed)
    service, count = ModelService(row, rng), PollCount()
    submitted = finished = 0
    next_submit, next_poll = 0.0, 0.0
    while finished < items:
        due = policy.due_at()
        poll_at = math.inf if due is None else max(due, next_poll)
        if submitted < items and submitted - finished < row.in_flight and next_submit <= poll_at:
            now = next_submit
            service.advance(now)
            task = a_task(submitted, now)
            submitted += 1
            service.submit(task, now)
            policy.add(task, now)
            next_submit = now + rng.expovariate(1 / row.every)
            continue
        now = poll_at
        service.advance(now)
        if (polled := policy.take(now)) is None:
            continue
        next_poll = now + 1 / row.limit
        work = service.works[polled.task_id]
        counts = polled.submitted_at >= row.warm_up
        count.polls += counts
        if work.ended is None or work.ended > now:
            policy.report_running(polled, now, row.progress(work, now, rng))
            continue
        finished += 1
        if counts:
            count.delays.append(now - work.ended)
        policy.report_completed(polled, now)
        if submitted - finished == row.in_flight - 1:  # the limit delayed the next submission
            next_submit = max(next_submit, now)
    return count


def a_queue(seed: int = 1, learned: dict[str, str] | None = None, **polling: Any) -> PollQueue:
    """Return an empty queue; `polling` are settings."""
    return PollQueue(Polling(**polling), random=random.Random(seed), learned=learned or {})


def a_task(number: int, now: float) -> InFlight:
    """Return the task of that number, submitted at `now`.

    Its `submitted_at` is its number too, by which `play` knows which tasks count.
    """
    return InFlight(
        key=f"{number:032x}",
        task_id=f"{number:032x}",
        workflow="cards",
        name=str(number),
        attempt=1,
        attempts=1,
        submitted_at=float(number),
        since=now,
    )


def honest(work: Work, now: float, _: random.Random) -> float | None:
    """Return the share of the run time that has passed, in whole percent."""
    if work.started is None:
        return 0.0
    return math.floor(100 * (now - work.started) / work.seconds) / 100


def noise(_: Work, __: float, rng: random.Random) -> float | None:
    """Return a random progress."""
    return rng.randrange(100) / 100


def stuck(_: Work, __: float, ___: random.Random) -> float | None:
    """Return the same progress for ever, as in the example of the service's documentation."""
    return 0.37
