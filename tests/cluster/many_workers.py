"""Many workers of one job in virtual time, some of which are killed.

Rate limiter, leases, slots and journal are the real ones, on a real PostgreSQL whose functions are
told the virtual time. What a worker does between them is a model without requests and files: it
takes shards, submits the items, asks for each task when it ends, and polls those of another worker
that it takes over. Everything happens in one event loop and over two connections, so a seed decides
all of it.
"""

from __future__ import annotations

import asyncio
import functools
import random
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import anyio
import psycopg

from batch_runner.cluster.leases import SPAN, Leases
from batch_runner.engine.slots import Slots
from batch_runner.journal.base import Change, LeaseLost
from batch_runner.journal.postgres import shards
from batch_runner.journal.postgres.connection import PostgresConnection
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.journal.postgres.shard_journal import interrupted_items
from batch_runner.journal.postgres.shards import Lease, RunOrder
from batch_runner.journal.sql.connection import Connection
from batch_runner.journal.sql.rows import count_by_status
from batch_runner.lifecycle import Event, ItemStatus
from batch_runner.ratelimit.limiter import LocalRateLimiter
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.ratelimit.postgres import PostgresRate, create_rates
from batch_runner.units import Rate
from tests.bench._windows import most_in
from tests.crash.clock import SharedTime, SimulationLoop
from tests.crash.crash import CrashPoint
from tests.crash.inline import InlineCommitter
from tests.harness import some_items
from tests.harness.postgres import PostgresServer, create_journal, new_schema

#: Seconds since the epoch at the start.
START = 1_700_000_000.0
IN_FLIGHT = 1000
#: Seconds: a statement of the rate limiter, a request to the service, and a task, each at random.
STATEMENT, REQUEST, TASK = (0.001, 0.004), (0.02, 0.1), (2.0, 8.0)
LOOK_EVERY = 1.0
_CLOCK = """
CREATE OR REPLACE FUNCTION seconds_now() RETURNS DOUBLE PRECISION LANGUAGE sql VOLATILE AS $$
    SELECT current_setting('simulation.now')::DOUBLE PRECISION
$$;
"""
#: One for each worker.
_SMALL_SHARDS = """
ALTER TABLE items DROP COLUMN shard;
ALTER TABLE items ADD COLUMN shard INTEGER GENERATED ALWAYS AS ((rowid - 1) / {items}) STORED;
CREATE INDEX items_by_shard ON items (shard);
"""
_SHARD = "SELECT key, status FROM items WHERE shard = ? ORDER BY position"


class SimulatedRate(PostgresRate):
    """The part of a worker in the rate, without a thread of its own."""

    async def work(self, connection: psycopg.Connection[Any], rng: random.Random) -> None:
        """Do what the thread does: a statement whenever somebody waits, and each second."""
        self._connection, self._wake = connection, asyncio.Event()  # type: ignore[assignment]
        while True:
            with anyio.move_on_after(LOOK_EVERY):
                await self._wake.wait()  # type: ignore[misc]
            self._wake.clear()
            await asyncio.sleep(rng.uniform(*STATEMENT))
            self._talk()


