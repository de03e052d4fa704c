"""Input files: what is uploaded, how often, and what happens to an item without its file."""

from __future__ import annotations

import errno
import time
from pathlib import Path

import pytest

from batch_runner.engine.summary import ExitCode
from batch_runner.jobdir.open import open_job
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import open_reader
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


def settings_that_reuse_uploads_for(seconds: float) -> Settings:
    settings = some_settings()
    uploads = settings.uploads.model_copy(update={"reuse_for": seconds})
    return settings.model_copy(update={"uploads": uploads})


def change(photo: Path, content: bytes | None) -> None:
    photo.unlink() if content is None else photo.write_bytes(content)


def events_of(root: Path, key: str) -> list[str]:
    with open_reader(JobFolder(root).journal) as reader:
        return [event.event for event in reader.events(key)]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"a wedding")
    return path


async def test_photo_is_uploaded_once_for_all_items_and_runs(tmp_path: Path, photo: Path) -> None:
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
async def test_failed_upload_leaves_the_item_pending(
    tmp_path: Path, photo: Path, fault: str
) -> None:
    """An upload costs nothing: only a rejected one rejects its item."""
    root = tmp_path / "out"
    items = with_photo(some_items(60), photo, b"a wedding")

    async with simulated_service(fault) as simulator:
        failed = await run_job(root, simulator, items)
        tried = [row for row in rows(root) if row.reason == "upload"]
        events = [events_of(root, row.key) for row in tried]
        simulator.set_faults()
        after = await run_job(root, simulator, items)

    assert failed.stop is not None
    assert failed.stop.reason in ("breaker", "outage")
    assert failed.exit_code is ExitCode.UNAVAILABLE
    assert failed.counts[ItemStatus.PENDING] == 60
    assert failed.submissions == 0
    assert len(tried) <= 5
    assert all("upload" in (row.message or "") for row in tried)
    assert all("submit_started" not in failed_events for failed_events in events)
    assert after.counts[ItemStatus.DONE] == 60
    assert check_invariants(root, simulator) == []


@pytest.mark.parametrize("fault", ["moderation:upload", "http:upload:status=413"])
async def test_rejected_photo_is_tried_once_for_all_its_items(
    tmp_path: Path, photo: Path, fault: str
) -> None:
    """Thirty items with it are no reason to stop, and another photo is tried."""
    root, other = tmp_path / "out", tmp_path / "small.jpg"
    other.write_bytes(b"small")
    items = with_photo(some_items(33), photo, b"a wedding")
    with_photo(items[30:], other, b"small")

    async with simulated_service(f"{fault}:times=1") as simulator:
        summary = await run_job(root, simulator, items)

    assert summary.stop is None
    assert statuses(root) == {ItemStatus.REJECTED: 30, ItemStatus.DONE: 3}
    rejected = [row for row in rows(root) if row.status is ItemStatus.REJECTED]
    assert {row.reason for row in rejected} == {"upload"}
    assert len({row.message for row in rejected}) == 1
    assert len(simulator.ledger.uploads) == 1


async def test_next_run_tries_a_rejected_photo_again(tmp_path: Path, photo: Path) -> None:
    root = tmp_path / "out"
    items = with_photo(some_items(4), photo, b"a wedding")

    async with simulated_service("moderation:upload:times=1") as simulator:
        await run_job(root, simulator, items[:2])
        await run_job(root, simulator, items)

    assert statuses(root) == {ItemStatus.REJECTED: 2, ItemStatus.DONE: 2}


async def test_another_photo_of_the_same_item_is_not_uploaded_after_a_rejection(
    tmp_path: Path, photo: Path
) -> None:
    root, other = tmp_path / "out", tmp_path / "second.jpg"
    other.write_bytes(b"second")
    (item,) = with_photo(some_items(1), photo, b"a wedding")
    (first,) = item.files
    with_photo([item], other, b"second")
    item.files = (first, *item.files)

    async with simulated_service("moderation:upload:times=1") as simulator:
        await run_job(root, simulator, [item])

    assert statuses(root) == {ItemStatus.REJECTED: 1}
    assert simulator.ledger.uploads == []


async def test_limited_upload_waits_and_fails_no_item(tmp_path: Path, photo: Path) -> None:
    """A 429 counts as no try, and everybody waits as long as it asks."""
    root = tmp_path / "out"
    items = with_photo(some_items(2), photo, b"a wedding")

    async with simulated_service("limited:upload:times=8:retry_after=20") as simulator:
        summary = await run_job(root, simulator, items)

    assert statuses(root) == {ItemStatus.DONE: 2}
    assert (len(simulator.ledger.uploads), summary.limited) == (1, 8)
    assert summary.seconds > 8 * 20  # of virtual time


async def test_old_upload_is_sent_again(tmp_path: Path, photo: Path) -> None:
    root, settings = tmp_path / "out", settings_that_reuse_uploads_for(0.001)
    items = with_photo(some_items(2), photo, b"a wedding")

    async with simulated_service() as simulator:
        await run_job(root, simulator, items[:1], settings)
        await run_job(root, simulator, items, settings)

    assert len(simulator.ledger.uploads) == 2
    assert statuses(root) == {ItemStatus.DONE: 2}


async def test_upload_stored_in_the_future_is_sent_again(tmp_path: Path, photo: Path) -> None:
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
    ("content", "message"), [(b"another wedding", "has changed"), (None, "cannot be read")]
)
async def test_changed_photo_rejects_the_item_unpaid(
    tmp_path: Path, photo: Path, content: bytes | None, message: str
) -> None:
    root = tmp_path / "out"
    items = with_photo(some_items(1), photo, b"a wedding") + some_items(2)[1:]
    change(photo, content)

    async with simulated_service() as simulator:
        await run_job(root, simulator, items)

    rejected = next(row for row in rows(root) if row.status is ItemStatus.REJECTED)
    assert rejected.reason == "upload"
    assert message in (rejected.message or "")
    assert rejected.attempt == 0
    assert events_of(root, rejected.key) == ["listed", "upload_rejected"]
    assert len(simulator.ledger.submissions) == 1
    assert simulator.ledger.uploads == []


async def test_photo_unreadable_for_now_leaves_the_item_pending(
    tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many open files, or an I/O error of a network share: the next run tries again."""
    root = tmp_path / "out"
    items = with_photo(some_items(1), photo, b"a wedding") + some_items(2)[1:]
    read = Path.read_bytes

    def run_out(path: Path) -> bytes:
        if path == photo:
            raise OSError(errno.EMFILE, "Too many open files")
        return read(path)

    async with simulated_service() as simulator:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", run_out)
            await run_job(root, simulator, items)
        before = {row.status: row.message for row in rows(root)}
        await run_job(root, simulator, items)

    assert before.keys() == {ItemStatus.PENDING, ItemStatus.DONE}
    assert "Too many open files" in (before[ItemStatus.PENDING] or "")
    assert statuses(root) == {ItemStatus.DONE: 2}


@pytest.mark.parametrize("fault", ["http:upload:status=503:times=2", "reset:upload:times=2"])
async def test_failed_upload_is_retried(tmp_path: Path, photo: Path, fault: str) -> None:
    root = tmp_path / "out"

    async with simulated_service(fault) as simulator:
        await run_job(root, simulator, with_photo(some_items(1), photo, b"a wedding"))

    assert len(simulator.ledger.uploads) == 1
    assert statuses(root) == {ItemStatus.DONE: 1}
