"""Process one shard with the stages of a run.

A shard may have been processed before, by this worker or by one that was killed: what is done is
skipped, a task whose id is known is polled, an intent without an outcome is held, and the rest is
submitted.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal

import anyio

from batch_runner.cluster.contents import read_input
from batch_runner.cluster.leases import CutOff, Leases
from batch_runner.engine.build import SharedParts, build_run
from batch_runner.engine.context import Run
from batch_runner.engine.run import run_stages
from batch_runner.engine.selection import SelectedItems
from batch_runner.engine.summary import ExitCode, StopReason
from batch_runner.errors import IllegalTransition, JournalError
from batch_runner.jobdir.claims import JobClaims
from batch_runner.jobdir.fallback_log import FallbackLog
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal.base import LeaseLost
from batch_runner.journal.postgres import shards
from batch_runner.journal.postgres.figures import Figures
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.journal.postgres.shard_journal import (
    ShardJournal,
    ShardStart,
    interrupted_items,
    read_start,
)
from batch_runner.journal.postgres.shards import Lease, Stop
from batch_runner.journal.sql import queries
from batch_runner.journal.sql.journal import interrupted
from batch_runner.lifecycle import Event
from batch_runner.providers.base import Provider
from batch_runner.settings import Limits, Settings
from batch_runner.units import Price, Prices

log = logging.getLogger(__name__)

#: Seconds between two looks at the leases, and while other shards may give back what they reserved.
LOOK_EVERY, WAIT_FOR_ALLOWANCE = 0.5, 1.0
#: Reasons to stop for which another worker, or this one later, processes the shard.
_UNFINISHED = frozenset({"lease", "worker"})
#: Reasons to stop that other hosts may not have: the service cannot be reached from here.
_OF_THIS_HOST = frozenset({"outage", "breaker", "proxy", "redirected", "local"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """What a worker has open of a job, for all of its shards."""

    folder: JobFolder
    journal: PostgresJournal
    provider: Provider
    settings: Settings
    parts: SharedParts
    leases: Leases
    sender: str
    uploads: dict[str, str] | None  # to this host's own server, by SHA-256; None: there is none
    claims: JobClaims


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardJob:
    """A shard as the job of a run; see `engine.build.RunnableJob`."""

    folder: JobFolder
    journal: ShardJournal
    fallback_log: FallbackLog
    claims: JobClaims


class ShardRun:
    """The processing of one shard."""

    def __init__(
        self,
        worker: WorkerParts,
        lease: Lease,
        on_last_page: Callable[[], None],
        learned: Callable[[], dict[str, str]],
    ) -> None:
        """Begin nothing yet.

        Args:
            worker: what the worker has open
            lease: of the shard
            on_last_page: called when few items of the shard are left to submit
            learned: returns what other shards of the worker have learned about durations
        """
        self._worker = worker
        self._lease = lease
        self._on_last_page = on_last_page
        self._learned = learned
        self._run: Run | None = None
        self._stop: StopReason | None = None  # before the run has begun
        self._last: tuple[int, StopReason | None] = 0, None  # `late` and stop of the last run
        self._gave_up: str | None = None  # why, for a reason that others may not have
        self.nearly_submitted = False  #: few items are left to submit

    @property
    def shard(self) -> int:
        return self._lease.shard

    @property
    def learned(self) -> dict[str, str]:
        """Return what the run has learned about durations so far."""
        return {} if self._run is None else self._run.context.scheduler.learned()

    @property
    def figures(self) -> Figures:
        """Return what the run has done so far."""
        if self._run is None:
            return Figures()
        stats = self._run.state.stats
        return Figures(
            submissions=stats.paid,
            polls=stats.polls,
            limited=stats.limited,
            retries=stats.retries,
        )

    @property
    def demand(self) -> int:
        """Return how many items could be submitted now."""
        if self._run is None or not self._run.state.control.submitting:
            return 0
        stats, cap = self._run.state.stats, self._run.context.settings.limits.max_submissions
        left = stats.to_submit if cap is None else cap - stats.spent - stats.reserved
        # At the cap it is one: the submission that gets its slot finds that out.
        return min(stats.to_submit, max(1, left))

    def shut_down(self, reason: str, message: str) -> None:
        """End as soon as the submissions that were sent are journaled."""
        self._stop = StopReason(reason, message, ExitCode.STOPPED)
        if self._run is not None:
            self._run.state.control.shut_down(self._stop)

    async def process(self, fallback_log: FallbackLog) -> None:
        """Process the shard; what is left of it when the run is stopped, any worker may process.

        Raises:
            CutOff: the service cannot be reached.
            JournalError: the database cannot be used.
        """
        finished = False
        try:
            while not finished and not await self._is_stopped(fallback_log):
                finished = await self._finish()
        finally:
            if not finished and next(fallback_log.entries(), None) is None:
                with anyio.CancelScope(shield=True), suppress(JournalError):
                    await self._leave()

    async def _is_stopped(self, fallback_log: FallbackLog) -> bool:
        """Process the shard as far as one run can; return whether it was stopped before."""
        while True:
            await self._settle_interrupted()
            start = await self._worker.journal.call(lambda one: read_start(one, self.shard))
            settings = await self._within_caps(start)
            stop = await self._run_once(start, settings, fallback_log)
            reason, message = ("", "") if stop is None else (stop.reason, stop.message)
            if reason == "journal":
                raise JournalError(message)
            if reason in _UNFINISHED:
                return True
            if reason in _OF_THIS_HOST and not start.given_up:
                self._gave_up = reason
                raise CutOff(message)
            if not await self._may_get_more(stop, settings):
                self._last = start.late, stop
                return False

    async def _finish(self) -> bool:
        """Record that the shard is finished; return False if it is not, after all."""
        # An intent that another worker committed just before its lease was taken.
        await self._settle_interrupted(Event.SUBMIT_INTERRUPTED)
        end = await self._worker.journal.call(lambda one: read_start(one, self.shard))
        lease, cost = self._lease, _cost(self._worker.settings.limits.price, end.spent)
        late, stop = self._last
        ended = None if stop is None else _stop_of(stop, self._worker.settings.limits)
        finished = await self._worker.journal.call(
            lambda connection: shards.finish_shard(connection, lease, cost, ended, late)
        )
        if ended is not None and ended.reason != "cap":  # what it shows is so for all shards
            await self._worker.journal.call(
                lambda connection: shards.stop_run(connection, lease.run, ended)
            )
        return finished

    async def _leave(self) -> None:
        lease, why = self._lease, self._gave_up
        await self._worker.journal.call(
            lambda connection: shards.leave_shard(connection, lease.shard, lease.number, why)
        )

    async def _settle_interrupted(self, only: Event | None = None) -> None:
        """Move what was interrupted to where a run can continue, as the start of a run does.

        `only`: only what has this event; None: all.
        """
        journal = self._worker.journal
        for key, event in await journal.call(lambda one: interrupted_items(one, self.shard)):
            if only not in (None, event):
                continue
            try:
                change = interrupted(key, event, by="worker")
                await journal.record_under(self._lease.number, change)
            except (IllegalTransition, LeaseLost) as error:
                log.info("shard %d: %s", self.shard, error)

    async def _within_caps(self, start: ShardStart) -> Settings:
        """Return the settings with what this shard may spend as its caps."""
        settings, limits = self._worker.settings, self._worker.settings.limits
        if limits.max_submissions is None and limits.max_cost is None:
            return settings
        wanted = {name: count * start.most_attempts for name, count in start.pending.items()}
        wanted_cost = _cost(limits.price, wanted)
        paid, most_cost = _cost(limits.price, start.spent), limits.max_cost
        granted, cost = await self._worker.journal.call(
            lambda connection: shards.reserve(
                connection,
                self._lease,
                paid_cost=paid,
                wanted=sum(wanted.values()),
                wanted_cost=wanted_cost,
                most=limits.max_submissions,
                most_cost=None if most_cost is None else most_cost.amount,
            )
        )
        own = limits.model_copy(
            update={
                "max_submissions": sum(start.spent.values()) + granted,
                "max_cost": most_cost and Price(paid + cost, most_cost.currency),
            }
        )
        return settings.model_copy(update={"limits": own})

    async def _may_get_more(self, stop: StopReason | None, settings: Settings) -> bool:
        """Return whether the caps may leave more for this shard, after some time.

        It is so while other shards hold what they may not need.
        """
        if stop is None or stop.reason != "cap" or settings is self._worker.settings:
            return False
        others = await self._worker.journal.call(
            lambda connection: shards.others_hold_allowances(connection, self.shard)
        )
        if others:
            await anyio.sleep(WAIT_FOR_ALLOWANCE)
        return others

    async def _run_once(
        self, start: ShardStart, settings: Settings, fallback_log: FallbackLog
    ) -> StopReason | None:
        worker, order = self._worker, self._worker.leases.order
        start = replace(start, learned=start.learned | self._learned())
        job = ShardJob(
            folder=worker.folder,
            journal=ShardJournal(worker.journal, self._lease, start, worker.uploads),
            fallback_log=fallback_log,
            claims=worker.claims,
        )
        run = build_run(
            job,
            settings,
            worker.provider,
            parts=worker.parts,
            may_send=functools.partial(worker.leases.allows, self._lease),
            read_input=functools.partial(read_input, worker.journal),
            deadline=None if order.deadline is None else order.deadline - time.time(),
            selected=None if order.selected is None else SelectedItems(order.selected),
            sender=worker.sender,
        )
        self._run = run
        run.state.control.on_last_page = self._last_page
        self._worker.leases.renew_soon()
        if self._stop is not None:
            run.state.control.shut_down(self._stop)
        try:
            async with anyio.create_task_group() as beside:
                beside.start_soon(self._watch, run)
                await run_stages(run)
                beside.cancel_scope.cancel()
        finally:
            run.state.in_flight_slots.give_back()
            run.state.submission_slots.give_back()
        if (stop := run.state.control.stop) is not None and stop.reason == "journal":
            return stop
        learned = run.context.scheduler.learned()
        await worker.journal.call(lambda connection: queries.keep_learned(connection, learned))
        return stop

    def _last_page(self) -> None:
        self.nearly_submitted = True
        self._on_last_page()

    async def _watch(self, run: Run) -> None:
        """Stop the run when its lease is lost, or as the order of the run says."""
        control, leases = run.state.control, self._worker.leases
        deadline = run.context.deadline
        while True:
            stop = leases.stop
            if not leases.allows(self._lease):
                self.shut_down("lease", "the lease of the shard was not renewed in time")
            elif stop is not None:
                control.stop_submitting(reason_of(stop))
            elif deadline is not None and deadline.left <= 0:
                self.shut_down("deadline", "the deadline is reached")
            await anyio.sleep(LOOK_EVERY)


def reason_of(stop: Stop) -> StopReason:
    """Return a stop that the database has as the engine's."""
    return StopReason(stop.reason, stop.message, ExitCode(stop.exit_code))


def _stop_of(stop: StopReason, limits: Limits) -> Stop:
    """Return why a shard stopped early; a cap is named as that of the job."""
    message = stop.message
    if stop.reason == "cap":
        most = limits.max_submissions
        cap = str(limits.max_cost) if most is None else f"{most} submissions"
        message = f"the spend cap of {cap} is reached"
    return Stop(reason=stop.reason, message=message, exit_code=int(stop.exit_code))


def _cost(prices: Prices | None, submissions: Mapping[str, int]) -> Decimal:
    """Return the cost of submissions, 0 if a price is not known: then there is no cap on it."""
    cost = None if prices is None else prices.cost(submissions)
    return Decimal(0) if cost is None else cost.amount
