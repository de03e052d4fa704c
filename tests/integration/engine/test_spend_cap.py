"""Spend cap and rate hold whatever delays submissions: uploads, rejections, concurrency."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from batch_runner.engine.context import Run
from batch_runner.engine.summary import ExitCode, StopReason
from batch_runner.lifecycle import ItemStatus
from tests.harness import (
    check_invariants,
    run_job,
    simulated_service,
    some_items,
    some_settings,
    statuses,
    submissions_per_prompt,
    with_photo,
)

pytestmark = pytest.mark.anyio

CONTENT = b"a wedding"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(CONTENT)
    return path


CAPS: dict[str, dict[str, object]] = {
    "submissions": {"max_submissions": 5},
    "cost": {"max_cost": "0.64 CNY", "price": "0.12 CNY"},  # a sixth would cost 0.72
    "exact": {"max_cost": "0.5 CNY", "price": "0.1 CNY"},  # 5 × 0.1 is more than 0.5 in floats
}


@pytest.mark.parametrize("cap", CAPS.values(), ids=CAPS)
@pytest.mark.parametrize("rate", ["20/s", "500/s"])
async def test_nothing_is_submitted_beyond_the_cap(
    tmp_path: Path, rate: str, cap: dict[str, object]
) -> None:
    settings = some_settings(rate=rate, **cap)

    async with simulated_service() as simulator:
        summary = await run_job(tmp_path, simulator, some_items(60), settings)
        again = await run_job(tmp_path, simulator, some_items(60), settings)

    assert (summary.exit_code, again.exit_code) == (ExitCode.STOPPED, ExitCode.STOPPED)
    assert submissions_per_prompt(simulator).total() == 5
    assert check_invariants(tmp_path, simulator) == []


async def test_cap_holds_while_items_wait_for_uploads(tmp_path: Path, photo: Path) -> None:
    settings = some_settings(rate="5/s", max_submissions=3)
    items = with_photo(some_items(40), photo, CONTENT)

    async with simulated_service("delay:upload:seconds=4") as simulator:
        await run_job(tmp_path / "out", simulator, items, settings)

    assert submissions_per_prompt(simulator).total() == 3


@pytest.mark.parametrize("cap", CAPS.values(), ids=CAPS)
@pytest.mark.parametrize("fault", ["limited:submit:times=4", "moderation:submit:times=4"])
async def test_unpaid_submissions_do_not_count_towards_the_cap(
    tmp_path: Path, fault: str, cap: dict[str, object]
) -> None:
    settings = some_settings(rate="50/s", **cap)

    async with simulated_service(fault, latency=0.5) as simulator:
        await run_job(tmp_path, simulator, some_items(60), settings)

    assert submissions_per_prompt(simulator).total() == 5
    assert statuses(tmp_path)[ItemStatus.DONE] == 5


async def test_each_workflow_counts_at_its_own_price(tmp_path: Path) -> None:
    """A held item counts as paid; a later run counts what earlier ones paid."""
    items = some_items(6)
    items[1].workflow = "wedding_photo_retouching"
    price = {"default": "0.1 CNY", "wedding_photo_retouching": "0.35 CNY"}

    async with simulated_service("lose_answer:submit:times=1") as simulator:
        first, second = [
            some_settings(max_cost=cap, price=price) for cap in ("0.45 CNY", "0.65 CNY")
        ]
        await run_job(tmp_path, simulator, items, first)
        summary = await run_job(tmp_path, simulator, items, second)

    assert submissions_per_prompt(simulator).total() == 4
    assert summary.counts[ItemStatus.HELD] == 1
    assert (summary.cost, summary.cost_of_job) == ("0.20 CNY", "0.65 CNY")


async def test_item_without_a_price_is_not_submitted_under_a_cost_cap(tmp_path: Path) -> None:
    settings = some_settings(max_cost="30 CNY", price={"another": "0.35 CNY"})

    async with simulated_service() as simulator:
        summary = await run_job(tmp_path, simulator, some_items(3), settings)

    assert submissions_per_prompt(simulator).total() == 0
    assert summary.exit_code is ExitCode.STOPPED


async def test_submissions_after_a_long_upload_keep_the_rate(tmp_path: Path, photo: Path) -> None:
    items = with_photo(some_items(20), photo, CONTENT)

    async with simulated_service("delay:upload:seconds=10") as simulator:
        await run_job(tmp_path / "out", simulator, items, some_settings(rate="2/s"))

    moments = sorted(task.submitted_at for task in simulator.ledger.submissions)
    assert len(moments) == 20
    assert max(sum(one <= at < one + 1 for at in moments) for one in moments) <= 3


async def test_upload_is_cancelled_when_submitting_stops(tmp_path: Path, photo: Path) -> None:
    """An upload costs nothing, and the next run sends it again."""
    items = with_photo(some_items(3), photo, CONTENT)

    async def stop(run: Run) -> None:
        await anyio.sleep(5)
        run.state.control.stop_submitting(StopReason("signal", "stopped", ExitCode.STOPPED))
        await anyio.sleep_forever()

    async with simulated_service("hang:upload:times=1") as simulator:
        stopped = await run_job(tmp_path / "out", simulator, items, background_tasks=[stop])
        again = await run_job(tmp_path / "out", simulator, items)

    assert stopped.seconds < 20  # of virtual time; an upload may take 300
    assert (stopped.exit_code, again.exit_code) == (ExitCode.STOPPED, ExitCode.DONE)
    assert statuses(tmp_path / "out") == {ItemStatus.DONE: 3}


@pytest.mark.parametrize(
    "fault", ["limited:upload:retry_after=20", "moderation:upload", "http:upload:status=503"]
)
async def test_nothing_is_uploaded_at_the_cap(tmp_path: Path, photo: Path, fault: str) -> None:
    items = some_items(6)

    async with simulated_service() as simulator:
        await run_job(tmp_path / "out", simulator, items[:2], some_settings(max_submissions=2))
        simulator.set_faults(fault)
        with_photo(items[2:], photo, CONTENT)
        summary = await run_job(
            tmp_path / "out", simulator, items, some_settings(max_submissions=2)
        )

    assert summary.stop is not None
    assert (summary.stop.reason, summary.exit_code) == ("cap", ExitCode.STOPPED)
    assert summary.counts[ItemStatus.PENDING] == 4
    assert simulator.ledger.uploads == []


async def test_upload_with_a_long_retry_after_is_left(tmp_path: Path, photo: Path) -> None:
    items = with_photo(some_items(3), photo, CONTENT)

    async with simulated_service("limited:upload:retry_after=86400") as simulator:
        summary = await run_job(tmp_path / "out", simulator, items)

    assert summary.stop is not None
    assert summary.stop.reason == "limited"
    assert summary.counts[ItemStatus.PENDING] == 3


async def test_rejected_uploads_in_a_row_stop_submitting(tmp_path: Path) -> None:
    items = some_items(80)
    for number, item in enumerate(items):
        photo, content = tmp_path / f"{number}.jpg", CONTENT + bytes([number])
        photo.write_bytes(content)
        with_photo([item], photo, content)

    async with simulated_service("moderation:upload") as simulator:
        summary = await run_job(tmp_path / "out", simulator, items)

    assert summary.stop is not None
    assert summary.stop.reason == "breaker"
    assert summary.counts[ItemStatus.REJECTED] == 25


async def test_invalid_key_during_an_upload_rejects_no_item(tmp_path: Path, photo: Path) -> None:
    settings = some_settings()
    retries = settings.retries.model_copy(update={"max_tries": 1})
    settings = settings.model_copy(update={"retries": retries})
    items = with_photo(some_items(3), photo, CONTENT)

    async with simulated_service("http:upload:status=401") as simulator:
        summary = await run_job(tmp_path / "out", simulator, items, settings)

    assert summary.exit_code is ExitCode.UNAVAILABLE
    assert summary.counts[ItemStatus.PENDING] == 3
