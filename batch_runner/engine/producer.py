"""First stage: submit every pending item, at the rate, paying for each once.

Theory of operation. One coroutine walks the pending items in the manifest's order. For each it
takes an in-flight slot and a submission slot, uploads its input files, and acquires a rate token;
these waits end when submitting stops. Then the submission runs in a coroutine of its own, shielded
from cancellation: commit the intent, POST, commit the outcome. Nothing is awaited between the
response and the queueing of its commit, so no signal, sibling or timeout can lose a paid task id.

In the journal: the item is `submitting` before the first byte is sent. A kill -9 from then until
the outcome is committed leaves it so, and the next run makes it held.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import anyio
from anyio.abc import TaskGroup

from batch_runner.engine.admission import LONGEST_WAIT, Admission, Ticket
from batch_runner.engine.context import Run
from batch_runner.engine.request_ids import Age, RequestId, request_digest, with_candidate
from batch_runner.engine.retry_policy import Call, RetryDecision, decide
from batch_runner.engine.selection import is_selected
from batch_runner.engine.settling import Settler, Unsettled
from batch_runner.engine.uploads import Uploader
from batch_runner.errors import ApiError, Failure, JournalError, RegistryError
from batch_runner.journal.base import Change, ConnectionLost
from batch_runner.journal.records import PendingItem, UnsettledItem
from batch_runner.lifecycle import NOT_ACCEPTED, Event
from batch_runner.models import InFlight
from batch_runner.providers.base import RequestIds, Submitted
from batch_runner.util.locale import items_text

log = logging.getLogger(__name__)

#: Pending items read from the journal at a time.
PAGE = 200
#: Seconds of submissions that are claimed in the registry at a time, and the least number of items:
#: after a crash, another job may submit none of them without a question.
CLAIMED_AHEAD, CLAIMED_AT_LEAST = 5.0, 16

_LEASE_EXPIRED = "this worker was stopped for too long: another may submit the item now"


def _not_sent(item: PendingItem) -> Change:
    reason, message = Failure.LOCAL.value, "the connection to the journal's database was lost"
    return Change(key=item.key, event=Event.SUBMIT_UNSENT, reason=reason, message=message)


@dataclass(slots=True)
class _Attempt:
    """One attempt at a submission. `request` None: the service takes no request ids."""

    request: RequestId | None
    age: Age
    unsettled: Unsettled | None = None  # it got no response, and may be settled by its id

    @property
    def id(self) -> str | None:
        return None if self.request is None else self.request.id

    @property
    def digest(self) -> str | None:
        return None if self.request is None else self.request.digest


class Producer:
    """Submits the pending items of a run."""

    def __init__(self, run: Run) -> None:
        context, state = run.context, run.state
        self._settings = context.settings
        self._journal = context.journal
        self._provider = context.provider
        self._limiter = context.limiter
        self._scheduler = context.scheduler
        self._clock = context.clock
        self._claims = context.claims
        self._claimed_by_others = 0
        per_second = context.settings.limits.rate.per_second
        self._claimed_at_once = max(CLAIMED_AT_LEAST, math.ceil(per_second * CLAIMED_AHEAD))
        self._offload = context.offload
        self._requeues = context.requeues
        self._sender = context.sender
        self._new_id = context.new_id
        self._may_send = context.may_send
        self._free = context.free
        self._selected = context.selected
        self._stats = state.stats
        self._control = state.control
        self._breaker = state.breaker
        self._in_flight = state.in_flight_slots
        self._retry_queue = state.retry_queue
        self._recorder = run.recorder
        self._failures = run.failures
        self._admission = Admission(context, state)
        self._uploader = Uploader(run)
        self._settler = Settler(run, self._uploader)

    async def submit_items(self) -> None:
        """Submit each pending item until none is left or submitting stops."""
        try:
            async with anyio.create_task_group() as submissions:
                with self._control.cancel_on_stop():
                    await self._settler.settle_earlier(submissions)
                    async for item in self._pending_items():
                        await self._start_submission(item, submissions)
        finally:
            self._scheduler.close()
            self._control.submissions_finished()

    async def _start_submission(self, item: PendingItem, submissions: TaskGroup) -> None:
        """Wait until the item may be submitted, and leave the rest to a coroutine of its own."""
        async with self._admission.ticket() as ticket:
            if item.inputs:
                await self._admission.wait_before_upload(item)
            params = await self._uploader.resolve_params(item)
            if params is not None:
                await self._admission.wait_for_admission(item, ticket)
                submissions.start_soon(
                    self._submit_item, item, params, ticket.hand_over(), submissions
                )

    async def _pending_items(self) -> AsyncIterator[PendingItem]:
        """Yield the pending items in order, then those that became pending in this run."""
        async for page in self._pages():
            for start in range(0, len(page), self._claimed_at_once):
                for item in await self._claim(page[start : start + self._claimed_at_once]):
                    if item.key not in self._retry_queue:
                        yield item
        if (count := self._claimed_by_others - self._stats.waiting) > 0:
            log.warning("another job has just claimed %s, which stay pending", items_text(count))
        while True:
            while (again := self._retry_queue.take()) is not None:
                if again.listed and self._is_selected(again):
                    yield again
            if not (self._requeues and (self._in_flight.in_use or self._in_flight.lingering)):
                return
            await self._in_flight.wait_for_release()

    async def _pages(self) -> AsyncIterator[list[PendingItem]]:
        """Yield the pending items that may be submitted, in order, page by page."""
        after = -1
        while True:
            if self._selected is not None:
                following = self._selected.next(after)
                if following is None:
                    return
                after = following - 1
            page = await self._recorder.read(self._journal.pending_items(after, PAGE))
            if not page:
                return
            if len(page) < PAGE:
                self._control.on_last_page()
            yield [item for item in page if self._is_selected(item)]
            after = page[-1].position

    def _is_selected(self, item: PendingItem) -> bool:
        return is_selected(item.position, self._selected)

    async def _claim(self, items: Sequence[PendingItem]) -> list[PendingItem]:
        """Claim the items in the registry; return those that no other job has."""
        keys = [item.key for item in items]
        try:
            others = await self._offload(self._claims.claim, keys)
        except RegistryError as error:
            self._control.stop_without_registry(error)
            return []
        self._claimed_by_others += len(others)
        return [item for item in items if item.key not in others]

    async def _submit_item(
        self, item: PendingItem, params: dict[str, Any], ticket: Ticket, submissions: TaskGroup
    ) -> None:
        """Submit one item, again only while the service certainly did not accept it."""
        tries = 0
        async with ticket:
            while self._control.submitting:
                tries += 1
                attempt = _Attempt(self._new_request_id(item, params), Age(self._clock))
                with anyio.CancelScope(shield=True):
                    error = await self._attempt(item, params, ticket, attempt)
                if attempt.unsettled is not None:
                    ticket.keep_in_flight()
                    submissions.start_soon(self._settler.settle, attempt.unsettled)
                if error is None or not await self._may_send_again(error, tries):
                    return
                with self._control.cancel_on_stop():
                    await self._admission.wait_for_admission(item, ticket)

    async def _attempt(
        self, item: PendingItem, params: dict[str, Any], ticket: Ticket, attempt: _Attempt
    ) -> ApiError | None:
        """Commit the intent, send the request, commit its outcome; return the error, if any.

        Runs shielded: once begun, it ends by itself, within the timeouts of a submission.
        """
        started = Change(
            key=item.key,
            event=Event.SUBMIT_STARTED,
            request_id=attempt.id,
            request_digest=attempt.digest,
            free=self._free,
        )
        try:
            await self._recorder.record(started)
        except JournalError as error:
            ticket.refund()
            if isinstance(error, ConnectionLost):  # the intent may have been committed
                self._recorder.write_fallback(_not_sent(item), error)
            else:
                self._recorder.journal_failed(error)
            return ApiError(str(error), failure=Failure.LOCAL)
        finally:
            ticket.release_reservation()
        await self._limiter.align(ticket.acquired_at)
        try:
            if not self._may_send():
                raise ApiError(_LEASE_EXPIRED, failure=Failure.LOCAL)
            submitted = await self._provider.submit(item.workflow, params, attempt.id)
        except ApiError as error:
            change = self._change_after(item, error)
            recorded = await self._recorder.record_outcome(change)
            if recorded and change.event is Event.SUBMIT_UNANSWERED:
                attempt.unsettled = self._unsettled(item, attempt, change.message)
            if change.event in NOT_ACCEPTED:
                ticket.refund()
            self._record_failure(error, ticket.acquired_at)
            return error
        confirmed = Change(
            key=item.key,
            event=Event.SUBMIT_CONFIRMED,
            task_id=submitted.task_id,
            urls=submitted.urls,
        )
        if not await self._recorder.record_outcome(confirmed):
            return ApiError("the journal did not take the task id", failure=Failure.NO_RESPONSE)
        self._limiter.accepted()
        self._breaker.accepted()
        self._failures.call_succeeded()
        ticket.keep_in_flight()
        self._scheduler.add(self._task_of(item, submitted))
        return None

    def _change_after(self, item: PendingItem, error: ApiError) -> Change:
        """Return the change that a failed submission makes to its item."""
        reason = error.reason
        decision = decide(error.failure, Call.SUBMIT)
        if decision.holds:
            event, message = Event.SUBMIT_UNANSWERED, with_candidate(str(error), error.candidate)
            return Change(key=item.key, event=event, reason=reason, message=message)
        if decision is RetryDecision.REJECTED:
            event = Event.SUBMIT_REJECTED
            return Change(key=item.key, event=event, reason=reason, message=str(error))
        wait = error.retry_after
        return Change(
            key=item.key,
            event=Event.SUBMIT_UNSENT,
            reason=reason,
            message=str(error),
            not_before=None if wait is None else self._clock.wall() + min(wait, LONGEST_WAIT),
        )

    def _record_failure(self, error: ApiError, acquired_at: float) -> None:
        """Report a failed submission to the rate limiter and the circuit breaker."""
        decision = decide(error.failure, Call.SUBMIT)
        if decision is RetryDecision.PAUSE:
            longest = self._settings.retries.longest_pause
            pause = min(error.retry_after or 0.0, longest) or None
            self._stats.limited += 1
            self._limiter.limited(pause, acquired_at=acquired_at)
            if error.retry_after is not None and error.retry_after > longest:
                self._control.stop_for_retry_after(error.retry_after)
        elif decision.holds:
            self._breaker.unanswered(sent_at=acquired_at, now=self._clock.monotonic())
        elif decision is RetryDecision.REJECTED:
            self._breaker.rejected()
        self._failures.check_breaker(str(error))

    async def _may_send_again(self, error: ApiError, tries: int) -> bool:
        """Return whether the submission was certainly not accepted, after the retry delay."""
        decision, delay = self._failures.handle(error, Call.SUBMIT, tries)
        if decision is RetryDecision.AGAIN:
            with self._control.cancel_on_stop():
                await anyio.sleep(delay)
        again = decision in (RetryDecision.AGAIN, RetryDecision.PAUSE)
        return again and self._control.submitting

    def _new_request_id(self, item: PendingItem, params: dict[str, Any]) -> RequestId | None:
        """Return the id of a new attempt, None if the service takes none."""
        capabilities = self._provider.capabilities
        if capabilities.request_ids is RequestIds.NONE:
            return None
        digest = request_digest(self._sender, capabilities.version, item.workflow, params)
        return RequestId(self._new_id(), digest)

    def _task_of(self, item: PendingItem, submitted: Submitted) -> InFlight:
        return InFlight(
            key=item.key,
            task_id=submitted.task_id,
            workflow=item.workflow,
            name=item.name,
            attempt=item.attempt + 1,
            attempts=item.attempts,
            submitted_at=self._clock.wall(),
            since=self._clock.monotonic(),
            has_result=bool(submitted.urls),
            free=self._free,
        )

    def _unsettled(
        self, item: PendingItem, attempt: _Attempt, message: str | None
    ) -> Unsettled | None:
        """Return what the settler needs of an attempt without a response, None if it has no id."""
        if attempt.request is None:
            return None
        held = UnsettledItem(
            item=replace(item, attempt=item.attempt + 1),
            request_id=attempt.request.id,
            request_digest=attempt.request.digest,
            free=self._free,
            message=message,
        )
        return Unsettled(held=held, age=attempt.age, inherited=False)
