"""Second stage: a pool of coroutines that ask for the status of paid tasks.

What to ask about next, and when, comes from one schedule; a poller only asks, and says what it
heard. Only COMPLETED, FAILED and CANCELED are ends. Nothing else is: not a word we do not know, not
one 404, not silence; and a task that takes too long for this run is left to the next, never given
up, because it is paid.

On the disk: a look writes nothing. The end of a task does, and a crash before that looks again.
"""

from __future__ import annotations

import logging

from anyio.streams.memory import MemoryObjectSendStream

from batch_runner.engine.context import Shift
from batch_runner.engine.retry_policy import Call, RetryDecision
from batch_runner.errors import ApiError, JournalError
from batch_runner.journal import Change
from batch_runner.lifecycle import TASK_FORGOTTEN, Event
from batch_runner.models import InFlight, TaskReport, TaskState

log = logging.getLogger(__name__)


async def poll(shift: Shift, finished: MemoryObjectSendStream[InFlight]) -> None:
    """Look at one due task after the other until no more will come; pass on the completed ones."""
    async with finished:
        while (task := await shift.schedule.next()) is not None:
            report = await _look(shift, task)
            if report is None:
                continue
            if report.state is TaskState.COMPLETED:
                _completed(shift, task)
                await finished.send(task)
            elif report.state.final:
                await _failed(shift, task, report)
            else:
                _still_running(shift, task, report)


async def _look(shift: Shift, task: InFlight) -> TaskReport | None:
    """Ask once; None when the question got no answer, and the schedule knows when to ask again."""
    shift.tally.polls += 1
    try:
        report = await shift.provider.status(task.task_id)
    except ApiError as error:
        await _missed(shift, task, error)
        return None
    shift.heard()
    shift.unknown_since.pop(task.task_id, None)
    return report


async def _missed(shift: Shift, task: InFlight, error: ApiError) -> None:
    verdict, wait = shift.failed_call(error, Call.QUERY, 1)
    if verdict is RetryDecision.PAUSE:
        shift.limited_query(error)
    if verdict is RetryDecision.RETRY_UNKNOWN and _unknown_for_too_long(shift, task):
        shift.schedule.forget(task)
        await _give_up(shift, task, error)
        return
    if shift.clock() - task.since > shift.settings.timeouts.task:
        _leave(shift, task)
        return
    shift.schedule.missed(task, max(wait, shift.settings.polling.shortest))


def _unknown_for_too_long(shift: Shift, task: InFlight) -> bool:
    since = shift.unknown_since.setdefault(task.task_id, shift.clock())
    return shift.clock() - since > shift.settings.timeouts.unknown


async def _give_up(shift: Shift, task: InFlight, error: ApiError) -> None:
    """Let the service's not knowing stand for this run; the id is kept and asked for again."""
    change = Change(
        key=task.key,
        event=Event.TASK_UNKNOWN,
        reason=TASK_FORGOTTEN,
        message=f"paid, but the service tells nothing of task {task.task_id}: {error}",
    )
    await _commit(shift, change)
    shift.slots.give_back()


def _completed(shift: Shift, task: InFlight) -> None:
    shift.schedule.finished(task)
    shift.commit_soon(Change(key=task.key, event=Event.TASK_COMPLETED))
    shift.slots.give_back()


async def _failed(shift: Shift, task: InFlight, report: TaskReport) -> None:
    """Journal the service's giving up, and let the item wait again if its attempts allow."""
    shift.schedule.finished(task)
    word = report.state.value
    message = f"the service says {report.word}" + (f": {report.message}" if report.message else "")
    failed = Change(
        key=task.key, event=Event.TASK_FAILED, reason=f"service-{word}", message=message
    )
    if not task.inherited:  # what was paid for long ago says nothing of what is paid for now
        shift.breaker.failed()
        shift.heed_breaker(message)
    if task.attempt < task.attempts:
        # In one commit: after a crash between the two, nobody would know what is owed.
        owed = await _commit(shift, failed, Change(key=task.key, event=Event.RETRIED))
        if owed and shift.control.creating:  # else the next run makes the attempt
            await _again(shift, task)
    else:
        await _commit(shift, failed)
    shift.slots.give_back()


async def _again(shift: Shift, task: InFlight) -> None:
    """Let the producer have an item for its next attempt."""
    try:
        shift.again.append(await shift.journal.waiting_one(task.key))
    except JournalError as error:
        shift.journal_failed(error)


async def _commit(shift: Shift, *changes: Change) -> bool:
    try:
        await shift.commit(*changes)
    except JournalError as error:
        shift.journal_failed(error)
        return False
    return True


def _still_running(shift: Shift, task: InFlight, report: TaskReport) -> None:
    if report.state is TaskState.UNKNOWN_WORD and report.word not in shift.strange_words:
        shift.strange_words.add(report.word)
        log.warning("the service says %r, taken as still running", report.word)
    if shift.clock() - task.since > shift.settings.timeouts.task:
        _leave(shift, task)
    else:
        shift.schedule.running(task, report)


def _leave(shift: Shift, task: InFlight) -> None:
    """Stop asking in this run: it is paid, so the next run goes on asking."""
    log.warning("task %s is not finished in time; left to the next run", task.task_id)
    shift.schedule.forget(task)
    shift.slots.give_back()
