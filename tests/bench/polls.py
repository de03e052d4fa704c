"""Polls a task, times the delay of its sighting: the schedule in simulated time.

    python -m tests.bench.polls            every row
    python -m tests.bench.polls backlog    the rows whose name holds a word

Each row plays a service of its own kind and counts, from the second hundred tasks on, how often a
task was asked for and how long after its end that was seen. Their product does not depend on how
one is traded for the other, so it compares schedules. Beside the product: what asking every 10 s,
and a back-off of ×1.5 capped at 30 s, get from the same service.
"""

from __future__ import annotations

import heapq
import math
import random
import statistics
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from batch_runner.models import InFlight
from batch_runner.polling.queue import PollQueue
from batch_runner.settings import Polling
from tests.bench import _rows

ITEMS, WARM_UP, ROUNDS = 1000, 100, 5
MEAN = 30 * math.exp(0.4**2 / 2)  # seconds, of the run times drawn below


@dataclass
class Work:
    """One task as the service knows it."""

    task: InFlight
    seconds: float
    started: float | None = None
    ended: float | None = None


def lognormal(rng: random.Random, _: int) -> float:
    """Half a minute, give or take a third."""
    return rng.lognormvariate(math.log(30), 0.4)


def quick(rng: random.Random, number: int) -> float:
    """Ten times as quick."""
    return lognormal(rng, number) / 10


def alike(_: random.Random, __: int) -> float:
    """All the same."""
    return 33.0


def two_lengths(rng: random.Random, _: int) -> float:
    """Some take 23 seconds, some 61, to the second."""
    return rng.choice((23.0, 61.0))


def two_humps(rng: random.Random, _: int) -> float:
    """Half the prompts take half a minute, half two and a half."""
    return rng.lognormvariate(math.log(30 if rng.random() < 0.5 else 150), 0.2)


def slower(rng: random.Random, number: int) -> float:
    """Three times as long from the middle of the night on."""
    return lognormal(rng, number) * (1 if number < ITEMS / 2 else 3)


@dataclass
class Row:
    """A kind of service, how tasks come to it, and the goal."""

    name: str
    goal: float | None = None  # None: this part of the better of the other two
    part: float = 0.9
    slots: int | None = None  # None: everything starts at once
    every: float = 1.0  # seconds between submissions, on average
    in_flight: int = 1_000_000
    order: str = "oldest"  # first; or "newest", "any"; or "turning", from oldest to newest
    failing: float = 0.0  # share of tasks that the service refuses a second after it took them
    progress: Callable[[Work, float, random.Random], float | None] = lambda *_: None
    draw: Callable[[random.Random, int], float] = lognormal
    limit: float = 1000.0  # polls a second


class Policy(Protocol):
    """What a schedule must do to be measured."""

    def add(self, task: InFlight, now: float) -> None: ...
    def due_at(self) -> float | None: ...
    def take(self, now: float) -> InFlight | None: ...
    def running(self, task: InFlight, now: float, progress: float | None) -> None: ...
    def finished(self, task: InFlight, now: float) -> None: ...


