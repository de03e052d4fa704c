"""A shutdown while something is stored or recorded: what was begun is finished and reported."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anyio
import pytest

from batch_runner.engine.context import Run
from batch_runner.engine.events import ItemFailed, ItemSubmitted, RunEvent
from batch_runner.engine.summary import ExitCode, RunSummary, StopReason
from batch_runner.errors import ApiError, Failure
from batch_runner.jobdir.results import Results
from batch_runner.lifecycle import ItemStatus
from batch_runner.models import PlacedFile, Received
from batch_runner.providers.base import Receiver, RequestIds, Submitted
from batch_runner.settings import Output, Retries
from batch_runner.storage.folder_store import FolderStore
from tests.harness import run_provider_job, some_items, some_settings, statuses
from tests.harness.fake_service import LOST, FakeService

pytestmark = pytest.mark.anyio


class StoppingService(FakeService):
    """A service that shuts the run down while what follows on its answer is awaited."""

    run: Run

    def shut_down_soon(self) -> None:
        stop = StopReason("signal", "stopped", ExitCode.STOPPED)
        asyncio.get_running_loop().call_soon(self.run.state.control.shut_down, stop)


async def run_until_stopped(root: Path, service: StoppingService, **options: Any) -> RunSummary:
    async def note(run: Run) -> None:
        service.run = run

    return await run_provider_job(
        root, service, some_items(1), background_tasks=[note], sender="me", **options
    )


async def test_recorded_failure_of_a_task_is_reported(tmp_path: Path) -> None:
    class Service(StoppingService):
        async def result(self, task_id: str) -> list[str]:
            self.shut_down_soon()
            raise ApiError("result: the task has failed", failure=Failure.TASK_FAILED)

    events: list[RunEvent] = []

    await run_until_stopped(tmp_path, Service(), on_event=events.append)

    assert statuses(tmp_path) == {ItemStatus.FAILED: 1}
    assert [type(event) for event in events] == [ItemSubmitted, ItemFailed]


async def test_bytes_of_an_earlier_run_are_placed_and_recorded(tmp_path: Path) -> None:
    class Service(StoppingService):
        async def download(self, url: str, receive: Receiver) -> Received:
            self.shut_down_soon()
            raise ApiError("download: HTTP 404", failure=Failure.NOT_FOUND)

    videos = some_settings().model_copy(update={"output": Output(kinds=("video",))})
    await run_provider_job(tmp_path, FakeService(), some_items(1), videos)
    assert statuses(tmp_path) == {ItemStatus.DOWNLOAD_PENDING: 1}

    one_try = some_settings().model_copy(update={"retries": Retries(max_tries=1)})
    await run_until_stopped(tmp_path, Service(), settings=one_try)

    assert statuses(tmp_path) == {ItemStatus.DONE: 1}
    assert (tmp_path / "card-0.png").exists()


async def test_task_found_after_a_lost_answer_is_reported(tmp_path: Path) -> None:
    class Service(StoppingService):
        async def exists(self, task_id: str) -> bool:
            self.shut_down_soon()
            return True

    service, events = Service(RequestIds.TASK_ID), list[RunEvent]()
    service.answers.append(LOST)

    await run_until_stopped(tmp_path, service, on_event=events.append)

    assert statuses(tmp_path) == {ItemStatus.SUBMITTED: 1}
    assert isinstance(events[-1], ItemSubmitted)


async def test_answer_to_a_repeated_submission_is_recorded(tmp_path: Path) -> None:
    class Service(StoppingService):
        async def submit(
            self, workflow: str, params: dict[str, Any], request_id: str | None = None
        ) -> Submitted:
            if self.sent:
                self.shut_down_soon()
                await anyio.sleep(5)
            return await super().submit(workflow, params, request_id)

    service = Service(RequestIds.IDEMPOTENCY_KEY)
    service.answers.append(LOST)

    await run_until_stopped(tmp_path, service)

    assert statuses(tmp_path) == {ItemStatus.SUBMITTED: 1}
    assert len(service.sent) == 2


async def test_copied_file_of_another_job_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, copy = StoppingService(), FolderStore.copy

    async def copy_before_shutdown(
        store: FolderStore, source: Results, expected: PlacedFile, name: str
    ) -> PlacedFile | None:
        copied = await copy(store, source, expected, name)
        service.shut_down_soon()
        return copied

    monkeypatch.setattr(FolderStore, "copy", copy_before_shutdown)
    state = tmp_path / "state"
    await run_provider_job(tmp_path / "one", service, some_items(1), state=state, sender="me")

    summary = await run_until_stopped(tmp_path / "two", service, state=state)

    assert statuses(tmp_path / "two") == {ItemStatus.DONE: 1}
    assert (summary.reused, len(service.sent)) == (1, 1)
