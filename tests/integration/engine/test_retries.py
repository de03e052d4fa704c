"""A retry is a request that is sent again; nothing else counts as one or uses up the budget."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from batch_runner.engine.context import Run
from batch_runner.engine.summary import ExitCode, RunSummary, StopReason
from batch_runner.errors import ApiError, Failure
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import open_reader
from batch_runner.lifecycle import ItemStatus
from batch_runner.models import Received, TaskReport
from tests.harness import rows, run_job, simulated_service, some_items, some_settings, statuses

pytestmark = pytest.mark.anyio


async def run_with_faults(
    root: Path, *faults: str, count: int = 60
) -> tuple[RunSummary, list[str]]:
    """Return the summary, and the problems that were shown as being retried."""
    shown_problems: list[str] = []

    async def listen(run: Run) -> None:
        while True:
            shown_problems.append(run.state.stats.last_retried)
            await anyio.sleep(0.2)

    async with simulated_service(*faults, service_time="uniform:1,3") as simulator:
        summary = await run_job(root, simulator, some_items(count), background_tasks=[listen])
    return summary, [one for one in dict.fromkeys(shown_problems) if one]


def retries_of(root: Path) -> int:
    with open_reader(JobFolder(root).journal) as reader:
        return reader.runs()[-1].retries


async def test_rejected_and_held_items_are_not_retried(tmp_path: Path) -> None:
    """Neither counted nor shown as retries, nor taken from the retry budget."""
    faults = ("moderation:submit:every=3", "lose_answer:submit:every=20")

    _, shown_problems = await run_with_faults(tmp_path, *faults)

    after = statuses(tmp_path)
    assert after[ItemStatus.REJECTED] >= 20
    assert after[ItemStatus.HELD] >= 2
    assert retries_of(tmp_path) == 0
    assert shown_problems == []


async def test_rejections_use_up_no_retry_budget(tmp_path: Path) -> None:
    rejecting = "moderation:submit:every=2"
    failing = "http:status:rate=0.1"

    alone, _ = await run_with_faults(tmp_path / "alone", failing)
    beside, shown_problems = await run_with_faults(tmp_path / "beside", failing, rejecting)

    assert statuses(tmp_path / "beside")[ItemStatus.REJECTED] == 30
    assert (
        beside.seconds < alone.seconds + 5
    )  # of virtual time; without its budget a retry takes 30
    assert all("503" in one for one in shown_problems)
    assert retries_of(tmp_path / "beside") > 0


async def test_429s_use_up_no_retry_budget(tmp_path: Path) -> None:
    """A 429 pauses everybody once; what fails afterwards is still retried soon."""
    settings = some_settings()
    retries = settings.retries.model_copy(update={"budget": 3})
    settings = settings.model_copy(update={"retries": retries})
    left: list[bool] = []

    async with simulated_service("limited:status:times=10") as simulator:

        async def take_from_budget(run: Run) -> None:
            while run.state.stats.limited < 10:  # noqa: ASYNC110  the service's side
                await anyio.sleep(0.1)
            left.append(run.state.budget.take())

        await run_job(
            tmp_path, simulator, some_items(12), settings, background_tasks=[take_from_budget]
        )

    assert statuses(tmp_path) == {ItemStatus.DONE: 12}
    assert left == [True]


@pytest.mark.parametrize("call", ["status", "result", "download"])
async def test_endless_429s_end_the_run_after_the_task_timeout(tmp_path: Path, call: str) -> None:
    """After `timeouts.task` the task is left to the next run."""
    settings = some_settings()
    timeouts = settings.timeouts.model_copy(update={"task": 120.0})
    settings = settings.model_copy(update={"timeouts": timeouts})

    async with simulated_service(f"limited:{call}:times=100000", service_time="5") as simulator:
        stuck = await run_job(tmp_path, simulator, some_items(2), settings)
        simulator.set_faults()
        after = await run_job(tmp_path, simulator, some_items(2), settings)

    assert 120 < stuck.seconds < 1800  # of virtual time
    assert stuck.counts[ItemStatus.DONE] == 0
    assert after.counts[ItemStatus.DONE] == 2
    assert len(simulator.ledger.submissions) == 2


async def test_download_pause_counts_from_its_first_429(tmp_path: Path) -> None:
    """It does not count from the last download, which may be long ago."""
    settings = some_settings(rate="1/200s")
    timeouts = settings.timeouts.model_copy(update={"task": 120.0})
    settings = settings.model_copy(update={"timeouts": timeouts})

    async with simulated_service("limited:download:after=1:times=1", service_time="5") as simulator:
        summary = await run_job(tmp_path, simulator, some_items(2), settings)

    assert summary.counts[ItemStatus.DONE] == 2


async def test_missing_descriptors_stop_submitting(tmp_path: Path) -> None:
    async def run_out(run: Run) -> None:
        async def download(url: str, receive: object) -> Received:
            raise ApiError("GET file: too many open files", failure=Failure.LOCAL)

        run.context.provider.download = download  # type: ignore[method-assign]
        await anyio.sleep_forever()

    async with simulated_service() as simulator:
        settings = some_settings(rate="1/s")
        stopped = await run_job(
            tmp_path, simulator, some_items(60), settings, background_tasks=[run_out]
        )
        shown = [row for row in rows(tmp_path) if row.status is ItemStatus.DOWNLOAD_PENDING]
        after = await run_job(tmp_path, simulator, some_items(60))

    assert stopped.stop == StopReason("local", "GET file: too many open files", ExitCode.STOPPED)
    assert stopped.paid < 60
    assert len(shown) == stopped.paid
    assert {row.reason for row in shown} == {"local"}
    assert after.counts[ItemStatus.DONE] == 60
    assert len(simulator.ledger.submissions) == 60


async def test_missing_descriptors_do_not_count_as_429(tmp_path: Path) -> None:
    async def run_out(run: Run) -> None:
        status, left = run.context.provider.status, iter(range(30))

        async def ask(task_id: str) -> TaskReport:
            if next(left, None) is not None:
                raise ApiError("status: too many open files", failure=Failure.LOCAL)
            return await status(task_id)

        run.context.provider.status = ask  # type: ignore[method-assign]
        await anyio.sleep_forever()

    async with simulated_service(service_time="uniform:1,3") as simulator:
        summary = await run_job(tmp_path, simulator, some_items(20), background_tasks=[run_out])

    assert summary.limited == 0
    assert summary.counts[ItemStatus.DONE] == 20
