"""First stage: a create request for every item that waits, at the pace, each paid for once.

Theory of operation. One coroutine walks the waiting items in the manifest's order. For each it
takes a place among the tasks in flight and a place among the creates on the wire, sees to its input
files, and takes a token of the pacer; these waits end when creating stops. The token comes last:
nothing may stand between it, the check of the spend cap and the create. Then the create runs in a
coroutine of its own, shielded from cancellation: intent committed, POST, outcome committed. Nothing
is awaited between reading the answer and queueing its commit, so no signal, sibling or timeout can
make a paid id disappear.

On the disk: before the first byte leaves, the item is `submitting`. kill -9 from there until the
outcome is committed leaves it so, and the next run holds it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel

from batch_runner.engine.context import Shift
from batch_runner.engine.control import ExitCode, StopReason
from batch_runner.engine.retry_policy import Call, RetryDecision, decide
from batch_runner.engine.uploads import with_uploads
from batch_runner.errors import ApiError, Failure, JournalConflict, JournalError
from batch_runner.journal import Change
from batch_runner.journal.base import TaskIdTaken, held_instead
from batch_runner.journal.records import PendingItem
from batch_runner.lifecycle import Event
from batch_runner.models import InFlight

log = logging.getLogger(__name__)

#: Waiting items read from the journal at a time.
PAGE = 200
#: Seconds that an item is kept back at most, whatever the service asks for.
LONGEST_WAIT = 86400.0


async def produce(shift: Shift) -> None:
    """Create a task for each waiting item until none is left or creating stops."""
    try:
        async with anyio.create_task_group() as submissions:
            with shift.control.while_creating():
                async for item in _waiting(shift):
                    await shift.slots.take()
                    await shift.submission_slots.take()
                    if item.inputs:  # nothing is sent for a create that may not leave
                        await _below_cap(shift)
                        await _if_nothing_stops(shift, item)
                    if (params := await _params(shift, item)) is None:
                        _give_back(shift)
                        continue
                    sent = await _permission(shift, item)
                    submissions.start_soon(_create, shift, item, params, sent)
    finally:
        shift.schedule.close()
        shift.control.submissions_finished()


async def _waiting(shift: Shift) -> AsyncIterator[PendingItem]:
    """Yield the waiting items in order, then those that get another attempt by policy."""
    after = -1
    walked: set[tuple[str, int]] = set()  # further attempts that the walk itself comes upon
    while page := await shift.read(shift.journal.waiting(after, PAGE)):
        for item in page:
            if item.attempt:
                walked.add((item.key, item.attempt))
            yield item
        after = page[-1].position
    while True:
        while shift.again:
            item = shift.again.popleft()
            if (item.key, item.attempt) not in walked:
                yield item
        if not (shift.second_attempts and shift.slots.in_use):
            return
        await shift.slots.changed()


async def _permission(shift: Shift, item: PendingItem) -> float:
    """Wait until one more create may leave and return that moment; or stop creating.

    The create has its place under the spend cap from then on.
    """
    if item.not_before is not None:
        await _not_before(shift, item, item.not_before)
    while True:
        pause = await _trouble_over(shift)
        await _below_cap(shift)
        sent = await shift.limiter.acquire()
        await _if_nothing_stops(shift, item)
        alone = not shift.tally.undecided
        if not _at_cap(shift) and shift.breaker.pause == pause and (alone or not pause):
            break  # nothing has changed while the token was waited for
    shift.tally.promised += 1
    return sent


async def _if_nothing_stops(shift: Shift, item: PendingItem) -> None:
    """Go on if a create may leave now; else stop creating."""
    if (stop := _reason_to_stop(shift, item)) is not None:
        await _stop(shift, stop)


async def _trouble_over(shift: Shift) -> float:
    """Wait while a service in trouble is left alone, and for the one create that it is tried by.

    Returns the pause in seconds that has been kept, 0: there was no need for one.
    """
    while pause := shift.breaker.pause:
        if shift.tally.undecided:
            await shift.submission_slots.changed()
            continue
        log.warning("the service is in trouble: no create for %.0f s", pause)
        await anyio.sleep(pause)
        if not shift.tally.undecided:
            return pause
    return 0.0


def _at_cap(shift: Shift) -> bool:
    cap = shift.settings.limits.max_submissions
    return cap is not None and shift.tally.spent + shift.tally.promised >= cap


async def _below_cap(shift: Shift) -> None:
    """Wait until a create may be paid for; stop creating when the spend cap is reached for good."""
    while _at_cap(shift):
        if not shift.tally.undecided:
            cap = shift.settings.limits.max_submissions
            reached = f"the spend cap of {cap} creates is reached"
            await _stop(shift, StopReason("cap", reached, ExitCode.STOPPED))
        await shift.submission_slots.changed()  # one on its way may turn out not to be paid


async def _stop(shift: Shift, stop: StopReason) -> None:
    """Stop creating; does not return."""
    shift.control.stop_creating(stop)
    await anyio.lowlevel.checkpoint()  # the scope has been cancelled


async def _not_before(shift: Shift, item: PendingItem, moment: float) -> None:
    # Not longer than was asked for: the clock may have been ahead when that was noted.
    asked = LONGEST_WAIT if item.started_at is None else moment - item.started_at
    seconds = min(moment - shift.wall_clock(), asked)
    if seconds > shift.settings.retries.longest_pause:
        shift.asked_to_wait(seconds)
    await anyio.sleep(max(0.0, seconds))


def _reason_to_stop(shift: Shift, item: PendingItem) -> StopReason | None:
    """Return why no create may leave now: deadline, disk; None: it may."""
    if shift.deadline is not None:
        needed = shift.schedule.typical(item.workflow, 0.9) or 0.0
        if shift.clock() + needed > shift.deadline:
            return StopReason(
                "deadline", "no create could finish before the deadline", ExitCode.STOPPED
            )
    try:
        free = shift.folder.free_bytes()
    except OSError as error:
        message = f"{shift.folder.root} cannot be used: {error.strerror or error}"
        return StopReason("disk", message, ExitCode.STOPPED)
    if free < shift.settings.downloads.free_bytes:
        return StopReason(
            "disk", f"only {free} bytes are free in {shift.folder.root}", ExitCode.STOPPED
        )
    return None


async def _create(shift: Shift, item: PendingItem, params: dict[str, Any], sent: float) -> None:
    """Carry one item through its create, sending it again only when it provably did not arrive."""
    tries = 0
    in_flight = False
    try:
        while shift.control.creating:
            tries += 1
            with anyio.CancelScope(shield=True):
                error = await _attempt(shift, item, params, sent)
            if error is None:
                in_flight = True
                return
            if not await _try_again(shift, error, tries):
                return
            with shift.control.while_creating():
                sent = await _permission(shift, item)
    finally:
        _give_back(shift, in_flight=in_flight)


def _give_back(shift: Shift, *, in_flight: bool = False) -> None:
    """Free the places of a create; that of its task stays taken if it is `in_flight`."""
    shift.submission_slots.give_back()
    if not in_flight:
        shift.slots.give_back()


async def _params(shift: Shift, item: PendingItem) -> dict[str, Any] | None:
    """Return what to send, None when it cannot be sent now or ever."""
    try:
        return await with_uploads(shift, item)
    except JournalError as error:
        shift.journal_failed(error)
        return None


async def _attempt(
    shift: Shift, item: PendingItem, params: dict[str, Any], sent: float
) -> ApiError | None:
    """Commit the intent, send the create, commit its outcome; return the error if there was one.

    Runs shielded: once entered, it ends by itself, within the create's timeouts.
    """
    try:
        await shift.commit(Change(key=item.key, event=Event.SUBMIT_STARTED))
    except JournalError as error:
        shift.journal_failed(error)
        return ApiError(str(error), failure=Failure.LOCAL)
    finally:
        shift.tally.promised -= 1  # it is counted now, or has not been sent
    await shift.limiter.align(sent)
    try:
        task_id = await shift.provider.submit(item.workflow, params)
    except ApiError as error:
        await _settle(shift, _unaccepted(shift, item, error))
        _learn_from(shift, error, sent)
        return error
    confirmed = Change(key=item.key, event=Event.SUBMIT_CONFIRMED, task_id=task_id)
    if not await _settle(shift, confirmed):
        return ApiError("the journal did not take the task id", failure=Failure.NO_RESPONSE)
    shift.limiter.accepted()
    shift.breaker.accepted()
    shift.heard()
    shift.schedule.add(_in_flight(shift, item, task_id))
    return None


async def _settle(shift: Shift, change: Change) -> bool:
    """Commit the outcome of a create; what the journal does not take goes to the emergency file."""
    try:
        await shift.commit(change)
    except TaskIdTaken as error:
        await _settle(shift, held_instead(change, error))
        return False
    except JournalConflict as error:
        await _attach(shift, change, error)
        return False
    except JournalError as error:
        shift.keep_outcome(change, error)
        return False
    return True


async def _attach(shift: Shift, change: Change, error: JournalConflict) -> None:
    """Keep a task id whose item another run holds, taking its create for one that was cut off."""
    shift.journal_failed(error)
    if change.task_id is not None:
        try:
            await shift.commit(replace(change, event=Event.ATTACHED))
        except JournalError as problem:
            shift.keep_outcome(change, problem)


def _unaccepted(shift: Shift, item: PendingItem, error: ApiError) -> Change:
    """Return the change that a failed create makes to its item."""
    reason = _reason(error)
    verdict = decide(error.failure, Call.SUBMIT)
    if verdict is RetryDecision.HELD:
        hint = f"; it may be task {error.candidate}" if error.candidate else ""
        return Change(
            key=item.key, event=Event.SUBMIT_UNANSWERED, reason=reason, message=f"{error}{hint}"
        )
    if verdict is RetryDecision.REJECTED:
        return Change(key=item.key, event=Event.SUBMIT_REJECTED, reason=reason, message=str(error))
    wait = error.retry_after
    return Change(
        key=item.key,
        event=Event.SUBMIT_UNSENT,
        reason=reason,
        message=str(error),
        not_before=None if wait is None else shift.wall_clock() + min(wait, LONGEST_WAIT),
    )


def _reason(error: ApiError) -> str:
    """Return the short word under which the report groups such errors."""
    if error.status is None:
        return error.failure.value
    if 200 <= error.status < 300 and error.code is not None:
        return f"code-{error.code}"[:40]
    return f"http-{error.status}" + (f"-code-{error.code}"[:40] if error.code else "")


def _learn_from(shift: Shift, error: ApiError, sent: float) -> None:
    """Let pacer and breaker know how a create failed."""
    verdict = decide(error.failure, Call.SUBMIT)
    if verdict is RetryDecision.PAUSE:
        longest = shift.settings.retries.longest_pause
        shift.tally.limited += 1
        shift.limiter.limited(min(error.retry_after or 0.0, longest) or None, acquired_at=sent)
        if error.retry_after is not None and error.retry_after > longest:
            shift.asked_to_wait(error.retry_after)
    elif verdict is RetryDecision.HELD:
        shift.breaker.unanswered(sent=sent, now=shift.clock())
    elif verdict is RetryDecision.REJECTED:
        shift.breaker.refused()
    shift.heed_breaker(str(error))


async def _try_again(shift: Shift, error: ApiError, tries: int) -> bool:
    """Wait as long as the failure asks for; False when the create must not be sent again."""
    verdict, wait = shift.failed_call(error, Call.SUBMIT, tries)
    if verdict is RetryDecision.STOP and error.failure is Failure.LOCAL:
        shift.control.stop_creating(StopReason("local", str(error), ExitCode.STOPPED))
    if verdict is RetryDecision.AGAIN:
        with shift.control.while_creating():
            await anyio.sleep(wait)
    return verdict in (RetryDecision.AGAIN, RetryDecision.PAUSE) and shift.control.creating


def _in_flight(shift: Shift, item: PendingItem, task_id: str) -> InFlight:
    return InFlight(
        key=item.key,
        task_id=task_id,
        workflow=item.workflow,
        name=item.name,
        attempt=item.attempt + 1,
        attempts=item.attempts,
        submitted_at=shift.wall_clock(),
        since=shift.clock(),
    )
