"""When to look at which task: one heap of due looks for the whole pool of pollers."""

from __future__ import annotations

import asyncio
import heapq
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

_ROOM = 0.95  # of the poll limit that is planned for
_JITTER = 0.1  # of a spacing: tasks submitted together drift apart, and the learner sees more


class Agenda:
    """Which look is due when; the schedule without its waiting. Every moment is an argument."""

    def __init__(
        self, polling: Polling, *, random: random.Random, learned: Mapping[str, str]
    ) -> None:
        self._polling = polling
        self._random = random
        self._learned = dict(learned)
        self._forecasts: dict[str, Forecast] = {}
        self._heap: list[tuple[float, int, Watched]] = []
        self._sequence = 0
        self._out: dict[str, Watched] = {}  # being looked at now
        self._held = 0
        self._demand = 0.0  # looks a second that all tasks together would be worth
        self._finishes: deque[float] = deque(maxlen=100)

    def __len__(self) -> int:
        return self._held

    def add(self, task: InFlight, now: float, *, seen_before: bool, limit: float) -> None:
        """Take a task on; its first look is due by policy."""
        watched = Watched(task, seen_before=seen_before)
        self._forecast(task).add(watched)
        self._held += 1
        self._plan(watched, now, limit)

    def due_at(self) -> float | None:
        """Return when the next look is due, None when there is none."""
        while self._heap and self._heap[0][2].ticket is not self._heap[0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now: float, limit: float) -> InFlight | None:
        """Return the task whose look is due, None when none is."""
        while (due := self.due_at()) is not None and due <= now:
            watched = heapq.heappop(self._heap)[2]
            self._unplan(watched)
            if self._forecast(watched.task).send_back(watched):
                self._plan(watched, now, limit)
                continue
            self._out[watched.task.task_id] = watched
            return watched.task
        return None

    def running(self, task: InFlight, now: float, progress: float | None, limit: float) -> None:
        """Learn that the task was still going, and plan its next look."""
        watched = self._out.pop(task.task_id)
        self._forecast(task).going(watched, now, progress)
        self._plan(watched, now, limit)

    def missed(self, task: InFlight, now: float, seconds: float) -> None:
        """Plan another look after `seconds`, or after the shortest spacing."""
        watched = self._out.pop(task.task_id)
        self._push(watched, now + max(seconds, self._polling.shortest))

    def finished(self, task: InFlight, now: float, limit: float) -> None:
        """Learn that the task has ended, and let go of it."""
        watched = self._let_go(task)
        self._finishes.append(now)
        forecast = self._forecast(task)
        forecast.ended(watched, now)
        self._advance(forecast, now, limit)

    def forget(self, task: InFlight, now: float, limit: float) -> None:
        """Let go of the task and learn nothing."""
        watched = self._let_go(task)
        forecast = self._forecast(task)
        forecast.forget(watched)
        self._advance(forecast, now, limit)

    def stretch(self, limit: float) -> float:
        """Return by how much spacings are stretched so that the looks fit the limit."""
        return max(1.0, self._demand / (limit * _ROOM))

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

    def _advance(self, forecast: Forecast, now: float, limit: float) -> None:
        """Plan anew the looks at those whose turn has come."""
        for watched in forecast.come_of_turn(now):
            if watched.ticket is not None:
                self._unplan(watched)
                self._plan(watched, now, limit)

    def _plan(self, watched: Watched, now: float, limit: float) -> None:
        stretch = self.stretch(limit) * self._random.uniform(1 - _JITTER, 1 + _JITTER)
        due = self._forecast(watched.task).next_look(watched, now, stretch)
        self._demand += watched.demand
        self._push(watched, due)

    def _unplan(self, watched: Watched) -> None:
        self._demand = max(0.0, self._demand - watched.demand)
        watched.demand = 0.0
        watched.ticket = None

    def _push(self, watched: Watched, due: float) -> None:
        self._sequence += 1
        watched.ticket = (due, self._sequence, watched)
        heapq.heappush(self._heap, watched.ticket)

    def _let_go(self, task: InFlight) -> Watched:
        self._held -= 1
        if (watched := self._out.pop(task.task_id, None)) is None:
            watched = next(w for _, _, w in self._heap if w.task is task and w.ticket is not None)
            self._unplan(watched)
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
        self._agenda.add(task, self._clock(), seen_before=seen_before, limit=self._limit)
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
                if (task := self._agenda.take(self._clock(), self._limit)) is not None:
                    return task
        return None

    def running(self, task: InFlight, report: TaskReport) -> None:
        """Note that the task is still going; it is due again by policy."""
        self._pacer.accepted()
        self._agenda.running(task, self._clock(), report.progress, self._limit)
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
        self._agenda.finished(task, self._clock(), self._limit)
        self._changed.set()

    def forget(self, task: InFlight) -> None:
        """Give the task up; nothing is learned from it."""
        self._agenda.forget(task, self._clock(), self._limit)
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

    @property
    def _limit(self) -> float:
        return self._pacer.rate_now

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
