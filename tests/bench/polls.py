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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from batch_runner.models import InFlight
from batch_runner.schedule import Agenda
from batch_runner.settings import Polling

if TYPE_CHECKING:
    from collections.abc import Callable

ITEMS, WARM_UP, ROUNDS = 1000, 100, 5
MEAN = 30 * math.exp(0.4**2 / 2)  # seconds, of the run times drawn below


@dataclass
class Work:
    """One task as the service knows it."""

    task: InFlight
    seconds: float
    started: float | None = None
    ended: float | None = None


@dataclass
class Row:
    """A kind of service, how tasks come to it, and the goal."""

    name: str
    goal: float
    slots: int | None = None  # None: everything starts at once
    every: float = 1.0  # seconds between submissions, on average
    in_flight: int = 1_000_000
    order: str = "fifo"
    progress: Callable[[Work, float, random.Random], float | None] = lambda *_: None
    draw: Callable[[random.Random], float] = lambda r: r.lognormvariate(math.log(30), 0.4)
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
        work = Work(task, self._row.draw(self._rng))
        self.works[task.task_id] = work
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
            if self._row.order == "fifo":
                work = self._queue.popleft()
            elif self._row.order == "lifo":
                work = self._queue.pop()
            else:
                index = self._rng.randrange(len(self._queue))
                work = self._queue[index]
                del self._queue[index]
            work.started = now
            heapq.heappush(self._busy, (now + work.seconds, work.task.task_id, work))


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
        if work.ended is None:
            policy.running(looked, now, row.progress(work, now, rng))
            continue
        finished += 1
        if counts:
            count.delays.append(now - work.ended)
        policy.finished(looked, now)
        next_submit = max(next_submit, now) if submitted - finished == row.in_flight - 1 else next_submit
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


def two_humps(rng: random.Random) -> float:
    """Half the prompts take half a minute, half two and a half."""
    return rng.lognormvariate(math.log(30 if rng.random() < 0.5 else 150), 0.2)


def the_rows() -> list[Row]:
    """Return every row: the four kinds of service, plain and with each kind of progress."""
    kinds: list[tuple[str, dict[str, float]]] = [
        ("no queue", {}),
        ("16 slots, 85 % busy", {"slots": 16, "every": MEAN / 16 / 0.85}),
        ("backlog, twice the capacity", {"slots": 16, "every": MEAN / 32}),
        ("backlog, at most 48 in flight", {"slots": 16, "every": MEAN / 32, "in_flight": 48}),
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
    rows.append(Row("two humps, no queue", math.inf, draw=two_humps))
    rows.append(Row("two humps, backlog", math.inf, draw=two_humps, slots=16, every=90 / 32))
    for order in ("lifo", "random"):
        rows.append(Row(f"out of order ({order}), 85 % busy", math.inf, 16, MEAN / 13.6, order=order))
        rows.append(Row(f"out of order ({order}), backlog", math.inf, 16, MEAN / 32, order=order))
    rows.append(Row("poll limit of 2.5/s, no queue", math.inf, limit=2.5))
    rows.append(Row("poll limit of 1.2/s, backlog", math.inf, 16, MEAN / 32, limit=1.2))
    return rows


def measure(row: Row) -> tuple[Count, float, float, float]:
    """Return the median round of the schedule, its worst product, and the two others' products."""
    rounds = sorted(
        (
            play(row, Agenda(Polling(), random=random.Random(seed), learned={}), seed)
            for seed in range(ROUNDS)
        ),
        key=lambda count: count.product,
    )
    fixed = play(row, Spaced(10, 1, 10), 0).product
    backoff = play(row, Spaced(2, 1.5, 30), 0).product
    return rounds[len(rounds) // 2], rounds[-1].product, fixed, backoff


def main(words: list[str]) -> None:
    """Print every row that holds one of the words."""
    print(f"{'polls × delay':42}{'median':>8}{'worst':>8}{'polls':>7}{'delay':>8}{'10 s':>8}{'×1.5':>8}{'goal':>7}")
    for row in the_rows():
        if words and not any(word in row.name for word in words):
            continue
        count, worst, fixed, backoff = measure(row)
        goal = min(row.goal, 0.9 * min(fixed, backoff)) if math.isinf(row.goal) else row.goal
        verdict = "ok" if count.product <= goal else "MISSED"
        print(
            f"{row.name:42}{count.product:8.1f}{worst:8.1f}{count.polls_each:7.1f}{count.delay:7.2f}s"
            f"{fixed:8.1f}{backoff:8.1f}{goal:7.1f}  {verdict}"
        , flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
