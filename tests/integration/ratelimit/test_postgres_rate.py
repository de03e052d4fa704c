"""Several processes that share one rate by a row in PostgreSQL; its clock is that of the loop."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from batch_runner.ratelimit.limiter import LocalRateLimiter
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.ratelimit.postgres import PostgresRate, create_rates, open_postgres_rate
from batch_runner.units import parse_rate
from tests.bench._windows import most_in
from tests.clock import VirtualTimeLoop
from tests.harness.postgres import PostgresServer, postgres

pytestmark = pytest.mark.anyio

#: Seconds after which something hangs, however slow the machine.
HANGS = 250.0


class OneHost:
    """A process with a limit of its own that takes tokens as fast as it may."""

    def __init__(self, shared: PostgresRate, rate: str) -> None:
        clock = asyncio.get_running_loop().time
        self.shared = shared
        self.gate = PauseGate(clock, shared)
        self.limiter = LocalRateLimiter(
            parse_rate(rate), gate=self.gate, clock=clock, random=random.Random(1), shared=shared
        )
        self.times: list[float] = []

    async def send(self, until: float) -> None:
        while (at := await self.limiter.acquire()) < until:
            self.times.append(at)


class Fleet:
    """Hosts that share a rate."""

    def __init__(self, server: PostgresServer, name: str, stack: ExitStack) -> None:
        self._server = server
        self._name = name
        self._stack = stack
        self.hosts: list[OneHost] = []

    def add(self, rate: str = "100/s") -> OneHost:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        opened = open_postgres_rate(
            self._server.dsn,
            self._name,
            parse_rate(rate),
            clock=loop.time,
            database_clock=loop.time,
        )
        self.hosts.append(OneHost(self._stack.enter_context(opened), rate))
        loop.never_jump_while(lambda: any(host.shared.busy for host in self.hosts))
        return self.hosts[-1]

    async def send(self, *hosts: OneHost, seconds: float) -> list[float]:
        """Let hosts send for some time; return the times of the new tokens of all."""
        before = [len(host.times) for host in hosts]
        until = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as tasks:
            for host in hosts:
                tasks.create_task(host.send(until))
        new = (host.times[start:] for host, start in zip(hosts, before, strict=True))
        return sorted(at for times in new for at in times)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    create_rates(postgres().dsn)
    with ExitStack() as stack:
        yield Fleet(postgres(), str(tmp_path), stack)


@pytest.mark.parametrize("rate", ["5/s", "50/s", "100/s", "300/min", "1000/s", "5000/s"])
@pytest.mark.parametrize("count", [1, 3])
async def test_hosts_share_one_limit_and_use_it(fleet: Fleet, rate: str, count: int) -> None:
    hosts, limit = [fleet.add(rate) for _ in range(count)], parse_rate(rate)

    times = await fleet.send(*hosts, seconds=200 / limit.per_second)

    burst = 1 + 0.02 * limit.per_second
    assert len(times) >= 0.97 * 200
    assert most_in(times, limit.seconds) <= limit.count + burst
    assert min(len(host.times) for host in hosts) > 200 / count / 2


async def test_lowest_limit_counts_while_its_host_sends(fleet: Fleet) -> None:
    fast, slow = fleet.add("10/s"), fleet.add("2/s")

    together = await fleet.send(fast, slow, seconds=20)
    assert fast.limiter.rate_now == pytest.approx(2, rel=0.02)
    await asyncio.sleep(61)
    alone = await fleet.send(fast, seconds=20)

    assert 36 <= len(together) <= 42
    assert len(alone) >= 190
    assert fast.limiter.rate_now == 10


async def test_host_that_dies_costs_only_what_it_had_taken(fleet: Fleet) -> None:
    dying, other = fleet.add(), fleet.add()
    await fleet.send(dying, other, seconds=2)

    times = await fleet.send(other, seconds=2)

    assert len(times) >= 190


async def test_host_that_sends_rarely_takes_one_token_at_a_time(fleet: Fleet) -> None:
    rare, busy = fleet.add(), fleet.add()
    until = asyncio.get_running_loop().time() + 10

    async def now_and_then() -> None:
        while asyncio.get_running_loop().time() < until:
            await rare.limiter.acquire()
            await asyncio.sleep(0.5)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(now_and_then())
        tasks.create_task(busy.send(until))

    assert len(busy.times) >= 960


async def test_429_seen_by_one_host_pauses_all(fleet: Fleet) -> None:
    one, other = fleet.add(), fleet.add()
    await fleet.send(one, other, seconds=1)

    paused_at = asyncio.get_running_loop().time()
    one.limiter.limited(30.0, acquired_at=one.times[-1])
    while one.shared.busy:  # noqa: ASYNC110  until the pause is in the database
        await asyncio.sleep(0)
    times = await fleet.send(one, other, seconds=40)

    late = [at for at in times if paused_at + 0.05 < at < paused_at + 30]
    assert late == []
    assert most_in(times, 1.0) <= 103
    assert len(times) > 900


async def test_pause_for_a_local_reason_is_not_shared(fleet: Fleet) -> None:
    one, other = fleet.add(), fleet.add()

    one.gate.close(30.0, local=True)

    assert len(await fleet.send(other, seconds=1)) > 90


async def test_slot_far_in_the_future_is_ignored(fleet: Fleet, tmp_path: Path) -> None:
    """As after a clock of the database that was wrong."""
    host = fleet.add()
    await fleet.send(host, seconds=1)
    with psycopg.connect(postgres().dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE batch_runner.rates SET next_slot = next_slot + 1e9 WHERE name = %s",
            (str(tmp_path),),
        )

    assert len(await fleet.send(host, seconds=60)) > 3000


def test_tables_of_rates_can_be_created_again() -> None:
    create_rates(postgres().dsn)
    create_rates(postgres().dsn)


def test_no_token_is_given_without_the_database(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In real time: the thread notices it, and comes back by itself."""
    server = postgres()
    create_rates(server.dsn)
    with open_postgres_rate(server.dsn, str(tmp_path), parse_rate("1000/s")) as shared:
        assert _takes_within(shared, HANGS)
        server.stop()
        try:
            while _takes_within(shared, 1.0):
                pass
            assert shared.take(time.monotonic()) > 0
        finally:
            server.start()
        assert _takes_within(shared, HANGS)

    assert [record.message for record in caplog.records if "not available" in record.message]


def test_caller_waits_longer_for_a_slow_database(tmp_path: Path) -> None:
    create_rates(postgres().dsn)
    clock = itertools.count(step=0.01).__next__  # a statement takes at least as long
    name, rate = str(tmp_path), parse_rate("1/100s")
    with open_postgres_rate(postgres().dsn, name, rate, clock=clock) as shared:
        while shared.take(clock()) > 0:
            time.sleep(0.001)

        assert shared.take(clock()) == 0.005


def _takes_within(shared: PostgresRate, seconds: float) -> bool:
    """Return whether a token is given within some seconds."""
    until = time.monotonic() + seconds
    while (now := time.monotonic()) < until:
        if (wait := shared.take(now)) == 0:
            return True
        time.sleep(min(wait, 0.01))
    return False
