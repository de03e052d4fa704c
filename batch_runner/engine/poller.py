"""Second stage: a pool of coroutines that poll the tasks in flight.

The scheduler decides which task is polled next and when; a poller sends the request and reports the
response. Only COMPLETED, FAILED and CANCELED are final, and LOST where a submission costs nothing.
Nothing else is: not an unknown status, not one 404, not a missing response. A task that takes too
long for this run is left to the next one and never given up, because it is paid.

In the journal: a poll writes nothing, the end of a task is recorded. After a crash before that, the
next run polls again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from batch_runner.engine.context import Run
from batch_runner.engine.ended_tasks import EndedTasks
from batch_runner.engine.retry_policy import Call, RetryDecision
from batch_runner.errors import ApiError, DiskFailed, Failure
from batch_runner.journal.base import Change
from batch_runner.lifecycle import PAID_BEFORE, TASK_UNKNOWN, Event, ItemStatus
from batch_runner.models import InFlight, TaskReport, TaskState

log = logging.getLogger(__name__)


class Poller:
    """Polls tasks; every coroutine of the pool runs `poll_tasks` of one object."""

    def __init__(self, run: Run, ended: EndedTasks) -> None:
        context, state = run.context, run.state
        self._timeouts = context.settings.timeouts
        self._shortest = context.settings.polling.shortest
        self._provider = context.provider
        self._scheduler = context.scheduler
        self._clock = context.clock
        self._files = context.files
        self._stats = state.stats
        self._in_flight = state.in_flight_slots
        self._recorder = run.recorder
        self._failures = run.failures
        self._ended = ended
        self._unknown_since: dict[str, float] = {}  # task id → loop time of the first 404
        self._unknown_statuses_logged: set[str] = set()

    async def poll_tasks(self, download: Callable[[InFlight], None]) -> None:
        """Poll one due task after the other until none is left; `download` gets the completed."""
        while (task := await self._next_task()) is not None:
            if task.has_result:
                self._result_known(task)
                download(task)
                continue
            report = await self._poll_once(task)
            if report is None:
                continue
            if report.state is TaskState.COMPLETED:
                self._scheduler.report_completed(task)
                self._result_known(task)
                download(task)
            elif report.state is TaskState.LOST:
                await self._task_lost(task, report)
            elif report.state.final:
                await self._task_failed(task, report)
            else:
                self._still_running(task, report)

    async def _next_task(self) -> InFlight | None:
        await self._in_flight.wait_for_downloads()
        return await self._scheduler.next()

    async def _poll_once(self, task: InFlight) -> TaskReport | None:
        """Return the report, None if the poll failed; then the task is scheduled again."""
        self._stats.polls += 1
        try:
            report = await self._provider.status(task.task_id)
        except ApiError as error:
            await self._poll_failed(task, error)
            return None
        self._failures.call_succeeded()
        if report.state is not TaskState.LOST:
            self._unknown_since.pop(task.task_id, None)
        return report

    async def _poll_failed(self, task: InFlight, error: ApiError) -> None:
        decision, delay = self._failures.handle(error, Call.QUERY, 1)
        if decision is RetryDecision.TASK_FAILED:
            report = TaskReport(state=TaskState.FAILED, word="that it failed", message=str(error))
            await self._task_failed(task, report)
        elif decision is RetryDecision.RETRY_UNKNOWN and self._unknown_for_too_long(task):
            self._scheduler.forget(task)
            await self._task_unknown(task, error)
        elif self._takes_too_long(task):
            self._abandon_for_this_run(task)
        else:
            self._scheduler.report_poll_failed(task, max(delay, self._shortest))

    def _unknown_for_too_long(self, task: InFlight) -> bool:
        now = self._clock.monotonic()
        return now - self._unknown_since.setdefault(task.task_id, now) > self._timeouts.unknown

    def _takes_too_long(self, task: InFlight) -> bool:
        return self._clock.monotonic() - task.since > self._timeouts.task

    async def _task_unknown(self, task: InFlight, error: ApiError) -> None:
        """Stop polling a task that the service does not know; later runs ask again.

        If another job has paid for it, the user decides. If an earlier run has set its bytes aside,
        and the settings accept them by now, the item is done.
        """
        if await self._is_placed(task):
            self._in_flight.release()
            return
        message = f"paid, but the service does not know task {task.task_id}: {error}"
        refused = await self._files.still_refused(task.task_id, task.name)
        if refused is not None:
            message += f"; {refused[0]}, if the bytes in {refused[1].place} are the result"
        change = Change(
            key=task.key, event=Event.TASK_UNKNOWN, reason=TASK_UNKNOWN, message=message
        )
        if task.reused:
            change = replace(
                change, event=Event.PAID_BEFORE, reason=PAID_BEFORE, origin=ItemStatus.SUBMITTED
            )
        await self._recorder.try_record(change)
        self._in_flight.release()

    async def _is_placed(self, task: InFlight) -> bool:
        """Return whether bytes that were set aside are the only file of the task, and stored."""
        try:
            placed = await self._files.place_kept(task.task_id, task.name)
        except DiskFailed as error:
            log.warning("%s: %s", task.name, error)
            return False
        if placed is None:
            return False
        completed = Change(key=task.key, event=Event.TASK_COMPLETED)
        done = Change(key=task.key, event=Event.PLACED, files=(placed,))
        if await self._recorder.try_record(completed, done):
            await self._files.clear_aside(task.task_id)
        return True

    def _result_known(self, task: InFlight) -> None:
        """Record that the task has completed; the download may still show that it has failed."""
        self._recorder.record_later(Change(key=task.key, event=Event.TASK_COMPLETED))
        self._in_flight.release_to_download()

    async def _task_failed(self, task: InFlight, report: TaskReport) -> None:
        self._scheduler.report_completed(task)
        detail = f": {report.message}" if report.message else ""
        message = f"the service reported {report.word}{detail}"
        reason = f"service-{report.state.value}"
        await self._ended.failed(task, reason, message, origin=ItemStatus.SUBMITTED)
        self._in_flight.release()

    async def _task_lost(self, task: InFlight, report: TaskReport) -> None:
        """Let the item be submitted again if that costs nothing; otherwise treat it as unknown."""
        if await self._ended.lost(task):
            self._scheduler.forget(task)
            self._in_flight.release()
            return
        detail = f": {report.message}" if report.message else ""
        message = f"the service has lost it{detail}"
        await self._poll_failed(task, ApiError(message, failure=Failure.NOT_FOUND))

    def _still_running(self, task: InFlight, report: TaskReport) -> None:
        unknown = report.state is TaskState.UNKNOWN_WORD
        if unknown and report.word not in self._unknown_statuses_logged:
            self._unknown_statuses_logged.add(report.word)
            log.warning("unknown task status %r, assumed to be running", report.word)
        if self._takes_too_long(task):
            self._abandon_for_this_run(task)
        else:
            self._scheduler.report_running(task, report)

    def _abandon_for_this_run(self, task: InFlight) -> None:
        """Stop polling in this run: the task is paid, so the next run continues."""
        log.warning("task %s is not finished in time; left to the next run", task.task_id)
        self._scheduler.forget(task)
        self._in_flight.release()
