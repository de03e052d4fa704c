"""Input files: what is sent to the service, how often, and what becomes of an item without one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from batch_runner.engine.summary import ExitCode
from batch_runner.jobdir.open import open_job
from batch_runner.lifecycle import ItemStatus
from batch_runner.settings import Settings
from tests.harness import (
    IDENTITY,
    check_invariants,
    rows,
    run_job,
    simulated_service,
    some_items,
    some_settings,
    statuses,
    with_photo,
)

pytestmark = pytest.mark.anyio


def that_trusts_uploads_for(seconds: float) -> Settings:
    settings = some_settings()
    uploads = settings.uploads.model_copy(update={"reuse_for": seconds})
    return settings.model_copy(update={"uploads": uploads})


def become(photo: Path, now: bytes | None) -> None:
    photo.unlink() if now is None else photo.write_bytes(now)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"a wedding")
    return path


async def test_a_photo_is_sent_once_for_all_its_items_and_runs(tmp_path: Path, photo: Path) -> None:
    root = tmp_path / "out"
    items = with_photo(some_items(6), photo, b"a wedding")

    async with simulated_service() as simulator:
        await run_job(root, simulator, items[:4])
        await run_job(root, simulator, items)

    (upload,) = simulator.ledger.uploads
    assert upload["name"] == "photo.jpg"
    assert {task.params["113"]["url"] for task in simulator.ledger.submissions} == {
        f"{simulator.files_url}{upload['path']}"
    }
    assert statuses(root) == {ItemStatus.DONE: 6}
    assert check_invariants(root, simulator) == []


@pytest.mark.parametrize("fault", ["http:upload:status=503", "reset:upload", "html:upload"])
async def test_items_whose_photo_the_service_does_not_take_now_wait_for_the_next_run(
    tmp_path: Path, photo: Path, fault: str
) -> None:
    """An upload costs nothing: only a plain no makes an item one that cannot be sent."""
    root = tmp_path / "out"
    items = with_photo(some_items(60), photo, b"a wedding")

    async with simulated_service(fault) as simulator:
        failed = await run_job(root, simulator, items)
        tried = [row for row in rows(root) if row.reason == "upload"]
        simulator.set_faults()
        after = await run_job(root, simulator, items)

    assert failed.stop is not None
    assert failed.stop.reason in ("breaker", "outage")
    assert failed.exit_code is ExitCode.UNAVAILABLE
    assert failed.counts[ItemStatus.PENDING] == 60
    assert failed.submissions == 0
    assert len(tried) <= 5
    assert all("upload" in (row.message or "") for row in tried)
    assert after.counts[ItemStatus.DONE] == 60
    assert check_invariants(root, simulator) == []


async def test_an_upload_that_is_refused_fails_its_item_alone(tmp_path: Path, photo: Path) -> None:
    root = tmp_path / "out"
    items = with_photo(some_items(4), photo, b"a wedding")

    async with simulated_service("moderation:upload:times=1") as simulator:
        await run_job(root, simulator, items)

    assert statuses(root) == {ItemStatus.REJECTED: 1, ItemStatus.DONE: 3}


async def test_an_upload_that_is_limited_waits_its_turn_and_fails_no_item(
    tmp_path: Path, photo: Path
) -> None:
    """A 429 uses nothing up, and the time it asks for is kept by everyone."""
    root = tmp_path / "out"
    items = with_photo(some_items(2), photo, b"a wedding")

    async with simulated_service("limited:upload:times=8:retry_after=20") as simulator:
        summary = await run_job(root, simulator, items)

    assert statuses(root) == {ItemStatus.DONE: 2}
    assert (len(simulator.ledger.uploads), summary.limited) == (1, 8)
    assert summary.seconds > 8 * 20  # of virtual time


async def test_an_upload_that_the_service_may_have_forgotten_is_sent_again(
    tmp_path: Path, photo: Path
) -> None:
    root, settings = tmp_path / "out", that_trusts_uploads_for(0.001)
    items = with_photo(some_items(2), photo, b"a wedding")

    async with simulated_service() as simulator:
        await run_job(root, simulator, items[:1], settings)
        await run_job(root, simulator, items, settings)

    assert len(simulator.ledger.uploads) == 2
    assert statuses(root) == {ItemStatus.DONE: 2}


async def test_an_upload_that_was_noted_while_the_clock_was_ahead_is_sent_again(
    tmp_path: Path, photo: Path
) -> None:
    root = tmp_path / "out"
    items = with_photo(some_items(1), photo, b"a wedding")
    with open_job(root, IDENTITY, wall_clock=lambda: time.time() + 365 * 86400) as job:
        job.journal.start()
        await job.journal.remember_upload(items[0].files[0].sha256, "forgotten.jpg")

    async with simulated_service() as simulator:
        await run_job(root, simulator, items)

    assert len(simulator.ledger.uploads) == 1
    assert statuses(root) == {ItemStatus.DONE: 1}


@pytest.mark.parametrize(
    ("now", "says"), [(b"another wedding", "has changed"), (None, "cannot be read")]
)
async def test_an_item_whose_photo_is_not_the_planned_one_is_refused_and_not_paid(
    tmp_path: Path, photo: Path, now: bytes | None, says: str
) -> None:
    root = tmp_path / "out"
    items = with_photo(some_items(1), photo, b"a wedding") + some_items(2)[1:]
    become(photo, now)

    async with simulated_service() as simulator:
        await run_job(root, simulator, items)

    refused = next(row for row in rows(root) if row.status is ItemStatus.REJECTED)
    assert refused.reason == "upload"
    assert says in (refused.message or "")
    assert refused.attempt == 0
    assert len(simulator.ledger.submissions) == 1
    assert simulator.ledger.uploads == []


@pytest.mark.parametrize("fault", ["http:upload:status=503:times=2", "reset:upload:times=2"])
async def test_an_upload_is_last_retried_because_it_costs_nothing(
    tmp_path: Path, photo: Path, fault: str
) -> None:
    root = tmp_path / "out"

    async with simulated_service(fault) as simulator:
        await run_job(root, simulator, with_photo(some_items(1), photo, b"a wedding"))

    assert len(simulator.ledger.uploads) == 1
    assert statuses(root) == {ItemStatus.DONE: 1}
