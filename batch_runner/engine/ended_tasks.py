"""Record tasks that ended without a result; submit their items again where that is allowed."""

from __future__ import annotations

from collections import Counter

from batch_runner.engine.context import Run
from batch_runner.errors import JournalError
from batch_runner.journal.base import Change
from batch_runner.lifecycle import Event, ItemStatus
from batch_runner.models import InFlight

#: How often a run submits one item again because the service lost its task. A task that makes its
#: server run out of memory is lost each time.
MOST_LOSSES = 3


class EndedTasks:
    """The ends of tasks that poller and downloader find."""

    def __init__(self, run: Run) -> None:
        context, state = run.context, run.state
        self._free = context.free
        self._journal = context.journal
        self._stats = state.stats
        self._control = state.control
        self._breaker = state.breaker
        self._retry_queue = state.retry_queue
        self._recorder = run.recorder
        self._failures = run.failures
        self._losses: Counter[str] = Counter()  # in this run, by item key

    async def failed(
        self, task: InFlight, reason: str, message: str, *, origin: ItemStatus
    ) -> None:
        """Record the failure, and let the item be submitted again if its attempts allow it."""
        failed = Change(
            key=task.key, event=Event.TASK_FAILED, reason=reason, message=message, origin=origin
        )
        if not task.inherited:  # an earlier run's task does not show how the service works now
            self._breaker.task_failed()
            self._failures.check_breaker(message)
        if task.attempt < task.attempts:
            # In one commit: after a crash between two, the further attempt would be forgotten.
            await self._requeue(task, failed, Change(key=task.key, event=Event.RETRIED))
        else:
            await self._recorder.try_record(failed)

    async def lost(self, task: InFlight) -> bool:
        """Make the item of a lost task pending if it cost nothing; return whether it is."""
        if not (self._free and task.free) or task.reused or self._losses[task.key] >= MOST_LOSSES:
            return False
        self._losses[task.key] += 1
        message = f"the service has lost task {task.task_id}; it is submitted again"
        lost = Change(key=task.key, event=Event.TASK_LOST, reason="task-lost", message=message)
        if await self._requeue(task, lost) and not task.inherited:
            self._stats.paid -= 1
        return True

    async def _requeue(self, task: InFlight, *changes: Change) -> bool:
        """Record changes that make an item pending, and queue it; return whether they were."""
        self._retry_queue.announce(task.key)
        if not await self._recorder.try_record(*changes):
            return False
        if self._control.submitting:  # if not, the next run submits it
            try:
                self._retry_queue.add(await self._journal.pending_item(task.key))
            except JournalError as error:
                self._recorder.journal_failed(error)
        return True
