"""Which task to poll next (see THEORY.md, "When to poll").

Nothing here waits or reads a clock: every method takes the current loop time, so a run can be
simulated in a loop.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Mapping

from batch_runner.models import InFlight
from batch_runner.polling.workflow_model import HeapEntry, PolledTask, WorkflowModel
from batch_runner.settings import Polling

_JITTER = 0.1  # part of a poll's cost
_MIN_DISCOUNT = 0.1  # lowest factor on the cost of a poll


class ScheduledPolls:
    """Priority queue of scheduled polls; pops the most valuable one that is due.

    When more polls are due than the limit allows, the value of each is (time since the last poll ÷
    its proper interval)². That order changes with time, but not among polls of similar interval. So
    overdue polls are kept in one heap for each power of √2 of the interval, and only the first of
    each heap are compared. Polls that are not due yet are in a separate heap.
    """

    def __init__(self) -> None:
        self._upcoming: list[HeapEntry] = []  # not due yet
        self._overdue: dict[int, list[HeapEntry]] = {}  # by class of interval; no heap is empty
        self._sequence = 0

    def push(self, polled: PolledTask, due: float, interval: float) -> None:
        """Schedule a poll; replaces an earlier one of the same task."""
        self._sequence += 1
        polled.entry = (due, self._sequence, interval, polled)
        heapq.heappush(self._upcoming, polled.entry)

    def due_at(self) -> float | None:
        """Return when the next poll is due; None if none is scheduled."""
        earliest = self._upcoming[0][0] if self._drop_replaced(self._upcoming) else None
        for heap in self._overdue.values():
            if self._drop_replaced(heap) and (earliest is None or heap[0][0] < earliest):
                earliest = heap[0][0]
        return earliest

    def pop(self, now: float) -> PolledTask | None:
        """Remove and return the task whose due poll is most valuable; None if none is due."""
        self._move_overdue(now)
        best, highest = None, -1.0
        for index, heap in list(self._overdue.items()):
            if not self._drop_replaced(heap):
                del self._overdue[index]
            elif (overdue := (now - heap[0][0]) / 2 ** (index / 2)) > highest:
                best, highest = heap, overdue
        if best is None:
            return None
        polled = heapq.heappop(best)[3]
        polled.entry = None
        return polled

    def _move_overdue(self, now: float) -> None:
        upcoming = self._upcoming
        while self._drop_replaced(upcoming) and upcoming[0][0] <= now:
            entry = heapq.heappop(upcoming)
            index = math.floor(2 * math.log2(max(entry[2], 1e-9)))
            heapq.heappush(self._overdue.setdefault(index, []), entry)

    def _drop_replaced(self, heap: list[HeapEntry]) -> bool:
        """Remove replaced entries from the top; return whether any entry is left."""
        while heap and heap[0][3].entry is not heap[0]:
            heapq.heappop(heap)
        return bool(heap)

    def find(self, task: InFlight) -> PolledTask:
        """Return a scheduled task; slow, for rare cases."""
        return next(
            entry[3]
            for heap in (self._upcoming, *self._overdue.values())
            for entry in heap
            if entry[3].task.task_id == task.task_id and entry[3].entry is entry
        )


class PollQueue:
    """All tasks that are polled, and the learned model of each workflow."""

    def __init__(
        self,
        polling: Polling,
        *,
        random: random.Random,
        learned: Mapping[str, str],
        queue_pressure: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`learned` is what `learned()` returned in an earlier run.

        `queue_pressure` returns the number of items that wait to be submitted, divided by
        `limits.in_flight`; 0 if that limit is not reached.
        """
        self._polling = polling
        self._random = random
        self._queue_pressure = queue_pressure
        self._learned = dict(learned)
        self._models: dict[str, WorkflowModel] = {}
        self._polls = ScheduledPolls()
        self._taken: dict[str, PolledTask] = {}  # being polled now
        self._count = 0  # of all tasks, scheduled or being polled
        self._at_close: tuple[int, float] | None = None  # the count and the discount then
        self._completions: deque[float] = deque(maxlen=100)  # times

    def __len__(self) -> int:
        return self._count

    def add(self, task: InFlight, now: float, *, seen_before: bool = False) -> None:
        """Add a task and schedule its first poll."""
        model = self._model(task.workflow)
        polled = PolledTask(task, model, seen_before=seen_before)
        model.add(polled)
        self._count += 1
        self._schedule(polled, now)

    def close(self) -> None:
        """Record that no more tasks will be added."""
        self._at_close = (max(1, self._count), self._discount())

    def due_at(self) -> float | None:
        """Return when the next poll is due; None if none is scheduled."""
        return self._polls.due_at()

    def take(self, now: float) -> InFlight | None:
        """Return the task whose due poll is most valuable; None if none is due."""
        while (polled := self._polls.pop(now)) is not None:
            if polled.model.demote(polled):
                self._schedule(polled, now)
                continue
            self._taken[polled.task.task_id] = polled
            return polled.task
        return None

    def report_running(self, task: InFlight, now: float, progress: float | None) -> None:
        """Learn that the task is still running, and schedule its next poll."""
        polled = self._taken.pop(task.task_id)
        reset = polled.model.report_running(polled, now, progress)
        self._schedule(polled, now)
        if reset:
            self._promote(polled.model, now)

    def report_poll_failed(self, task: InFlight, now: float, wait: float) -> None:
        """Schedule another poll after `wait` seconds, or after the shortest interval."""
        polled = self._taken.pop(task.task_id)
        wait = max(wait, self._polling.shortest)
        self._polls.push(polled, now + wait, wait)

    def report_completed(self, task: InFlight, now: float) -> None:
        """Learn that the task has ended, and remove it."""
        polled = self._remove(task)
        polled.model.report_completed(polled, now)
        self._completions.append(now)
        self._promote(polled.model, now)
        probe = polled.model.probe_candidate()
        if probe is not None and probe.entry is not None:
            shortest = self._polling.shortest
            last = now - shortest if probe.last_running_at is None else probe.last_running_at
            self._polls.push(probe, max(now, last + shortest), shortest)

    def forget(self, task: InFlight, now: float) -> None:
        """Remove the task and learn nothing."""
        polled = self._remove(task)
        polled.model.forget(polled, now)
        self._promote(polled.model, now)

    def eta(self, now: float) -> float | None:
        """Return the seconds until all tasks are completed, by Little's law; None: unknown."""
        if not self._count:
            return 0.0
        if len(self._completions) < 2:
            return None
        return self._count * (now - self._completions[0]) / len(self._completions)

    def learned(self) -> dict[str, str]:
        """Return what was learned, as JSON by workflow."""
        return self._learned | {name: model.learned() for name, model in self._models.items()}

    def typical(self, workflow: str, share: float) -> float | None:
        """Return the seconds within which `share` of a workflow's tasks end; None: unknown."""
        return self._model(workflow).typical(share)

    def _model(self, workflow: str) -> WorkflowModel:
        if (model := self._models.get(workflow)) is None:
            model = WorkflowModel(self._polling, self._learned.get(workflow))
            self._models[workflow] = model
        return model

    def _promote(self, model: WorkflowModel, now: float) -> None:
        """Schedule new polls for tasks that the service has started on."""
        for polled in model.promote_started(now):
            if polled.entry is not None:
                self._schedule(polled, now)

    def _schedule(self, polled: PolledTask, now: float) -> None:
        # Jitter spreads the polls of tasks submitted together, so that they cover more ages.
        cost = self._polling.request_cost * self._random.uniform(1 - _JITTER, 1 + _JITTER)
        due, interval = polled.model.next_poll(polled, now, cost * self._discount())
        self._polls.push(polled, due, interval)

    def _discount(self) -> float:
        """Return the factor on the cost of a poll: lower if a delay costs more than usual."""
        if self._at_close is None:
            return max(_MIN_DISCOUNT, 1 / (1 + self._queue_pressure()))
        count, discount = self._at_close
        return max(_MIN_DISCOUNT, discount * min(1.0, self._count / count) ** 2)

    def _remove(self, task: InFlight) -> PolledTask:
        self._count -= 1
        polled = self._taken.pop(task.task_id, None)
        if polled is None:
            polled = self._polls.find(task)
            polled.entry = None
        return polled
