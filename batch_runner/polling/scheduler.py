"""Give each poller the next task to poll, when it is due (the rules are in THEORY.md).

Any number of pollers call `PollScheduler.next`. The one that holds a lock waits for the clock, the
pause gate and the poll rate; when it returns with a task, the next one takes over. So there is only
one timer for all tasks and pollers. A task leaves the queue only when it is returned: cancelling a
poller that waits loses no task.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable, Mapping

from batch_runner.models import InFlight, TaskReport
from batch_runner.polling.queue import PollQueue
from batch_runner.ratelimit.base import RateLimiter
from batch_runner.settings import Polling


class PollScheduler:
    """Waits for due polls and gives their tasks to the pollers."""

    def __init__(
        self,
        polling: Polling,
        limiter: RateLimiter,
        *,
        clock: Callable[[], float],
        random: random.Random,
        learned: Mapping[str, str] | None = None,
        queue_pressure: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`limiter` limits the polls; `learned` and `queue_pressure` as for `PollQueue`."""
        self._clock = clock
        self._limiter = limiter
        self._queue = PollQueue(
            polling, random=random, learned=learned or {}, queue_pressure=queue_pressure
        )
        self._completed: deque[InFlight] = deque()  # returned without a poll
        self._closed = False
        self._lock = asyncio.Lock()  # held by the one poller that waits for the clock
        self._changed = asyncio.Event()
        self._waits_until = -math.inf  # of that poller; -inf: it does not wait

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, task: InFlight, *, seen_before: bool = False) -> None:
        """Poll a submitted task from now on; one that has its result already is not polled.

        `task.since` is the loop time of its submission. `seen_before` means that an earlier run
        submitted it: it may have completed long ago, so it is polled at once.
        """
        if task.has_result:
            self._completed.append(task)
            self._changed.set()
            return
        self._queue.add(task, self._clock(), seen_before=seen_before)
        self._wake()

    def close(self) -> None:
        """Record that no more tasks will be added."""
        self._closed = True
        self._queue.close()
        self._wake()

    async def next(self) -> InFlight | None:
        """Wait until a task is due and may be polled; None if there will be no more.

        The caller must return the task with one `report_…` call or with `forget`, unless it had its
        result already.
        """
        async with self._lock:
            while self._completed or len(self._queue) or not self._closed:
                if self._completed:
                    return self._completed.popleft()
                due = self._queue.due_at()
                if due is None or due > self._clock():
                    await self._wait_until(due)
                    continue
                await self._limiter.acquire()
                if (task := self._queue.take(self._clock())) is not None:
                    return task
        return None

    def report_running(self, task: InFlight, report: TaskReport) -> None:
        """Record that the task is still running, and schedule its next poll."""
        self._limiter.accepted()
        self._queue.report_running(task, self._clock(), report.progress)
        self._wake()

    def report_completed(self, task: InFlight) -> None:
        """Record that the task has ended, with or without a result; it is not polled again."""
        self._limiter.accepted()
        self._queue.report_completed(task, self._clock())
        self._wake()

    def report_poll_failed(self, task: InFlight, wait: float) -> None:
        """Record that the poll failed; the next follows after at least `wait` seconds."""
        self._queue.report_poll_failed(task, self._clock(), wait)
        self._wake()

    def limited(self, retry_after: float | None) -> None:
        """Record that a poll was answered with 429: all requests pause, the poll rate is reduced.

        The caller must still return the task with `report_poll_failed`.
        """
        self._limiter.limited(retry_after)

    def forget(self, task: InFlight) -> None:
        """Stop polling the task and learn nothing from it."""
        self._queue.forget(task, self._clock())
        self._wake()

    def eta(self) -> float | None:
        """Return the seconds until all tasks are completed; None: unknown."""
        return self._queue.eta(self._clock())

    def typical(self, workflow: str, share: float = 0.5) -> float | None:
        """Return the seconds from submission within which `share` of tasks end; None: unknown."""
        return self._queue.typical(workflow, share)

    def learned(self) -> dict[str, str]:
        """Return what was learned, as JSON by workflow, for the next run."""
        return self._queue.learned()

    def _wake(self) -> None:
        """Wake the poller that waits for the clock, if a poll is due sooner or none is left."""
        due = self._queue.due_at()
        if due is None or due < self._waits_until:
            self._changed.set()

    async def _wait_until(self, due: float | None) -> None:
        """Wait until `due`, or until the queue has changed."""
        self._changed.clear()
        self._waits_until = math.inf if due is None else due
        timer = None
        if due is not None:
            wait = due - self._clock()
            timer = asyncio.get_running_loop().call_later(wait, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            self._waits_until = -math.inf
            if timer is not None:
                timer.cancel()
