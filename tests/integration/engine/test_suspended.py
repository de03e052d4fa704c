"""The computer sleeps during a run."""

from __future__ import annotations

import logging
from pathlib import Path

import anyio
import pytest

from tests.harness import run_job, simulated_service, some_items, some_settings

pytestmark = pytest.mark.anyio


class Computer:
    """A computer that sleeps once, after a few seconds of the event loop's clock."""

    def __init__(self, *, after: float, seconds: float) -> None:
        self._after, self._seconds = after, seconds
        self._started = anyio.current_time()

    def suspended(self) -> float:
        return self._seconds if anyio.current_time() - self._started > self._after else 0.0


async def test_sleep_is_reported_and_the_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "batch_runner")
    async with simulated_service(service_time="60s") as simulator:
        computer = Computer(after=15, seconds=2520)

        summary = await run_job(tmp_path, simulator, some_items(5), suspended=computer.suspended)

    assert summary.exit_code == 0
    assert caplog.messages == ["this computer slept for 42 min 00 s; the run goes on"]


async def test_deadline_comes_in_time_after_a_sleep(tmp_path: Path) -> None:
    async with simulated_service(service_time="1000s") as simulator:
        computer, settings = Computer(after=30, seconds=7200), some_settings()
        started = anyio.current_time()

        summary = await run_job(
            tmp_path,
            simulator,
            some_items(3),
            settings,
            deadline=7210,
            suspended=computer.suspended,
        )

        assert anyio.current_time() - started < 60
    assert summary.stop is not None
    assert summary.stop.reason == "deadline"
