"""Submissions that a shared commit would send together are spread by `align`."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest

from batch_runner.engine.context import Run
from batch_runner.providers.base import Submitted
from tests.harness import run_job, simulated_service, some_items, some_settings

pytestmark = pytest.mark.anyio


async def test_submissions_at_the_limit_are_aligned(tmp_path: Path) -> None:
    lags: list[float] = []

    async def note(run: Run) -> None:
        align, submit = run.context.limiter.align, run.context.provider.submit
        tokens: dict[object, float] = {}  # by the coroutine that sends

        async def noted_align(acquired_at: float) -> None:
            tokens[asyncio.current_task()] = acquired_at
            await align(acquired_at)

        async def noted_submit(
            workflow: str, params: dict[str, Any], request_id: str | None = None
        ) -> Submitted:
            lags.append(
                run.context.clock.monotonic() - tokens.pop(asyncio.current_task(), -math.inf)
            )
            return await submit(workflow, params, request_id)

        run.context.limiter.align = noted_align  # type: ignore[method-assign]
        run.context.provider.submit = noted_submit  # type: ignore[method-assign]

    settings = some_settings(rate="60/s", in_flight=200)
    async with simulated_service(service_time="1") as simulator:
        await run_job(
            tmp_path / "out", simulator, some_items(100), settings, background_tasks=[note]
        )

    assert len(lags) == 100
    assert 0.0099 < min(lags[65:]) <= max(lags) < 1
    assert min(lags[:50]) < 0.0099
