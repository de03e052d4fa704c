"""Several runs that share one rate, in virtual time."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import random
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from batch_runner.ratelimit.limiter import LocalRateLimiter
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.ratelimit.shared_rate import SharedRate, open_shared_rate, shared_rate_path
from batch_runner.units import parse_rate
from tests.bench._windows import most_in

pytestmark = pytest.mark.anyio


class OneRun:
    """A run with a limit of its own that takes tokens as fast as it may."""

    def __init__(self, path: Path, rate: str = "5/s") -> None:
        clock = asyncio.get_running_loop().time
        self.shared = SharedRate(path, parse_rate(rate))
        self.shared.open()
        self.gate = PauseGate(clock, self.shared)
        self.limiter = LocalRateLimiter(
            parse_rate(rate),
            gate=self.gate,
            clock=clock,
            random=random.Random(1),
            shared=self.shared,
        )
        self.times: list[float] = []

    async def send(self, until: float) -> None:
        while (at := await self.limiter.acquire()) < until:
            self.times.append(at)

    def crash(self) -> None:
        """Leave everything as a killed process does."""
        for descriptor in (self.shared._own, self.shared._file):
            assert descriptor is not None
            os.close(descriptor)
        self.shared._own = self.shared._file = None


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def send(*runs: OneRun, seconds: float) -> list[float]:
    """Let the runs send for some time; return the times of the new tokens of all."""
    before = [len(run.times) for run in runs]
    until = asyncio.get_running_loop().time() + seconds
    async with asyncio.TaskGroup() as tasks:
        for run in runs:
            tasks.create_task(run.send(until))
    return sorted(at for run, start in zip(runs, before, strict=True) for at in run.times[start:])


@pytest.mark.parametrize("rate", ["5/s", "50/s", "300/min", "1/2s", "1000/s"])
@pytest.mark.parametrize("count", [2, 3])
async def test_runs_share_one_limit_and_use_it(tmp_path: Path, rate: str, count: int) -> None:
    runs, limit = [OneRun(tmp_path / "rate", rate) for _ in range(count)], parse_rate(rate)

    times = await send(*runs, seconds=200 / limit.per_second)

    assert len(times) >= 0.99 * 200
    assert most_in(times, limit.seconds) <= limit.count + 1
    parts = Counter(len(run.times) for run in runs)
    assert max(parts) - min(parts) <= 8


async def test_lowest_limit_counts_while_its_run_lives(tmp_path: Path) -> None:
    fast, slow = OneRun(tmp_path / "rate", "10/s"), OneRun(tmp_path / "rate", "2/s")

    together = await send(fast, slow, seconds=20)
    slow.shared.close()
    alone = await send(fast, seconds=20)

    assert 38 <= len(together) <= 41
    assert len(alone) >= 195


@pytest.mark.parametrize("rate", ["2/s", "1/h"])
async def test_crashed_run_leaves_nothing_behind(tmp_path: Path, rate: str) -> None:
    fast, slow = OneRun(tmp_path / "rate", "10/s"), OneRun(tmp_path / "rate", rate)
    await slow.limiter.acquire()

    slow.crash()
    times = await send(fast, seconds=20)

    assert len(times) >= 185  # within a second it is noticed
    assert len(names_in(tmp_path)) == 2  # the shared file, and that of the live run


async def test_429_seen_by_one_run_pauses_all(tmp_path: Path) -> None:
    one, other = OneRun(tmp_path / "rate"), OneRun(tmp_path / "rate")
    await send(one, other, seconds=2)

    one.limiter.limited(30.0, acquired_at=one.times[-1])

    assert await other.limiter.acquire() >= one.times[-1] + 30
    assert other.gate.closed_for(asyncio.get_running_loop().time()) == 0


async def test_runs_do_not_leave_a_pause_together(tmp_path: Path) -> None:
    runs = [OneRun(tmp_path / "rate") for _ in range(4)]
    await send(*runs, seconds=2)
    runs[0].limiter.limited(10.0, acquired_at=runs[0].times[-1])

    times = await send(*runs, seconds=15)

    assert most_in(times, 1.0) <= 6


async def test_pause_of_another_run_ends_within_an_hour(tmp_path: Path) -> None:
    one, other = OneRun(tmp_path / "rate"), OneRun(tmp_path / "rate")
    now = asyncio.get_running_loop().time()

    one.gate.close(1e6)

    assert other.gate.closed_for(now) == pytest.approx(3600)


async def test_pause_for_a_local_reason_is_not_shared(tmp_path: Path) -> None:
    one, other = OneRun(tmp_path / "rate"), OneRun(tmp_path / "rate")

    one.gate.close(30.0, local=True)

    assert other.gate.closed_for(asyncio.get_running_loop().time()) == 0


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\x00{", id="damaged"),
        pytest.param(b"CLOCK soon 1 1 1 1 1", id="other-types"),
        pytest.param(b"CLOCK 1 2", id="other-shape"),
        pytest.param(b"CLOCK nan 0 1 0 0 0", id="no-number"),
        pytest.param(b"CLOCK 0 0.2 1 0 0 inf", id="endless-pause"),
        pytest.param(b"another-boot 1e12 5 1 1e12 0 1e12", id="another-boot"),
    ],
)
async def test_file_with_other_content_is_ignored(tmp_path: Path, content: bytes) -> None:
    await OneRun(tmp_path / "rate").limiter.acquire()
    clock = tmp_path.joinpath("rate").read_bytes().split()[0]
    tmp_path.joinpath("rate").write_bytes(content.replace(b"CLOCK", clock))

    times = await send(OneRun(tmp_path / "rate"), seconds=20)

    assert len(times) >= 99


async def test_slot_far_in_the_future_is_ignored(tmp_path: Path) -> None:
    run = OneRun(tmp_path / "rate")
    await send(run, seconds=2)
    state = tmp_path.joinpath("rate").read_bytes().split()
    state[1] = b"%f" % (float(state[1]) + 1e6)
    tmp_path.joinpath("rate").write_bytes(b" ".join(state))

    assert len(await send(run, seconds=20)) >= 98


async def test_cancelled_caller_keeps_its_slot_for_the_next(tmp_path: Path) -> None:
    one, other = OneRun(tmp_path / "rate", "1/2s"), OneRun(tmp_path / "rate", "1/2s")
    first = await other.limiter.acquire()
    waiting = asyncio.create_task(one.limiter.acquire())
    await asyncio.sleep(0.5)
    waiting.cancel()

    assert await one.limiter.acquire() - first == pytest.approx(2.0, abs=0.1)


async def test_locked_file_is_given_up_after_seconds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As when a process was stopped while it had the file locked."""
    run = OneRun(tmp_path / "rate")
    descriptor = os.open(tmp_path / "rate", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    times = await send(run, seconds=20)
    os.close(descriptor)

    assert 70 <= len(times) <= 101
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "do not share their rate" in caplog.text


@pytest.mark.parametrize("step", ["open", "flock", "pwrite"])
async def test_unusable_file_warns_once_and_limits_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    path = tmp_path / "rates" / "rate"
    if step == "open":
        tmp_path.joinpath("rates").write_text("a file in the place of the folder")
    elif step == "flock":
        monkeypatch.setattr("batch_runner.ratelimit.shared_rate.fcntl.flock", fail)
    else:
        monkeypatch.setattr("batch_runner.ratelimit.shared_rate.os.pwrite", fail)

    run = OneRun(path)
    times = await send(run, seconds=10)

    assert 49 <= len(times) <= 51
    assert len(caplog.records) == 1
    assert run.gate.closed_for(0.0) == 0


def test_another_key_or_host_has_a_rate_of_its_own(tmp_path: Path) -> None:
    paths = {
        shared_rate_path(tmp_path, host, key)
        for host in ("cloud.example", "localhost:8000")
        for key in ("sk-one", "sk-two")
    }

    assert len(paths) == 4
    assert not any("sk-" in str(path) for path in paths)


def test_file_is_removed_with_its_run(tmp_path: Path) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(open_shared_rate(tmp_path / "rate", parse_rate("5/s")))
        assert len(names_in(tmp_path)) == 3

    assert names_in(tmp_path) == ["rate"]
