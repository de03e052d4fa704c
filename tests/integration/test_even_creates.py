"""A run at a pace where commits would bunch its creates: they leave in step with their tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.nights import a_run, acted, some_items, some_settings

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.shift import Shift

pytestmark = pytest.mark.anyio


async def test_once_the_limit_is_used_creates_leave_a_little_after_their_tokens(
    tmp_path: Path,
) -> None:
    given: list[float] = []
    left: list[float] = []

    async def note(shift: Shift) -> None:
        token, submit = shift.pacer.token, shift.provider.submit

        async def noted_token() -> float:
            given.append(await token())
            return given[-1]

        async def noted_submit(workflow: str, params: dict[str, Any]) -> str:
            left.append(shift.clock())
            return await submit(workflow, params)

        shift.pacer.token = noted_token  # type: ignore[method-assign]
        shift.provider.submit = noted_submit  # type: ignore[method-assign]

    settings = some_settings(pace="60/s", in_flight=200)
    async with acted(service_time="1") as simulator:
        await a_run(tmp_path / "out", simulator, some_items(100), settings, beside=[note])

    assert len(given) == len(left) == 100
    lags = [sent - token for token, sent in zip(given, left, strict=True)]
    assert min(lags[65:]) > 0.0099
    assert min(lags[:50]) < 0.0099
