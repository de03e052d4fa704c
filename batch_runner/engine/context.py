"""What the three stages share during one run."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

import anyio

from batch_runner.engine.circuit_breaker import Breaker
from batch_runner.engine.control import Control, ExitCode, StopReason
from batch_runner.engine.retry_policy import Budget, Call, RetryDecision, backoff, decide
from batch_runner.engine.stats import RunStats
from batch_runner.errors import ApiError, Failure, IllegalTransition, JournalConflict, JournalError
from batch_runner.jobdir.fallback_log import FallbackLog
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import Change, Journal
from batch_runner.journal.records import PendingItem
from batch_runner.polling.scheduler import PollScheduler
from batch_runner.providers import Provider
from batch_runner.ratelimit.base import RateLimiter
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.settings import Settings
from batch_runner.storage.base import FileStore

T = TypeVar("T")

log = logging.getLogger(__name__)


class Slots:
    """A number of places, waited for in turn; tasks of earlier runs may exceed it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.in_use = 0
        self._changed: anyio.Event | None = None  # there while somebody waits

    async def take(self) -> None:
        """Wait for a place and take it."""
        while self.in_use >= self._size:
            await self.changed()
        self.in_use += 1

    @property
    def size(self) -> int:
        """Return how many places there are."""
        return self._size

    def take_anyway(self) -> None:
        """Take a place that may not be there."""
        self.in_use += 1

    def give_back(self) -> None:
        """Free a place."""
        self.in_use -= 1
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def changed(self) -> None:
        """Wait until a place is freed."""
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()


class OutageMonitor:
    """When the service was last heard; says when an outage has lasted too long."""

    def __init__(self, now: float, *, first: float, outage: float) -> None:
        self._since = now
        self._patience = first
        self._outage = outage

    def heard(self, now: float) -> None:
        """Note an answer, whatever it said."""
        self._since = now
        self._patience = self._outage

    def lost(self, now: float) -> bool:
        """Say whether nothing has been heard for longer than is waited for."""
        return now - self._since > self._patience


