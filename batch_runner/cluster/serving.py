"""Process the shards of one job, for one of its runs, until none is left to take."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio
import psycopg
from anyio.abc import TaskGroup
from anyio.to_thread import run_sync

from batch_runner.cluster.leases import SPAN, CutOff, Leases
from batch_runner.cluster.local_state import AbandonedLog, LocalState
from batch_runner.cluster.shard_run import ShardRun, WorkerParts
from batch_runner.engine.build import build_clock, build_parts, within_capacity
from batch_runner.engine.request_ids import sender_of
from batch_runner.errors import JournalError
from batch_runner.jobdir.claims import JobClaims
from batch_runner.jobdir.marker import Marker
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.recovery import replay_fallback_log
from batch_runner.journal.base import DatabaseRestored
from batch_runner.journal.postgres import shards
from batch_runner.journal.postgres.connection import Mark, PostgresConnection
from batch_runner.journal.postgres.figures import Figures, keep_figures
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.journal.postgres.shards import Lease, RunOrder
from batch_runner.providers import open_provider
from batch_runner.ratelimit.base import SharedTokens
from batch_runner.ratelimit.postgres import PostgresRate
from batch_runner.settings import Service, Settings
from batch_runner.units import Rate
from batch_runner.util.locale import tr
from batch_runner.util.postgres import reason_of

log = logging.getLogger(__name__)

#: Seconds after which a worker that has room for a shard looks for one again.
LOOK_EVERY = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedJob:
    """A job of the cluster, one of its runs, and what a worker of this host needs to process it."""

    dsn: str
    schema: str
    account: str  # name of the rate of the service and key
    folder: JobFolder
    service: Service
    settings: Settings
    order: RunOrder
    state: Path  # the user's state folder
    own_server: bool  # each host has one of its own, and keeps the rate of it
    worker: str  # name of this process in the job
    before: Figures = field(default_factory=Figures)  # what it has done for the run
    approvals: int = 0  # how often a person has accepted an older database
    span: float = SPAN  # seconds until a lease expires


class Serving:
    """The shards that this worker processes of a job."""

    def __init__(self, job: ServedJob, parts: WorkerParts, local: LocalState) -> None:
        self._job = job
        self._parts = parts
        self._local = local
        self._leases = parts.leases
        self._running: dict[int, ShardRun] = {}
        self._ended = job.before  # of shards that have ended
        self._changed = asyncio.Event()
        self._stopping = False
        self._failure: Exception | None = None
        self._leases.demand = self._demand

    def _demand(self) -> int:
        return sum(shard.demand for shard in self._running.values())

    @property
    def figures(self) -> Figures:
        """Return what this worker has done for the run."""
        return sum((shard.figures for shard in self._running.values()), self._ended)

    def stop(self) -> None:
        """Submit nothing more, and leave the tasks in flight to other workers."""
        self._stopping = True
        self._changed.set()

    async def process_shards(self) -> None:
        """Process shards until there is none to take, or `stop`.

        Raises:
            CutOff: the service cannot be reached from this host.
            JournalError: the database cannot be used.
            OSError: the state folder cannot be used.
        """
        await self._leases.renew()
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._keep_leases)
            async with anyio.create_task_group() as processed:
                await self._take_shards(processed)
                if self._running:
                    log.info("this worker ends; others take over its tasks in flight")
                for shard in self._running.values():
                    shard.shut_down("worker", "the worker ends")
            beside.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure
        await self._renewed()

    async def _keep_leases(self) -> None:
        try:
            await self._leases.keep(self._renewed)
        except DatabaseRestored as error:
            self._failure = error
            self._changed.set()

    async def _take_shards(self, processed: TaskGroup) -> None:
        """Take a shard whenever the last one is nearly submitted, until none is left.

        A worker that holds few items to submit leaves few behind when it is killed. What another
        one has left is taken at once, as tasks may be in flight, but not all by the same worker. A
        worker with a server of its own leaves to the others what that cannot take at once.
        """
        while not self._stopping and self._failure is None:
            busy = not self._may_take()
            if (lease := await self._take(only_left=busy)) is not None:
                processed.start_soon(self._process, lease)
            elif not self._running:
                return
            if lease is None or busy:
                with anyio.move_on_after(LOOK_EVERY):
                    await self._changed.wait()
                self._changed.clear()

    def _may_take(self) -> bool:
        if not all(one.nearly_submitted for one in self._running.values()):
            return False
        return not self._job.own_server or self._demand() < self._leases.capacity

    async def _take(self, *, only_left: bool) -> Lease | None:
        take = functools.partial(
            shards.take_shard,
            worker=self._leases.worker,
            run=self._job.order.run,
            span=self._job.span,
            own=tuple(self._running),
            only_left=only_left,
        )
        try:
            lease = await self._parts.journal.call(take)
        except JournalError as error:
            self._failure = error
            return None
        if lease is not None:
            self._leases.held[lease.shard] = lease.number
            changed = self._changed.set
            self._running[lease.shard] = ShardRun(self._parts, lease, changed, self._learned)
        return lease

    def _learned(self) -> dict[str, str]:
        """Return what the shards in progress have learned; one that ends stores it itself."""
        learned: dict[str, str] = {}
        for shard in self._running.values():
            learned |= shard.learned
        return learned

    async def _process(self, lease: Lease) -> None:
        shard = self._running[lease.shard]
        try:
            with self._local.new_log(lease) as fallback_log:
                await shard.process(fallback_log)
        except (JournalError, CutOff, OSError) as error:
            self._failure = self._failure or error
        finally:
            del self._running[lease.shard]
            self._ended += shard.figures
            self._changed.set()

    async def _renewed(self) -> None:
        figures = self.figures
        worker, run = self._leases.worker, self._job.order.run
        await self._parts.journal.call(
            lambda connection: keep_figures(connection, worker, run, figures)
        )
        await run_sync(self._write_mark, self._parts.journal.mark)

    def _write_mark(self, mark: Mark) -> None:
        self._local.write_mark(mark, self._job.approvals)
        with suppress(OSError), closing(Marker(self._job.folder)) as marker:
            marker.set_last_event(mark.event)


@asynccontextmanager
async def open_serving(job: ServedJob) -> AsyncIterator[Serving]:
    """Open what a worker needs to process shards of `job`.

    Outcomes that an earlier worker of this host could not store are stored first.

    Raises:
        DatabaseRestored: the database is older than what this host knows of it.
        JournalError: the database cannot be used.
        OSError: the state folder cannot be used.
    """
    async with AsyncExitStack() as stack:
        local = LocalState(job.state, job.schema)
        await run_sync(local.prepare)
        place, folder = (job.dsn, job.schema), job.folder
        journal = await run_sync(open_checked, *place, folder, local, job.approvals)
        stack.callback(journal.close)
        stack.callback(lambda: local.write_mark(journal.mark, job.approvals))
        journal.start()
        await journal.call(lambda one: shards.give_back(one, job.worker))  # what it had before
        stack.push_async_callback(_give_back, journal, job.worker)
        provider = await stack.enter_async_context(open_provider(job.service, job.settings))
        settings, clock = within_capacity(job.settings, provider.capabilities), build_clock()
        limits = settings.limits
        parts = build_parts(
            settings,
            clock,
            many_hosts=True,
            shared_rate=await _open_rate(stack, job, "", limits.rate),
            shared_poll_rate=await _open_rate(stack, job, " polls", limits.poll_rate),
        )
        leases = Leases(
            journal=journal,
            worker=job.worker,
            slots=parts.in_flight_slots,
            order=job.order,
            most_in_flight=job.settings.limits.in_flight,
            capacity=limits.in_flight,
            per_second=limits.rate.per_second,
            span=job.span,
        )
        opened = WorkerParts(
            folder=job.folder,
            journal=journal,
            provider=provider,
            settings=settings,
            parts=parts,
            leases=leases,
            sender=sender_of(job.service.base_url, job.service.key.get_secret_value()),
            uploads={} if job.own_server else None,
            claims=JobClaims(job.folder, None, None),  # `run` keeps those of the user
        )
        yield Serving(job, opened, local)


def open_checked(
    dsn: str, schema: str, folder: JobFolder, local: LocalState, approvals: int
) -> PostgresJournal:
    """Open a journal, and store the outcomes that earlier workers of this host could not store.

    Raises:
        DatabaseRestored: the database is older than what this host knows of it.
        JournalError: the database cannot be used.
        OSError: the state folder cannot be used.
    """
    journal = PostgresJournal.open(dsn, schema)
    try:
        mark, approved = local.read_mark()
        if approved == approvals:
            journal.check_mark(mark)
        if not approvals and (marker := Marker(folder).read()) is not None:
            journal.check_last_event(marker.last_event)  # which other hosts have seen
        for found in local.abandoned_logs():
            _store_outcomes(found, journal, dsn)
    except BaseException:
        journal.close()
        raise
    return journal


def _store_outcomes(found: AbandonedLog, journal: PostgresJournal, dsn: str) -> None:
    """Move the entries of a fallback log into the journal; a worker polls the tasks."""
    apply_unpaid = partial(journal.apply_under, found.lease)
    replay_fallback_log(found.entries, journal, apply_unpaid)
    with PostgresConnection(dsn, journal.schema) as connection:
        shards.leave_shard(connection, found.shard, found.lease)


async def _give_back(journal: PostgresJournal, worker: str) -> None:
    """Let other workers take the shards of this one at once, not only when its leases expire."""
    with suppress(JournalError):
        await journal.call(lambda connection: shards.give_back(connection, worker))


async def _open_rate(
    stack: AsyncExitStack, job: ServedJob, what: str, rate: Rate
) -> SharedTokens | None:
    """Open the rate that all hosts share; None: each host has a server of its own."""
    if job.own_server:
        return None
    shared = PostgresRate(job.dsn, f"{job.account}{what}", rate)
    try:
        await run_sync(shared.open)
    except psycopg.Error as error:
        raise JournalError(
            tr("the journal's database cannot be reached: {error}", error=reason_of(error))
        ) from error
    stack.push_async_callback(run_sync, shared.close)
    return shared
