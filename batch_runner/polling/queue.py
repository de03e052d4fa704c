"""Which look is due when: the schedule without its waiting (see `schedule` for the why).

`DuePolls` sorts the looks to come, `PollQueue` moves tasks between it, the pollers and the
forecasts of their workflows. Every moment is an argument, so a whole night can be played in a loop.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Mapping

from batch_runner.models import InFlight
from batch_runner.polling.workflow_model import PolledTask, Ticket, WorkflowModel
from batch_runner.settings import Polling

_JITTER = 0.1  # of a look's price
_CHEAPEST = 0.1  # part of its usual price that a look costs when it is worth most


class DuePolls:
    """The looks to come, so sorted that the most valuable due one is found at once.

    When more looks are due than the limit allows, the worth of each is (time since the last look ÷
    its proper spacing)². That order changes with time, but not among looks of like spacing: so
    what is overdue is sorted into a heap for each power of √2 of it, and the choice is among their
    heads. What is still to come is in one heap.
    """

    def __init__(self) -> None:
        self._coming: list[Ticket] = []
        self._overdue: dict[int, list[Ticket]] = {}  # by class of spacing; no heap is empty
        self._sequence = 0

    def push(self, watched: PolledTask, due: float, spacing: float) -> None:
        """Plan a look; an earlier plan for the same task is void."""
        self._sequence += 1
        watched.ticket = (due, self._sequence, spacing, watched)
        heapq.heappush(self._coming, watched.ticket)

    def first(self) -> float | None:
        """Return when the next look is due."""
        soonest = self._coming[0][0] if self._valid(self._coming) else None
        for heap in self._overdue.values():
            if self._valid(heap) and (soonest is None or heap[0][0] < soonest):
                soonest = heap[0][0]
        return soonest

    def pop(self, now: float) -> PolledTask | None:
        """Take out the most valuable look that is due."""
        self._sort_in(now)
        best, most = None, -1.0
        for which, heap in list(self._overdue.items()):
            if not self._valid(heap):
                del self._overdue[which]
            elif (overdue := (now - heap[0][0]) / 2 ** (which / 2)) > most:
                best, most = heap, overdue
        if best is None:
            return None
        watched = heapq.heappop(best)[3]
        watched.ticket = None
        return watched

    def _sort_in(self, now: float) -> None:
        """Move what has fallen due to the heap of its class."""
        coming = self._coming
        while self._valid(coming) and coming[0][0] <= now:
            ticket = heapq.heappop(coming)
            which = math.floor(2 * math.log2(max(ticket[2], 1e-9)))
            heapq.heappush(self._overdue.setdefault(which, []), ticket)

    def _valid(self, heap: list[Ticket]) -> bool:
        """Drop void plans from the head; return whether anything is left."""
        while heap and heap[0][3].ticket is not heap[0]:
            heapq.heappop(heap)
        return bool(heap)

    def find(self, task: InFlight) -> PolledTask:
        """Return the planned look of a task; slow, for the rare case."""
        return next(
            ticket[3]
            for heap in (self._coming, *self._overdue.values())
            for ticket in heap
            if ticket[3].task.task_id == task.task_id and ticket[3].ticket is ticket
        )


class PollQueue:
    """All tasks that are looked after, and what is known of their workflows."""

    def __init__(
        self,
        polling: Polling,
        *,
        random: random.Random,
        learned: Mapping[str, str],
        behind: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`behind` tells how many items wait for the place of each task; 0: there are places."""
        self._polling = polling
        self._random = random
        self._behind = behind
        self._learned = dict(learned)
        self._forecasts: dict[str, WorkflowModel] = {}
        self._looks = DuePolls()
        self._out: dict[str, PolledTask] = {}  # being looked at now
        self._held = 0
        self._last: tuple[int, float] | None = None  # held, and a look's price, when no more came
        self._finishes: deque[float] = deque(maxlen=100)

    def __len__(self) -> int:
        return self._held

    def add(self, task: InFlight, now: float, *, seen_before: bool = False) -> None:
        """Take a task on; its first look is due by policy."""
        forecast = self._forecast(task.workflow)
        watched = PolledTask(task, forecast, seen_before=seen_before)
        forecast.add(watched)
        self._held += 1
        self._plan(watched, now)

    def close(self) -> None:
        """Note that no more tasks will come."""
        self._last = (max(1, self._held), self._discount())

    def due_at(self) -> float | None:
        """Return when the next look is due, None when there is none."""
        return self._looks.first()

    def take(self, now: float) -> InFlight | None:
        """Return the task whose look is worth most, None when none is due."""
        while (watched := self._looks.pop(now)) is not None:
            if watched.forecast.send_back(watched):
                self._plan(watched, now)
                continue
            self._out[watched.task.task_id] = watched
            return watched.task
        return None

    def running(self, task: InFlight, now: float, progress: float | None) -> None:
        """Learn that the task was still going, and plan its next look."""
        watched = self._out.pop(task.task_id)
        anew = watched.forecast.going(watched, now, progress)
        self._plan(watched, now)
        if anew:
            self._advance(watched.forecast, now)

    def missed(self, task: InFlight, now: float, seconds: float) -> None:
        """Plan another look after `seconds`, or after the shortest spacing."""
        watched = self._out.pop(task.task_id)
        wait = max(seconds, self._polling.shortest)
        self._looks.push(watched, now + wait, wait)

    def finished(self, task: InFlight, now: float) -> None:
        """Learn that the task has ended, and let go of it."""
        watched = self._let_go(task)
        watched.forecast.ended(watched, now)
        self._finishes.append(now)
        self._advance(watched.forecast, now)
        if (doubtful := watched.forecast.doubtful()) is not None and doubtful.ticket is not None:
            shortest = self._polling.shortest
            looked = now - shortest if doubtful.looked is None else doubtful.looked
            self._looks.push(doubtful, max(now, looked + shortest), shortest)

    def forget(self, task: InFlight, now: float) -> None:
        """Let go of the task and learn nothing."""
        watched = self._let_go(task)
        watched.forecast.forget(watched, now)
        self._advance(watched.forecast, now)

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
        return self._forecast(workflow).typical(share)

    def _forecast(self, workflow: str) -> WorkflowModel:
        if (known := self._forecasts.get(workflow)) is None:
            known = WorkflowModel(self._polling, self._learned.get(workflow))
            self._forecasts[workflow] = known
        return known

    def _advance(self, forecast: WorkflowModel, now: float) -> None:
        """Plan anew the looks at those whose turn has come."""
        for watched in forecast.come_of_turn(now):
            if watched.ticket is not None:
                self._plan(watched, now)

    def _plan(self, watched: PolledTask, now: float) -> None:
        # Tasks submitted together drift apart, and the learner sees more than the same few ages.
        price = self._polling.request_cost * self._random.uniform(1 - _JITTER, 1 + _JITTER)
        due, spacing = watched.forecast.next_look(watched, now, price * self._discount())
        self._looks.push(watched, due, spacing)

    def _discount(self) -> float:
        """Return what part of its usual price a look costs now (see `schedule`)."""
        if self._last is None:
            return max(_CHEAPEST, 1 / (1 + self._behind()))
        held, price = self._last
        return max(_CHEAPEST, price * min(1.0, self._held / held) ** 2)

    def _let_go(self, task: InFlight) -> PolledTask:
        self._held -= 1
        watched = self._out.pop(task.task_id, None)
        if watched is None:
            watched = self._looks.find(task)
            watched.ticket = None
        return watched