class Spaced:
    """What others do: each look a fixed step, or a growing one, after the last."""

    def __init__(self, first: float, factor: float, cap: float) -> None:
        self._first, self._factor, self._cap = first, factor, cap
        self._step: dict[str, float] = {}
        self._heap: list[tuple[float, str, InFlight]] = []

    def add(self, task: InFlight, now: float) -> None:
        self._step[task.task_id] = self._first
        heapq.heappush(self._heap, (now + self._first, task.task_id, task))

    def due_at(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> InFlight | None:
        return heapq.heappop(self._heap)[2]

    def running(self, task: InFlight, now: float, progress: float | None) -> None:
        step = min(self._cap, self._step[task.task_id] * self._factor)
        self._step[task.task_id] = step
        heapq.heappush(self._heap, (now + step, task.task_id, task))

    def finished(self, task: InFlight, now: float) -> None:
        del self._step[task.task_id]


class Service:
    """Slots and a queue in front of them."""

    def __init__(self, row: Row, rng: random.Random) -> None:
        self._row, self._rng = row, rng
        self._queue: deque[Work] = deque()
        self._busy: list[tuple[float, str, Work]] = []
        self.works: dict[str, Work] = {}

    def submit(self, task: InFlight, now: float) -> None:
        """Take a task on."""
        work = Work(task, self._row.draw(self._rng, len(self.works)))
        self.works[task.task_id] = work
        if self._row.failing and self._rng.random() < self._row.failing:
            work.ended = now + 1
        else:
            self._queue.append(work)
        self._start(now)

    def advance(self, now: float) -> None:
        """Let everything happen that happens until `now`."""
        while self._busy and self._busy[0][0] <= now:
            ended, _, work = heapq.heappop(self._busy)
            work.ended = ended
            self._start(ended)

    def _start(self, now: float) -> None:
        slots = self._row.slots
        while self._queue and (slots is None or len(self._busy) < slots):
            work = self._next()
            work.started = now
            heapq.heappush(self._busy, (now + work.seconds, work.task.task_id, work))

    def _next(self) -> Work:
        order = self._row.order
        if order == "turning":
            order = "newest" if len(self.works) > ITEMS / 2 else "oldest"
        if order == "any":
            self._queue.rotate(-self._rng.randrange(len(self._queue)))
        return self._queue.pop() if order == "newest" else self._queue.popleft()


@dataclass
class Count:
    """What was counted from the second hundred tasks on."""

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


def play(row: Row, policy: Policy, seed: int, *, items: int = ITEMS) -> Count:
    """Carry `items` tasks through the service and count the looks."""
    rng = random.Random(seed)
    service, count = Service(row, rng), Count()
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
        if (looked := policy.take(now)) is None:
            continue
        next_poll = now + 1 / row.limit
        work = service.works[looked.task_id]
        counts = looked.submitted_at >= WARM_UP
        count.polls += counts
        if work.ended is None or work.ended > now:
            policy.running(looked, now, row.progress(work, now, rng))
            continue
        finished += 1
        if counts:
            count.delays.append(now - work.ended)
        policy.finished(looked, now)
        next_submit = (
            max(next_submit, now) if submitted - finished == row.in_flight - 1 else next_submit
        )
    return count


def a_task(number: int, now: float) -> InFlight:
    """Return the task of that number; `submitted_at` carries the number for the count."""
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
    """Percent done, as the service counts them."""
    if work.started is None:
        return 0.0
    return math.floor(100 * (now - work.started) / work.seconds) / 100


def noise(_: Work, __: float, rng: random.Random) -> float | None:
    """Any number."""
    return rng.randrange(100) / 100


def stuck(_: Work, __: float, ___: random.Random) -> float | None:
    """The example of the service's document, for ever."""
    return 0.37


def nearly(_: Work, __: float, ___: random.Random) -> float | None:
    """Always nearly there."""
    return 0.99


def creeping(work: Work, now: float, _: random.Random) -> float | None:
    """Rises with age towards a hundred that it never means."""
    return math.floor(100 * (1 - math.exp(-(now - work.task.since) / 20))) / 100


def the_rows() -> list[Row]:
    """Return every row: the four kinds of service, plain and with each kind of progress; more."""
    full: dict[str, float] = {"slots": 16, "every": MEAN / 32}  # twice what the service can do
    busy: dict[str, float] = {"slots": 16, "every": MEAN / 16 / 0.85}
    kinds: list[tuple[str, dict[str, float]]] = [
        ("no queue", {}),
        ("16 slots, 85 % busy", busy),
        ("backlog, twice the capacity", full),
        ("backlog, at most 48 in flight", full | {"in_flight": 48}),
    ]
    tellers = [
        ("", lambda *_: None, 12.5),
        (", honest progress", honest, 5.0),
        (", random progress", noise, 13.0),
        (", stuck progress", stuck, 13.0),
        (", progress always 99", nearly, 13.0),
        (", creeping progress", creeping, 13.0),
    ]
    rows = [
        Row(name + told, goal, progress=progress, **kind)  # type: ignore[arg-type]
        for told, progress, goal in tellers
        for name, kind in kinds
    ]
    return [
        *rows,
        Row("ten times as quick, no queue", 1.25, draw=quick, every=0.1),
        Row(
            "ten times as quick, backlog, at most 48",
            1.25,
            draw=quick,
            slots=16,
            every=MEAN / 320,
            in_flight=48,
        ),
        Row("all alike, no queue", draw=alike),
        Row("all alike, no queue, 20 a second", draw=alike, every=0.05),
        Row("two lengths, no queue", draw=two_lengths),
        Row("two humps, no queue", draw=two_humps),
        Row("two humps, backlog", draw=two_humps, slots=16, every=90 / 32),
        Row("newest first, 85 % busy", order="newest", **busy),  # type: ignore[arg-type]
        Row("any order, 85 % busy", order="any", **busy),  # type: ignore[arg-type]
        Row("newest first, backlog", order="newest", **full),  # type: ignore[arg-type]
        # Run times without memory: nothing to be gained, and little may be lost.
        Row("any order, backlog", part=1.1, order="any", **full),  # type: ignore[arg-type]
        Row("order turns round, backlog", order="turning", **full),  # type: ignore[arg-type]
        Row("a tenth fail at once, backlog", failing=0.1, **full),  # type: ignore[arg-type]
        Row("three times slower, no queue", draw=slower),
        Row("three times slower, backlog", draw=slower, **full),  # type: ignore[arg-type]
        Row("poll limit 2.5/s, no queue", limit=2.5),
        Row("poll limit 1.2/s, backlog", limit=1.2, **full),  # type: ignore[arg-type]
    ]


def measure(row: Row) -> tuple[Count, float, float, float]:
    """Return the median round of the schedule, its worst product, and the two others' products."""
    rounds = sorted(
        (
            play(row, PollQueue(Polling(), random=random.Random(seed), learned={}), seed)
            for seed in range(ROUNDS)
        ),
        key=lambda count: count.product,
    )
    fixed = play(row, Spaced(10, 1, 10), 0).product
    backoff = play(row, Spaced(2, 1.5, 30), 0).product
    return rounds[len(rounds) // 2], rounds[-1].product, fixed, backoff


def main(words: list[str]) -> None:
    """Print every row that holds one of the words."""
    heads = ("median", "worst", "polls", "delay", "10 s", "×1.5", "goal")
    print(f"{'polls × delay, in seconds':46}" + "".join(f"{head:>8}" for head in heads))
    for row in the_rows():
        if words and not any(word in row.name for word in words):
            continue
        count, worst, fixed, backoff = measure(row)
        drawn = {"batch-runner": count.product, "every 10 s": fixed, "back-off × 1.5": backoff}
        for bar, product in drawn.items():
            _rows.keep(row.name, bar, product)
        goal = row.part * min(fixed, backoff) if row.goal is None else row.goal
        figures = (count.product, worst, count.polls_each, count.delay, fixed, backoff, goal)
        verdict = "ok" if count.product <= goal else "MISSED"
        cells = "".join(f"{figure:8.1f}" for figure in figures)
        print(f"{row.name:46}{cells}  {verdict}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
