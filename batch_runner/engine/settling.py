"""Settle what became of submissions without a response, where the service can say so.

Each attempt is sent with a request id, which is in the journal before the first byte leaves. An
item that is held because the response was lost, or because the run was killed, is settled soon
after, or at the start of the next run:

* The id is the task's id: ask the service for the task. If it has one, the item is submitted. If it
  certainly has none, and it cost nothing then and costs nothing now, the item is pending again.
* The id is an idempotency key: send the identical request with it again, as long as the service
  keeps keys. A task id makes the item submitted; any error proves nothing, and it is held again.

Whatever is in doubt leaves the item held: another description, account or upload, a clock that was
set back, a service that cannot be asked. So does a run that shuts down; one that submits nothing
more still asks, and repeats only if the spending cap stopped it, since a held item counts as paid.
There is never more than one request with an id at a time.

In the journal: `held` while the service is asked; `submitting` from before the first byte of a
repeated request until its outcome is committed. A crash in between makes it held again, with the
same request id.

Until it is settled, an item has an in-flight slot, because it may have a task. A service that
cannot be asked keeps none of them for long: it is asked on as long as it may be down, without a
slot.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass, field, replace
from enum import Enum, auto

import anyio
from anyio.abc import TaskGroup

from batch_runner.engine.context import Run
from batch_runner.engine.request_ids import Age, request_digest, with_candidate
from batch_runner.engine.retry_policy import Call, RetryDecision, backoff
from batch_runner.engine.selection import is_selected
from batch_runner.engine.uploads import Uploader
from batch_runner.errors import ApiError, Failure, JournalError
from batch_runner.journal.base import Change, TaskIdTaken
from batch_runner.journal.records import PendingItem, UnsettledItem
from batch_runner.lifecycle import Event
from batch_runner.models import InFlight
from batch_runner.providers.base import RequestIds, Submitted
from batch_runner.util.text import duration

log = logging.getLogger(__name__)

#: Held items read from the journal at a time.
PAGE = 200
#: Items that are settled at the same time.
AT_ONCE = 4
#: Failures of a repeated request after which it may be sent once more.
_TRANSIENT = (Failure.UNSENT, Failure.NO_RESPONSE, Failure.AMBIGUOUS, Failure.LIMITED)


@dataclass(slots=True, kw_only=True)
class Unsettled:
    """One held item, its attempt, and what is known of it. `inherited`: from an earlier run."""

    held: UnsettledItem
    age: Age
    inherited: bool
    in_flight: bool = field(default=False, init=False)  # a task has its in-flight slot now
    lingering: bool = field(default=False, init=False)  # it has no in-flight slot any more

    @property
    def item(self) -> PendingItem:
        return self.held.item


class _Step(Enum):
    """What one try has shown."""

    SETTLED = auto()  # the item is not held any more
    LEFT = auto()  # no further try in this run would settle it
    AGAIN = auto()


class Settler:
    """Settles the held items of a run, each in a coroutine of its own."""

    def __init__(self, run: Run, uploader: Uploader) -> None:
        context, state = run.context, run.state
        self._settings = context.settings
        self._selected = context.selected
        self._sender = context.sender
        self._journal = context.journal
        self._provider = context.provider
        self._limiter = context.limiter
        self._gate = context.gate
        self._scheduler = context.scheduler
        self._clock = context.clock
        self._free = context.free
        self._uploader = uploader
        self._stats = state.stats
        self._control = state.control
        self._breaker = state.breaker
        self._in_flight = state.in_flight_slots
        self._submissions = state.submission_slots
        self._retry_queue = state.retry_queue
        self._recorder = run.recorder
        self._failures = run.failures
        self._at_once = anyio.Semaphore(AT_ONCE)
        self._clock_was_set_back = False

    async def settle_earlier(self, tasks: TaskGroup) -> None:
        """Start to settle each item that an earlier run left held."""
        if self._provider.capabilities.request_ids is RequestIds.NONE:
            return
        try:
            await self._start_to_settle(tasks)
        except JournalError as error:
            self._recorder.journal_failed(error)

    async def _start_to_settle(self, tasks: TaskGroup) -> None:
        after = ""
        while page := await self._journal.unsettled_items(after, PAGE):
            if not after:
                self._clock_was_set_back = await self._journal.latest_time() > self._clock.wall()
            for held in page:
                age = Age(self._clock, held.item.started_at)
                self._in_flight.force_acquire()
                tasks.start_soon(self.settle, Unsettled(held=held, age=age, inherited=True))
            after = page[-1].item.key

    async def settle(self, unsettled: Unsettled) -> None:
        """Settle an item if it can be settled in this run; its in-flight slot is ours."""
        try:
            with self._control.cancel_settling():
                await self._try_until_settled(unsettled)
        except JournalError as error:
            self._recorder.journal_failed(error)
        finally:
            if unsettled.lingering:
                self._in_flight.finish()
            elif not unsettled.in_flight:
                self._in_flight.release()

    async def _try_until_settled(self, unsettled: Unsettled) -> None:
        ids, retries = self._provider.capabilities.request_ids, self._settings.retries
        step = self._ask if ids is RequestIds.TASK_ID else self._repeat
        began = self._clock.monotonic()
        for tries in itertools.count(1):
            if tries > 1 or not unsettled.inherited:  # a request that was cut off may yet arrive
                wait = backoff(tries, retries, self._clock.random)
                await anyio.sleep(retries.cap if unsettled.lingering else max(retries.base, wait))
            async with self._at_once:
                if await step(unsettled, tries) is not _Step.AGAIN:
                    return
            if tries >= retries.max_tries:
                waited = self._clock.monotonic() - began
                if ids is not RequestIds.TASK_ID or not self._may_ask_on(waited):
                    return
                if not unsettled.lingering:
                    unsettled.lingering = True
                    self._in_flight.release_and_linger()

    def _may_ask_on(self, waited: float) -> bool:
        """Return whether a service that cannot be asked may be back while the run goes on."""
        return self._control.submitting and waited < self._settings.timeouts.outage

    # The request id is the task's id.

    async def _ask(self, unsettled: Unsettled, tries: int) -> _Step:
        """Ask the service whether it has the task."""
        await self._gate.wait()
        try:
            exists = await self._provider.exists(unsettled.held.request_id)
        except ApiError as error:
            decision, _ = self._failures.handle(error, Call.QUERY, tries)
            refused = decision is RetryDecision.RETRY_UNKNOWN
            if refused and tries >= self._settings.retries.max_tries:
                return _Step.LEFT
            return _Step.AGAIN if decision.sends_again else _Step.LEFT
        self._failures.call_succeeded()
        if not exists and not (self._free and unsettled.held.free):
            task_id = unsettled.held.request_id
            return await self._leave(
                unsettled,
                f"the submission got no response, and the service has no task {task_id}; it may "
                "have been paid for all the same, so it is not sent again",
            )
        with anyio.CancelScope(shield=True):
            await (self._attach(unsettled) if exists else self._submit_anew(unsettled))
        return _Step.SETTLED

    async def _attach(self, unsettled: Unsettled) -> None:
        task_id = unsettled.held.request_id
        attached = Change(key=unsettled.item.key, event=Event.ATTACHED, task_id=task_id)
        try:
            await self._recorder.record(attached)
        except TaskIdTaken as error:
            await self._leave(unsettled, str(error))
        else:
            if not unsettled.inherited:
                self._breaker.accepted()
            self._poll(unsettled, Submitted(task_id=task_id))

    async def _submit_anew(self, unsettled: Unsettled) -> None:
        """Make an item pending that the service has certainly never accepted."""
        key = unsettled.item.key
        self._retry_queue.announce(key)
        message = f"the service has no task {unsettled.held.request_id}; it is submitted again"
        change = Change(key=key, event=Event.NOT_SUBMITTED, reason="not-submitted", message=message)
        await self._recorder.record(change)
        if not unsettled.inherited:
            self._stats.paid -= 1
        self._retry_queue.add(await self._journal.pending_item(key))

    # The request id is an idempotency key.

    async def _repeat(self, unsettled: Unsettled, tries: int) -> _Step:
        """Send the identical request with the same key again, if that cannot be paid again."""
        item = unsettled.item
        if not item.listed or not is_selected(item.position, self._selected):
            return _Step.LEFT  # it may be paid only now
        params = await self._uploader.known_params(item)
        version = self._provider.capabilities.version
        if params is None or (
            request_digest(self._sender, version, item.workflow, params)
            != unsettled.held.request_digest
        ):
            return await self._leave(
                unsettled,
                "the submission got no response, and the same request cannot be sent again: the "
                "API key, an upload or the description of the service is another one now",
            )
        await self._submissions.acquire()
        try:
            acquired_at = await self._limiter.acquire()
            if (why := self._too_late(unsettled)) is not None:
                return await self._leave(unsettled, why)
            if not self._control.repeating:
                return _Step.LEFT
            with anyio.CancelScope(shield=True):
                error = await self._send(unsettled, params, acquired_at)
        finally:
            self._submissions.release()
        if error is None:
            return _Step.SETTLED
        self._failures.handle(error, Call.SUBMIT, tries)
        if error.failure not in _TRANSIENT:
            return _Step.LEFT
        await anyio.sleep(min(error.retry_after or 0.0, self._settings.retries.longest_pause))
        return _Step.AGAIN

    async def _send(
        self, unsettled: Unsettled, params: dict[str, object], acquired_at: float
    ) -> ApiError | None:
        """Commit that the request is repeated, send it, and commit its outcome."""
        key, workflow = unsettled.item.key, unsettled.item.workflow
        await self._recorder.record(Change(key=key, event=Event.SUBMIT_REPEATED))
        await self._limiter.align(acquired_at)
        try:
            if (why := self._too_late(unsettled)) is not None:  # the commit took long
                raise ApiError(why, failure=Failure.REJECTED, word=Failure.NO_RESPONSE.value)
            submitted = await self._provider.submit(workflow, params, unsettled.held.request_id)
        except ApiError as error:
            message = f"sent again with the same idempotency key, which proves nothing: {error}"
            message = with_candidate(message, error.candidate, unsettled.held.message)
            unsettled.held = replace(unsettled.held, message=message)
            await self._recorder.record_outcome(
                Change(key=key, event=Event.SUBMIT_UNANSWERED, reason=error.reason, message=message)
            )
            if error.failure is Failure.LIMITED:
                longest = self._settings.retries.longest_pause
                self._stats.limited += 1
                pause = min(error.retry_after or 0.0, longest) or None
                self._limiter.limited(pause, acquired_at=acquired_at)
            return error
        confirmed = Change(
            key=key,
            event=Event.SUBMIT_CONFIRMED,
            task_id=submitted.task_id,
            urls=submitted.urls,
        )
        if not await self._recorder.record_outcome(confirmed):
            return ApiError("the journal did not take the task id", failure=Failure.REJECTED)
        self._limiter.accepted()
        self._breaker.accepted()
        self._failures.call_succeeded()
        self._poll(unsettled, submitted)
        return None

    def _too_late(self, unsettled: Unsettled) -> str | None:
        """Return why the service may not know the key any more when the request arrives."""
        age = unsettled.age
        if unsettled.inherited and (self._clock_was_set_back or age.started_later):
            return (
                "the submission got no response, and this computer's clock was set back since, so "
                "whether the service still knows its idempotency key is unknown"
            )
        limit = self._provider.capabilities.repeat_within
        if age.seconds + self._settings.timeouts.submit > limit:
            return (
                "the submission got no response, and the service keeps an idempotency key for "
                f"{duration(limit)} only, so it is not sent again"
            )
        return None

    # Either.

    async def _leave(self, unsettled: Unsettled, why: str) -> _Step:
        """Leave the item held, and say why it was not settled, once."""
        message = with_candidate(why, None, unsettled.held.message)
        if message != unsettled.held.message:
            key = unsettled.item.key
            await self._recorder.record(Change(key=key, event=Event.NOT_SETTLED, message=message))
        return _Step.LEFT

    def _poll(self, unsettled: Unsettled, submitted: Submitted) -> None:
        """Give the task, which is found, to the pollers."""
        item, unsettled.in_flight = unsettled.item, True
        if unsettled.lingering:
            self._in_flight.force_acquire()
        task = InFlight(
            key=item.key,
            task_id=submitted.task_id,
            workflow=item.workflow,
            name=item.name,
            attempt=item.attempt,
            attempts=item.attempts if item.listed else item.attempt,
            submitted_at=self._clock.wall(),
            since=self._clock.monotonic(),
            inherited=unsettled.inherited,
            has_result=bool(submitted.urls),
            free=unsettled.held.free,
        )
        self._scheduler.add(task, seen_before=unsettled.inherited)
