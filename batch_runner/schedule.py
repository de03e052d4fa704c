"""When to look at which task: what every poller of the pool asks next.

Why not every ten seconds? A look costs a request; not looking costs delay, for a task that has
ended unseen. Say a look is worth c seconds of delay (`polling.cost`). A task that was going at its
last look has, s seconds later, ended unseen with a probability of about h·s, where h is the
hazard: the chance a second to end now, having lasted so long. Up to then this has cost h·s²/2
seconds of delay, on average. Look when that has reached the price of a look::

    h · s² ÷ 2 = c        so        s = √(2c ÷ h)

Few looks while a task is too young to end, many while most end, fewer again for the stragglers.
How one trades looks for delay is taste, but their product is not: with even spacing it is E[T]/2
at best, whatever the interval, because a look in a quiet stretch costs what one in a busy stretch
does. With the spacing above it is A²/2, A = ∫√(f·S) for a density f and survival S of the run
times. For a lognormal run time with a median of 30 s and σ = 0.4 that is 10.3 s against 16.3 s; for
σ = 0.1, five times less; for run times without memory there is nothing to be gained. Back-off,
which spaces looks the wider the likelier the end is, gets 40 to 80 s.

The hazard is learned, from looks that never see an end itself (`durations`). It is a hazard of the
time since a task's turn came, not since its submission: with five hundred tasks queued before
sixteen workers the age of a task says little, its place in the line nearly all (`frontier`). Who
is far behind the newest finished task is not worth asking. Where the service tells its progress,
and as long as that has told the truth, it is asked when it said it would be done (`sightings`).
All of it is bounded by the operator: no look before `first`, none sooner than `shortest` or, once
a task's turn has come, later than `longest` after the last. What is known of a workflow is one
`Forecast`; it watches itself, and forgets when the service has changed.

When the poll limit binds, looks fall due faster than they may be made. A look's worth grows with
the square of (time since the last ÷ proper spacing), so the one for which this ratio is largest
goes first. That is the same rule with a higher price of a look, found without knowing the price.

Who runs: any number of pollers call `Schedule.next`. One of them, the first in line for a lock,
waits for the clock, for the gate and for the poll limit; when it leaves with a task the next moves
up. So there is one timer however many tasks and pollers there are, and nobody wakes for nothing. A
task leaves the heap only in the moment it is returned: a poller cancelled while waiting takes none
with it. `Agenda` is all of this without the waiting; every moment is an argument.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import deque
from typing import TYPE_CHECKING

from batch_runner.forecast import Forecast, Watched
from batch_runner.pacer import Pacer

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from batch_runner.models import InFlight, TaskReport
    from batch_runner.pacer import Gate
    from batch_runner.settings import Polling, Rate

_JITTER = 0.1  # of a look's price
_CLASSES, _FIRST_CLASS = 32, 4  # of spacings, by powers of √2: from 1/4 s to 4 hours


class _DueLooks:
    """The looks to come, so sorted that the most valuable due one is found at once.

    When more looks are due than the limit allows, the worth of each is (time since the last look ÷
    its proper spacing)². That order changes with time, but not among looks of like spacing: so
    there is a heap for each power of √2 of it, and the choice is among their heads.
    """

    def __init__(self) -> None:
        self._heaps: list[list[tuple[float, int, Watched]]] = [[] for _ in range(_CLASSES)]
        self._sequence = 0

    def push(self, watched: Watched, due: float, spacing: float) -> None:
        """Plan a look; an earlier plan for the same task is void."""
        self._sequence += 1
        watched.ticket = (due, self._sequence, watched)
        which = max(0, min(_CLASSES - 1, int(2 * math.log2(max(spacing, 1e-9))) + _FIRST_CLASS))
        heapq.heappush(self._heaps[which], watched.ticket)

    def first(self) -> float | None:
        """Return when the next look is due."""
        soonest = math.inf
        for heap in self._heaps:
            if heap and heap[0][0] < soonest and self._valid(heap):
                soonest = min(soonest, heap[0][0])
        return None if soonest == math.inf else soonest

    def pop(self, now: float) -> Watched | None:
        """Take out the most valuable look that is due."""
        best, most = None, 0.0
        for which, heap in enumerate(self._heaps):
            if heap and heap[0][0] <= now and self._valid(heap) and heap[0][0] <= now:
                overdue = (now - heap[0][0]) / 2 ** ((which - _FIRST_CLASS) / 2)
                if best is None or overdue > most:
                    best, most = heap, overdue
        if best is None:
            return None
        watched = heapq.heappop(best)[2]
        watched.ticket = None
        return watched

    def _valid(self, heap: list[tuple[float, int, Watched]]) -> bool:
        """Drop void plans from the head; return whether anything is left."""
        while heap and heap[0][2].ticket is not heap[0]:
            heapq.heappop(heap)
        return bool(heap)

    def find(self, task: InFlight) -> Watched:
        """Return the planned look of a task; slow, for the rare case."""
        return next(
            ticket[2]
            for heap in self._heaps
            for ticket in heap
            if ticket[2].task.task_id == task.task_id and ticket[2].ticket is ticket
        )


class Agenda:
    """Which look is due when; the schedule without its waiting. Every moment is an argument."""

    def __init__(
        self, polling: Polling, *, random: random.Random, learned: Mapping[str, str]
    ) -> None:
        self._polling = polling
        self._random = random
        self._learned = dict(learned)
        self._forecasts: dict[str, Forecast] = {}
        self._looks = _DueLooks()
        self._out: dict[str, Watched] = {}  # being looked at now
        self._held = 0
        self._finishes: deque[float] = deque(maxlen=100)

    def __len__(self) -> int:
        return self._held

    def add(self, task: InFlight, now: float, *, seen_before: bool = False) -> None:
        """Take a task on; its first look is due by policy."""
        watched = Watched(task, seen_before=seen_before)
        self._forecast(task).add(watched)
        self._held += 1
        self._plan(watched, now)

    def due_at(self) -> float | None:
        """Return when the next look is due, None when there is none."""
        return self._looks.first()

    def take(self, now: float) -> InFlight | None:
        """Return the task whose look is worth most, None when none is due."""
        while (watched := self._looks.pop(now)) is not None:
            if self._forecast(watched.task).send_back(watched):
                self._plan(watched, now)
                continue
            self._out[watched.task.task_id] = watched
            return watched.task
        return None

    def running(self, task: InFlight, now: float, progress: float | None) -> None:
        """Learn that the task was still going, and plan its next look."""
        watched = self._out.pop(task.task_id)
        forecast = self._forecast(task)
        anew = forecast.going(watched, now, progress)
        self._plan(watched, now)
        if anew:
            self._advance(forecast, now)

    def missed(self, task: InFlight, now: float, seconds: float) -> None:
        """Plan another look after `seconds`, or after the shortest spacing."""
        watched = self._out.pop(task.task_id)
        wait = max(seconds, self._polling.shortest)
        self._looks.push(watched, now + wait, wait)

    def finished(self, task: InFlight, now: float) -> None:
        """Learn that the task has ended, and let go of it."""
        forecast = self._forecast(task)
        forecast.ended(self._let_go(task), now)
        self._finishes.append(now)
        self._advance(forecast, now)

    def forget(self, task: InFlight, now: float) -> None:
        """Let go of the task and learn nothing."""
        forecast = self._forecast(task)
        forecast.forget(self._let_go(task), now)
        self._advance(forecast, now)

    def eta(self, now: float) -> float | None:
        """Return the seconds until all it holds is finished (Little's law), None if unknown."""
        if not self._held:
            return 0.0
        if len(self._finishes) < 2:
            return None
        return self._held * (now - self._finishes[0]) / len(self._finishes)

    def learned(self) -> dict[str, str]:
        """Return what was learned, as JSON by workflow."""
        return self._learned | {name: known.learned() for name, known in self._forecasts.items()}

    def typical(self, workflow: str, share: float) -> float | None:
        """Return the seconds within which `share` of a workflow's tasks finish."""
        return self._forecast_of(workflow).typical(share)

    def _forecast(self, task: InFlight) -> Forecast:
        return self._forecast_of(task.workflow)

    def _forecast_of(self, workflow: str) -> Forecast:
        if (known := self._forecasts.get(workflow)) is None:
            known = Forecast(self._polling, self._learned.get(workflow))
            self._forecasts[workflow] = known
        return known

    def _advance(self, forecast: Forecast, now: float) -> None:
        """Plan anew the looks at those whose turn has come."""
        for watched in forecast.come_of_turn(now):
            if watched.ticket is not None:
                self._plan(watched, now)

    def _plan(self, watched: Watched, now: float) -> None:
        # Tasks submitted together drift apart, and the learner sees more than the same few ages.
        price = self._polling.cost * self._random.uniform(1 - _JITTER, 1 + _JITTER)
        due, spacing = self._forecast(watched.task).next_look(watched, now, price)
        self._looks.push(watched, due, spacing)

    def _let_go(self, task: InFlight) -> Watched:
        self._held -= 1
        watched = self._out.pop(task.task_id, None)
        if watched is None:
            watched = self._looks.find(task)
            watched.ticket = None
        return watched


class Schedule:
    """Tells each poller of the pool what to look at next."""

    def __init__(
        self,
        polling: Polling,
        polls: Rate,
        *,
        gate: Gate,
        clock: Callable[[], float],
        random: random.Random,
        learned: Mapping[str, str] | None = None,
    ) -> None:
        self._clock = clock
        self._pacer = Pacer(polls, gate=gate, clock=clock, random=random)
        self._agenda = Agenda(polling, random=random, learned=learned or {})
        self._closed = False
        self._turn = asyncio.Lock()  # the one poller that waits for the clock; the rest wait for it
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._agenda)

    def add(self, task: InFlight, *, seen_before: bool = False) -> None:
        """Look after a paid task from now on.

        `task.since` is the loop time of its submission. `seen_before`: an earlier run submitted it,
        so it may have been finished for long and is looked at soon.
        """
        self._agenda.add(task, self._clock(), seen_before=seen_before)
        self._changed.set()

    def close(self) -> None:
        """Say that no more tasks will be added."""
        self._closed = True
        self._changed.set()

    async def next(self) -> InFlight | None:
        """Wait until a task is due and may be asked about; None when there will be no more.

        The task is the caller's until it calls `running`, `missed`, `finished` or `forget` with
        it. A caller that is cancelled while waiting takes no task with it.
        """
        async with self._turn:
            while len(self._agenda) or not self._closed:
                due = self._agenda.due_at()
                if due is None or due > self._clock():
                    await self._until(due)
                    continue
                await self._pacer.token()
                if (task := self._agenda.take(self._clock())) is not None:
                    return task
        return None

    def running(self, task: InFlight, report: TaskReport) -> None:
        """Note that the task is still going; it is due again by policy."""
        self._pacer.accepted()
        self._agenda.running(task, self._clock(), report.progress)
        self._changed.set()

    def missed(self, task: InFlight, seconds: float) -> None:
        """Note that the look failed; the next comes after at least `seconds`."""
        self._agenda.missed(task, self._clock(), seconds)
        self._changed.set()

    def limited(self, retry_after: float | None) -> None:
        """Note that a look was answered 429: everyone pauses, and looks become rarer.

        The task itself is still the caller's: `missed` gives it back.
        """
        self._pacer.limited(retry_after)

    def finished(self, task: InFlight) -> None:
        """Note that the service has said the end; the task is never looked at again."""
        self._pacer.accepted()
        self._agenda.finished(task, self._clock())
        self._changed.set()

    def forget(self, task: InFlight) -> None:
        """Give the task up; nothing is learned from it."""
        self._agenda.forget(task, self._clock())
        self._changed.set()

    def eta(self) -> float | None:
        """Return the seconds until the tasks it holds are finished, None while unknown."""
        return self._agenda.eta(self._clock())

    def typical(self, workflow: str, share: float = 0.5) -> float | None:
        """Return the seconds from submission within which `share` of tasks finish, if known."""
        return self._agenda.typical(workflow, share)

    def learned(self) -> dict[str, str]:
        """Return what was learned, as JSON by workflow, to be kept between runs."""
        return self._agenda.learned()

    async def _until(self, due: float | None) -> None:
        """Wait until `due`, or until something has changed."""
        self._changed.clear()
        timer = None
        if due is not None:
            wait = due - self._clock()
            timer = asyncio.get_running_loop().call_later(wait, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            if timer is not None:
                timer.cancel()
