"""Decide when a submission may be sent; keep the slots and the token that it uses."""

from __future__ import annotations

import logging
from decimal import Decimal
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel

from batch_runner.engine.context import RunContext
from batch_runner.engine.slots import Slots
from batch_runner.engine.state import RunState
from batch_runner.engine.stats import RunStats
from batch_runner.engine.summary import ExitCode, StopReason
from batch_runner.errors import DiskFailed
from batch_runner.journal.records import PendingItem
from batch_runner.units import Price, Prices

log = logging.getLogger(__name__)

#: Most seconds that an item is delayed, whatever the service asks for.
LONGEST_WAIT = 86400.0


class Ticket:
    """What one submission uses: two slots, a rate token, and a reservation under the spend cap.

    `async with` takes the slots and, at the end, releases what the ticket still has. The
    coroutine that sends the submission enters it again after `hand_over`.
    """

    def __init__(self, in_flight: Slots, submissions: Slots, stats: RunStats) -> None:
        self._in_flight = in_flight
        self._submissions = submissions
        self._stats = stats
        self._taken: list[Slots] = []
        self._reserved = False
        self._cost = Decimal(0)  # of the submission, as long as it may be paid
        self._handed_over = False
        self.acquired_at = 0.0  #: when the rate token was given, in event loop time

    async def __aenter__(self) -> Self:
        if self._handed_over:
            self._handed_over = False
            return self
        try:
            for slots in (self._in_flight, self._submissions):
                await slots.acquire()
                self._taken.append(slots)
        except BaseException:
            self._release()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._handed_over:
            self._release()

    def hand_over(self) -> Self:
        """Leave everything to the coroutine that enters the ticket next."""
        self._handed_over = True
        return self

    def admit(self, acquired_at: float, price: Price | None) -> None:
        """Reserve a submission under the spend caps, with the rate token given at that time.

        `price` is that of the submission, None if it is unknown.
        """
        self.acquired_at = acquired_at
        if price is not None:
            self._cost = price.amount
            self._stats.committed += self._cost
        self._reserved = True
        self._stats.reserved += 1

    def release_reservation(self) -> None:
        """Give the reserved submission back: it is counted as spent now, or was not sent."""
        if self._reserved:
            self._reserved = False
            self._stats.reserved -= 1

    def refund(self) -> None:
        """Take the cost of the submission back: it was not sent, or is not paid."""
        self._stats.committed -= self._cost
        self._cost = Decimal(0)

    def keep_in_flight(self) -> None:
        """Leave the in-flight slot to the task, which releases it when it is finished."""
        self._taken.remove(self._in_flight)

    def _release(self) -> None:
        if self._reserved:
            self.refund()
        self.release_reservation()
        while self._taken:
            self._taken.pop().release()


class Admission:
    """Decides when a submission may be sent: slots, spend cap, breaker, deadline, disk, rate."""

    def __init__(self, context: RunContext, state: RunState) -> None:
        self._settings = context.settings
        self._prices = context.settings.limits.price or Prices(None)
        self._limiter = context.limiter
        self._scheduler = context.scheduler
        self._files = context.files
        self._clock = context.clock
        self._deadline = context.deadline
        self._stats = state.stats
        self._control = state.control
        self._breaker = state.breaker
        self._in_flight = state.in_flight_slots
        self._submissions = state.submission_slots

    def ticket(self) -> Ticket:
        """Return a ticket for one submission; entering it waits for the slots."""
        return Ticket(self._in_flight, self._submissions, self._stats)

    async def wait_for_admission(self, item: PendingItem, ticket: Ticket) -> None:
        """Wait until the submission may be sent, then admit the ticket; or stop submitting.

        The token is acquired last: nothing may come between it, the check of the spend cap, and
        the submission.
        """
        if item.not_before is not None:
            await self._wait_until(item.not_before, item)
        while True:
            pause = await self._wait_out_breaker()
            await self._wait_for_cap(item)
            acquired_at = await self._limiter.acquire()
            await self._check(item)
            alone = not self._stats.unconfirmed
            unchanged = not self._cap_reached(item) and self._breaker.pause == pause
            if unchanged and (alone or not pause):
                break  # nothing has changed while the token was waited for
        ticket.admit(acquired_at, self._prices.of(item.workflow))

    async def wait_before_upload(self, item: PendingItem) -> None:
        """Wait for the spend cap, and check deadline and disk: no file is uploaded in vain."""
        await self._wait_for_cap(item)
        await self._check(item)

    async def _wait_until(self, time: float, item: PendingItem) -> None:
        # Not longer than was asked for: the clock may have been ahead when `time` was stored.
        asked = LONGEST_WAIT if item.started_at is None else time - item.started_at
        seconds = min(time - self._clock.wall(), asked)
        if seconds > self._settings.retries.longest_pause:
            self._control.stop_for_retry_after(seconds)
        await anyio.sleep(max(0.0, seconds))

    async def _wait_out_breaker(self) -> float:
        """Wait while the circuit breaker pauses, then until no other submission is unconfirmed.

        Returns the pause in seconds that was waited, 0 if there was none.
        """
        while pause := self._breaker.pause:
            if self._stats.unconfirmed:
                await self._submissions.wait_for_release()
                continue
            log.warning("the service does not answer clearly: no submission for %.0f s", pause)
            await anyio.sleep(pause)
            if not self._stats.unconfirmed:
                return pause
        return 0.0

    def _cap_reached(self, item: PendingItem) -> str | None:
        """Return why no cap allows the submission of the item, None if all do."""
        limits, stats = self._settings.limits, self._stats
        most, cost = limits.max_submissions, limits.max_cost
        if most is not None and stats.spent + stats.reserved >= most:
            return f"the spend cap of {most} submissions is reached"
        if cost is not None:
            price = self._prices.of(item.workflow)
            if price is None or price.currency != cost.currency:
                return f"limits.max_cost needs the price of {item.workflow}; see limits.price"
            if stats.committed + price.amount > cost.amount:
                return f"the spend cap of {cost} is reached"
        return None

    async def _wait_for_cap(self, item: PendingItem) -> None:
        """Wait until the spend caps allow a submission; stop submitting if they never will."""
        while reason := self._cap_reached(item):
            if not self._stats.unconfirmed:
                await self._stop(StopReason("cap", reason, ExitCode.STOPPED))
            await self._submissions.wait_for_release()  # one may turn out not to be paid

    async def _check(self, item: PendingItem) -> None:
        """Stop submitting if deadline or disk allow no submission."""
        if (stop := self._reason_to_stop(item)) is not None:
            await self._stop(stop)

    async def _stop(self, stop: StopReason) -> None:
        """Stop submitting, which cancels the caller."""
        self._control.stop_submitting(stop)
        await anyio.lowlevel.checkpoint()

    def _reason_to_stop(self, item: PendingItem) -> StopReason | None:
        if self._deadline is not None:
            needed = self._scheduler.typical(item.workflow, 0.9) or 0.0
            if needed > self._deadline.left:
                message = "no submission could finish before the deadline"
                return StopReason("deadline", message, ExitCode.STOPPED)
        try:
            free = self._files.free_bytes()
        except DiskFailed as error:
            return StopReason("disk", str(error), ExitCode.STOPPED)
        if free < (least := self._settings.downloads.free_bytes):
            message = (
                f"{free} bytes are free in {self._files.location}, and downloads.free_bytes is "
                f"{least}; free some space"
            )
            return StopReason("disk", message, ExitCode.STOPPED)
        return None