@dataclass(frozen=True, slots=True)
class Action:
    """A submission that the service accepted, or a poll."""

    at: float
    worker: int
    shard: int
    submitted: str | None  # key of the item; None: a poll


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happened."""

    statuses: Counter[ItemStatus]
    submissions: int
    duplicates: int  # submissions beyond the first of an item
    used: float  # part of the rate, until what is left waits for leases to expire
    fullest: int  # submissions in the fullest second
    pick_up: float  # seconds from a death until another worker goes on with the last of its shards


@dataclass(slots=True, kw_only=True)
class Scene:
    """The database, the service and the workers."""

    time: SharedTime
    rng: random.Random
    rate: Rate
    database: PostgresConnection
    rates: psycopg.Connection[Any]
    actions: list[Action] = field(default_factory=list)
    deaths: list[tuple[float, int, list[int]]] = field(default_factory=list)

    @property
    def now(self) -> float:
        return self.time.now

    def commit_at_virtual_time(self, commit: Callable[[Any], None], batch: Any) -> None:
        self.database.execute("SELECT set_config('simulation.now', ?, false)", (str(self.now),))
        commit(batch)


class SimulatedWorker:
    """One worker process."""

    def __init__(self, scene: Scene, number: int) -> None:
        self._scene, self._number = scene, number
        self._crash = CrashPoint(None, lambda _: None)
        self._journal = PostgresJournal(scene.database, wall_clock=lambda: scene.now)
        self._slots = Slots(IN_FLIGHT)
        self._to_submit: Counter[int] = Counter()  # items, by shard that is processed
        clock = asyncio.get_running_loop().time
        self._rate = SimulatedRate(
            "", "simulation", scene.rate, clock=clock, database_clock=lambda: scene.now
        )
        self._limiter = LocalRateLimiter(
            scene.rate,
            gate=PauseGate(clock, self._rate),
            clock=clock,
            random=scene.rng,
            shared=self._rate,
            renew_late=True,
        )
        self._leases = Leases(
            journal=self._journal,
            worker=f"worker-{number}",
            slots=self._slots,
            order=RunOrder(run=1, settings="{}"),
            most_in_flight=IN_FLIGHT,
            capacity=IN_FLIGHT,
            per_second=scene.rate.per_second,
            demand=self._to_submit.total,
            clock=clock,
        )
        self._started = asyncio.create_task(self._work())

    def kill(self) -> None:
        """End as by kill -9: nothing is written any more."""
        scene = self._scene
        self._crash.killed = True
        scene.deaths.append((scene.now, self._number, sorted(self._to_submit)))
        self._started.cancel()

    async def wait(self) -> None:
        """Wait until the worker ends."""
        await asyncio.wait([self._started])
        if not self._started.cancelled():
            self._started.result()

    async def _work(self) -> None:
        scene = self._scene
        await asyncio.sleep(scene.rng.uniform(0, LOOK_EVERY))
        self._journal.start(self._new_committer)
        await self._leases.renew()
        async with asyncio.TaskGroup() as beside:
            tasks = [
                beside.create_task(self._rate.work(scene.rates, scene.rng)),
                beside.create_task(self._leases.keep(_nothing)),
            ]
            async with asyncio.TaskGroup() as processed:
                while await self._journal.call(shards.unfinished_shards):
                    if (lease := await self._take()) is not None:
                        processed.create_task(self._process(lease))
                    await asyncio.sleep(LOOK_EVERY)
            for task in tasks:
                task.cancel()

    def _new_committer(
        self, commit: Callable[[Any], None], after_commit: Callable[[], None]
    ) -> InlineCommitter:
        timed = functools.partial(self._scene.commit_at_virtual_time, commit)
        return InlineCommitter(timed, after_commit, crash=self._crash, full_from=None)

    async def _take(self) -> Lease | None:
        take = functools.partial(
            shards.take_shard,
            worker=self._leases.worker,
            run=1,
            span=SPAN,
            own=tuple(self._to_submit),
            only_left=self._to_submit.total() > 0,
        )
        lease = await self._journal.call(take)
        if lease is not None:
            self._leases.held[lease.shard] = lease.number
            self._to_submit[lease.shard] = 0
        return lease

    async def _process(self, lease: Lease) -> None:
        """Hold what was interrupted, poll what is in flight, submit the rest."""
        interrupted = functools.partial(interrupted_items, shard=lease.shard)
        for key, event in await self._journal.call(interrupted):
            await self._journal.record_under(lease.number, Change(key=key, event=event))
        query = functools.partial(_rows, shard=lease.shard)
        rows = await self._journal.call(query)
        pending = [key for key, status in rows if status is ItemStatus.PENDING]
        self._to_submit[lease.shard] = len(pending)
        self._leases.renew_soon()
        async with asyncio.TaskGroup() as items:
            for key, status in rows:
                if status is ItemStatus.SUBMITTED:
                    self._slots.force_acquire()
                    items.create_task(self._poll(lease, key))
            for key in pending:
                await self._slots.acquire()
                token = await self._limiter.acquire()
                self._to_submit[lease.shard] -= 1
                items.create_task(self._submit(lease, key, token))
        if self._holds(lease):
            finish = functools.partial(shards.finish_shard, lease=lease, cost=Decimal(0), stop=None)
            await self._journal.call(finish)
        del self._to_submit[lease.shard]

    def _holds(self, lease: Lease) -> bool:
        return self._leases.valid and self._leases.held.get(lease.shard) == lease.number

    async def _submit(self, lease: Lease, key: str, token: float) -> None:
        scene = self._scene
        try:
            started = Change(key=key, event=Event.SUBMIT_STARTED)
            await self._journal.record_under(lease.number, started)
        except LeaseLost:
            self._slots.release()
            return
        await self._limiter.align(token)
        if not self._holds(lease):
            self._slots.release()
            return
        scene.actions.append(Action(scene.now, self._number, lease.shard, key))
        await asyncio.sleep(scene.rng.uniform(*REQUEST))
        confirmed = Change(key=key, event=Event.SUBMIT_CONFIRMED, task_id=f"task-{key}")
        await self._journal.record(confirmed)
        await asyncio.sleep(scene.rng.uniform(*TASK))
        await self._poll(lease, key)

    async def _poll(self, lease: Lease, key: str) -> None:
        scene = self._scene
        scene.actions.append(Action(scene.now, self._number, lease.shard, None))
        await asyncio.sleep(scene.rng.uniform(*REQUEST))
        completed, placed = Event.TASK_COMPLETED, Event.PLACED
        await self._journal.record(Change(key=key, event=completed), Change(key=key, event=placed))
        self._slots.release()


async def _nothing() -> None:
    pass


def _rows(connection: Connection, shard: int) -> list[tuple[str, ItemStatus]]:
    return [(row[0], ItemStatus(row[1])) for row in connection.execute(_SHARD, (shard,))]


def simulate(
    server: PostgresServer, seed: int, *, workers: int, items: int, deaths: int, rate: float
) -> Outcome:
    """Let workers process a job, of which as many are killed, until it is done."""
    schema = new_schema()
    create_rates(server.dsn)
    with closing(create_journal(server, schema)) as journal:
        journal.import_items(some_items(items))
    with (
        PostgresConnection(server.dsn, schema) as database,
        psycopg.connect(server.dsn, autocommit=True) as rates,
    ):
        database.execute_script(_CLOCK + _SMALL_SHARDS.format(items=items // workers))
        shards.want_shards(database, RunOrder(run=1, settings="{}"), None)
        rates.execute("DELETE FROM batch_runner.rates WHERE name = 'simulation'")
        rates.execute("INSERT INTO batch_runner.rates (name) VALUES ('simulation')")
        scene = Scene(
            time=SharedTime(START),
            rng=random.Random(seed),
            rate=Rate(rate, 1.0),
            database=database,
            rates=rates,
        )
        loop = SimulationLoop(scene.time)
        try:
            loop.run_until_complete(_run(scene, workers, deaths, items / rate))
        finally:
            loop.discard()
        return _outcome(scene)


async def _run(scene: Scene, count: int, deaths: int, seconds: float) -> None:
    """Start the workers, and kill some of them in the middle of the job."""
    workers = [SimulatedWorker(scene, number) for number in range(count)]
    moments = sorted(scene.rng.uniform(0.2 * seconds, 0.6 * seconds) for _ in range(deaths))
    for worker, moment in zip(scene.rng.sample(workers, deaths), moments, strict=True):
        await asyncio.sleep(START + moment - scene.now)
        worker.kill()
    for worker in workers:
        await worker.wait()


def _outcome(scene: Scene) -> Outcome:
    sent = Counter(one.submitted for one in scene.actions if one.submitted is not None)
    times = [one.at for one in scene.actions if one.submitted is not None]
    freely = times[: len(times) * 3 // 4]
    pick_ups = [
        next(
            (
                one.at - moment
                for one in scene.actions
                if one.at > moment and one.shard == shard and one.worker != worker
            ),
            0.0,  # there was nothing left to do
        )
        for moment, worker, held in scene.deaths
        for shard in held
    ]
    return Outcome(
        statuses=Counter(count_by_status(scene.database)),
        submissions=len(times),
        duplicates=sent.total() - len(sent),
        used=(len(freely) - 1) / (freely[-1] - freely[0]) / scene.rate.per_second,
        fullest=most_in(times, 1.0),
        pick_up=max(pick_ups),
    )
