"""When to look at which task: one heap of due looks for the whole pool of pollers."""

from __future__ import annotations

import asyncio
import heapq
import math
from typing import TYPE_CHECKING

from batch_runner.pacer import Pacer

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from batch_runner.models import InFlight, TaskReport
    from batch_runner.pacer import Gate
    from batch_runner.settings import Polling, Rate


class Schedule:
    """Tells each poller what to look at next. First version: spacing grows with the root of age."""

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
        self._polling = polling
        self._clock = clock
        self._pacer = Pacer(polls, gate=gate, clock=clock, random=random)
        self._heap: list[tuple[float, int, InFlight]] = []
        self._out: dict[str, InFlight] = {}
        self._sequence = 0
        self._closed = False
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._learned = dict(learned or {})

    def __len__(self) -> int:
        return len(self._heap) + len(self._out)

    def add(self, task: InFlight, *, seen_before: bool = False) -> None:
        """Look after a paid task from now on."""
        now = self._clock()
        self._push(now if seen_before else max(now, task.since + self._polling.first), task)

    def close(self) -> None:
        """Say that no more tasks will be added."""
        self._closed = True
        self._changed.set()

    async def next(self) -> InFlight | None:
        """Wait until a task is due and may be asked about; None when there will be no more."""
        async with self._turn:
            while True:
                if not len(self) and self._closed:
                    return None
                if not self._heap or self._heap[0][0] > self._clock():
                    await self._wait()
                    continue
                await self._pacer.token()
                if self._heap:
                    task = heapq.heappop(self._heap)[2]
                    self._out[task.task_id] = task
                    return task

    def running(self, task: InFlight, report: TaskReport) -> None:
        """Note that the task is still going."""
        self._pacer.accepted()
        self.missed(task, math.sqrt(max(0.0, self._clock() - task.since)))

    def missed(self, task: InFlight, seconds: float) -> None:
        """Note that the look failed; the next comes after at least `seconds`."""
        self._out.pop(task.task_id, None)
        wait = min(max(seconds, self._polling.shortest), max(seconds, self._polling.longest))
        self._push(self._clock() + wait, task)

    def limited(self, retry_after: float | None) -> None:
        """Note that a look was answered 429; close the gate for everyone."""
        self._pacer.limited(retry_after)

    def finished(self, task: InFlight) -> None:
        """Note that the service has said the end: never looked at again."""
        self.forget(task)

    def forget(self, task: InFlight) -> None:
        """Give the task up."""
        if self._out.pop(task.task_id, None) is None:
            self._heap = [entry for entry in self._heap if entry[2].task_id != task.task_id]
            heapq.heapify(self._heap)
        self._changed.set()

    def eta(self) -> float | None:
        """Return the seconds until the tasks it holds are finished, None while unknown."""
        return None

    def learned(self) -> dict[str, str]:
        """Return what was learned, as JSON by workflow, to be kept between runs."""
        return dict(self._learned)

    def _push(self, due: float, task: InFlight) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (due, self._sequence, task))
        self._changed.set()

    async def _wait(self) -> None:
        self._changed.clear()
        timer = None
        if self._heap:
            wait = self._heap[0][0] - self._clock()
            timer = asyncio.get_running_loop().call_later(max(0.0, wait), self._changed.set)
        try:
            await self._changed.wait()
        finally:
            if timer is not None:
                timer.cancel()