@dataclass(kw_only=True)
class Shift:
    """One run's parts: what decides, what stores, what speaks to the service."""

    settings: Settings
    journal: Journal
    folder: JobFolder
    emergency: FallbackLog
    provider: Provider
    limiter: RateLimiter
    gate: PauseGate
    schedule: PollScheduler
    random: Random
    clock: Callable[[], float]  # monotonic, the loop's
    wall_clock: Callable[[], float]
    contact: OutageMonitor
    slots: Slots  # tasks in flight
    submission_slots: Slots  # creates on the wire
    offload: Callable[..., Awaitable[Any]]  # how blocking work leaves the loop
    files: FileStore
    deadline: float | None = None  # loop time
    control: Control = field(default_factory=Control)
    breaker: Breaker = field(default_factory=Breaker)
    budget: Budget = field(default_factory=lambda: Budget(20))
    tally: RunStats = field(default_factory=RunStats)
    again: deque[PendingItem] = field(default_factory=deque)  # for another attempt, by policy
    second_attempts: bool = False  # some item may be created again by policy
    unknown_since: dict[str, float] = field(default_factory=dict)  # task id → first 404
    strange_words: set[str] = field(default_factory=set)
    fetches_paused_since: float | None = None  # loop time; None: the latest file was had

    async def commit(self, *changes: Change) -> None:
        """Make one change, or several of which none happens alone; then they are on the disk.

        Queued before anything is awaited, so a cancelled caller loses nothing.

        Raises:
            Overtaken: another run has moved the item; nothing was kept.
            JournalError: nothing was kept.
        """
        try:
            await self.journal.record(*changes)
        except IllegalTransition as error:
            raise JournalConflict(
                f"{error}: another run is at work on this journal, and this one leaves it alone"
            ) from error
        for change in changes:
            self.tally.moved(change.event)

    def commit_soon(self, change: Change) -> None:
        """Queue a change that need not be waited for: a crash before it repeats a free step."""
        self.tally.moved(change.event)
        self.journal.record(change, deferrable=True).add_done_callback(self._look_at)

    def _look_at(self, future: asyncio.Future[None]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            self.journal_failed(error)

    async def read(self, rows: Awaitable[list[T]]) -> list[T]:
        """Return what the journal holds; nothing if it cannot be read, and the run leaves."""
        try:
            return await rows
        except JournalError as error:
            self.journal_failed(error)
            return []

    @property
    def journal_lost(self) -> bool:
        """Say whether the journal takes nothing any more."""
        return self.control.stop is not None and self.control.stop.reason == "journal"

    def journal_failed(self, error: BaseException) -> None:
        """Leave: without a journal nothing may be paid for, and nothing can be kept."""
        log.error("%s", error)
        self.tally.last_problem = str(error)
        self.control.leave(StopReason("journal", str(error), ExitCode.STOPPED))

    def keep_outcome(self, change: Change, error: JournalError) -> None:
        """Keep the outcome of a create that the journal did not take, where the next run looks."""
        entry = {
            "key": change.key,
            "event": change.event.value,
            "task_id": change.task_id,
            "reason": change.reason,
            "message": change.message,
        }
        # Standard error first: it needs no disk, unless it is a file on the same.
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(f"journal failed; outcome of a create kept aside: {entry}\n")
            sys.stderr.flush()
        try:
            self.emergency.append(entry)
        except OSError as problem:
            log.error("%s cannot be written either: %s", self.folder.fallback_log, problem)
        self.journal_failed(error)

    def heed_breaker(self, last: str) -> None:
        """Stop creating if the breaker says so; `last` is what it heard last, for people."""
        if (why := self.breaker.tripped) is not None:
            self.control.stop_creating(
                StopReason("breaker", f"{why}; the last: {last}", ExitCode.UNAVAILABLE)
            )

    def heard(self) -> None:
        """Note that the service answered."""
        self.contact.heard(self.clock())
        self.budget.succeeded()

    def failed_call(self, error: ApiError, call: Call, tries: int) -> tuple[RetryDecision, float]:
        """Note a failed call; return what to do, and in how many seconds if it is sent again."""
        verdict = decide(error.failure, call)
        self.tally.last_problem = str(error)
        log.info("%s", error)
        if error.failure in (Failure.UNSENT, Failure.LOCAL) or error.status is None:
            self._check_contact(error, call)
        elif call is not Call.DOWNLOAD:
            self.contact.heard(self.clock())
        if verdict is RetryDecision.STOP and error.failure is Failure.FORBIDDEN:
            self._stop(StopReason("forbidden", str(error), ExitCode.UNAVAILABLE), call)
        if not verdict.sends_again:
            return verdict, 0.0
        return verdict, self.wait(str(error), tries, free=verdict is RetryDecision.PAUSE)

    def _check_contact(self, error: ApiError, call: Call) -> None:
        if call is not Call.DOWNLOAD and self.contact.lost(self.clock()):
            message = f"the service cannot be reached: {error}"
            self.control.leave(StopReason("outage", message, ExitCode.UNAVAILABLE))

    def _stop(self, stop: StopReason, call: Call) -> None:
        if call is Call.QUERY:
            self.control.leave(stop)
        else:
            self.control.stop_creating(stop)

    def limited_query(self, error: ApiError) -> None:
        """Slow everyone down after a 429 to a status or result request.

        Where it is this machine that is out of something, everyone waits, and no rate is at fault.
        """
        if error.failure is not Failure.LIMITED:
            self.gate.close(self.settings.retries.base)
            return
        self.tally.limited += 1
        longest = self.settings.retries.longest_pause
        self.schedule.limited(min(error.retry_after or 0.0, longest) or None)

    def limited_upload(self, error: ApiError, wait: float) -> None:
        """Let everyone pause after a 429 to an upload; of the rate of creates it says nothing."""
        self.tally.limited += error.failure is Failure.LIMITED
        longest = self.settings.retries.longest_pause
        if error.retry_after is not None and error.retry_after > longest:
            self.asked_to_wait(error.retry_after)
        self.gate.close(max(wait, min(error.retry_after or 0.0, longest)))

    def fetches_paused_too_long(self) -> bool:
        """Say whether files have only been told to wait for longer than a task may take."""
        if self.fetches_paused_since is None:
            self.fetches_paused_since = self.clock()
        return self.clock() - self.fetches_paused_since > self.settings.timeouts.task

    def asked_to_wait(self, seconds: float) -> None:
        """Stop creating: the service wants more time than a run gives it."""
        message = f"the service asks to wait {seconds:.0f} s; the rest is left to the next run"
        self.control.stop_creating(StopReason("limited", message, ExitCode.STOPPED))

    def wait(self, problem: str, tries: int, *, free: bool = False) -> float:
        """Return the seconds before a request is sent again because of a problem.

        It is paid for from the host's budget, unless it is `free`.
        """
        retries = self.settings.retries
        self.tally.retries += 1
        self.tally.tried_again = problem
        quick = free or self.budget.take()
        return backoff(tries, retries, self.random) if quick else retries.cap
