"""Renew what a worker holds of a job, and learn what it must know: its slots, a stop of the run.

A lease expires `SPAN` seconds after it was last renewed, on the clock of the database. The worker
itself believes in its leases for half of that, on a clock that goes on while the computer sleeps,
counted from before the renewal was sent: it has stopped submitting before another worker can begin.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from batch_runner.engine.slots import Slots
from batch_runner.errors import BatchRunnerError, JournalError
from batch_runner.journal.base import DatabaseRestored
from batch_runner.journal.postgres import shards
from batch_runner.journal.postgres.journal import PostgresJournal, check_mark
from batch_runner.journal.postgres.shards import Lease, RunOrder, Stop
from batch_runner.journal.sql.connection import Connection
from batch_runner.util.system import suspended_seconds

log = logging.getLogger(__name__)

#: Seconds until a lease expires that is not renewed, and between two renewals; least number of
#: renewals in the time of a lease.
SPAN, RENEW_EVERY, RENEWALS = 20.0, 1.0, 10
#: Seconds of submissions for which slots are wanted beyond those that are in use.
AHEAD = 2.0


class CutOff(BatchRunnerError):
    """The service cannot be reached, perhaps only from this host: another worker may try."""


def worker_name() -> str:
    """Return a name that no other worker has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def steady_time() -> float:
    """Return the seconds of a clock that nobody sets and that goes on in sleep."""
    return time.monotonic() + suspended_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What the database says when leases are renewed."""

    slots: int  # tasks that the worker may have in flight
    leases: dict[int, int]  # numbers of the leases it holds, by shard
    stop: Stop | None  # of the latest run


@dataclass(slots=True)
class Leases:
    """The leases of one worker for one job."""

    journal: PostgresJournal
    worker: str
    slots: Slots
    order: RunOrder
    most_in_flight: int  # of all workers
    capacity: int  # most tasks in flight of this worker
    per_second: float  # limit of submissions
    demand: Callable[[], int] = lambda: 0  # items that the worker could submit now
    span: float = SPAN
    clock: Callable[[], float] = steady_time
    held: dict[int, int] = field(default_factory=dict)  # number by shard, at the last renewal
    stop: Stop | None = None  # why nothing may be submitted any more
    _confirmed_at: float = -math.inf
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def renew_soon(self) -> None:
        """Renew at once: the demand for slots has changed."""
        self._wake.set()

    @property
    def valid(self) -> bool:
        """Return whether no other worker can have taken a shard of this one."""
        return self.clock() - self._confirmed_at < self.span / 2

    def allows(self, lease: Lease) -> bool:
        """Return whether the items of the shard of `lease` may be submitted now."""
        return self.valid and self.held.get(lease.shard) == lease.number

    async def renew(self) -> None:
        """Renew all leases once.

        Raises:
            JournalError: the database cannot be used.
        """
        started, in_use = self.clock(), self.slots.in_use
        wanted = in_use + min(self.demand(), max(1, math.ceil(self.per_second * AHEAD)))
        wanted = max(in_use, min(wanted, self.capacity))
        size = min(self.slots.size, wanted)
        self.slots.resize(size)  # others may get the rest from now on

        def renew(connection: Connection) -> Renewal:
            check_mark(connection, self.journal.mark)
            slots = shards.renew_leases(
                connection,
                self.worker,
                self.span,
                host=socket.gethostname(),
                pid=os.getpid(),
                size=size,
                in_use=in_use,
                wanted=wanted,
                most=self.most_in_flight,
            )
            return Renewal(
                slots=slots,
                leases=shards.held_leases(connection, self.worker),
                stop=shards.latest_stop(connection),
            )

        try:
            renewal = await self.journal.call(renew)
        except DatabaseRestored:
            self._confirmed_at = -math.inf
            raise
        self._confirmed_at = started
        self.held, self.stop = renewal.leases, renewal.stop
        self.slots.resize(renewal.slots)

    async def keep(self, renewed: Callable[[], Awaitable[None]]) -> None:
        """Renew the leases again and again, and call `renewed` each time, until cancelled.

        A renewal that fails is tried again: what depends on the leases sees that they expire.

        Raises:
            DatabaseRestored: an older state of the database was restored.
        """
        failing = False
        while True:
            try:
                await self.renew()
                await renewed()
                failing = False
            except DatabaseRestored:
                raise
            except JournalError as error:
                if not failing:
                    log.warning("the leases were not renewed: %s", error)
                failing = True
            with anyio.move_on_after(min(RENEW_EVERY, self.span / RENEWALS)):
                await self._wake.wait()
            self._wake.clear()
