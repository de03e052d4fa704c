"""Tasks that end without a result, results that come at once, and how many tasks are in flight."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from batch_runner.errors import Failure
from batch_runner.jobdir.open import open_job
from batch_runner.journal import Change, ItemRow
from batch_runner.lifecycle import Event, ItemStatus
from batch_runner.models import TaskState
from batch_runner.providers.base import RequestIds
from batch_runner.settings import Timeouts
from tests.harness import (
    IDENTITY,
    an_item,
    rows,
    run_provider_job,
    some_items,
    some_settings,
    statuses,
)
from tests.harness.fake_service import Answer, FakeService

pytestmark = pytest.mark.anyio

URL = "http://files/at-once"


def only(root: Path) -> ItemRow:
    (row,) = rows(root)
    return row


# Lost tasks.


async def test_lost_free_task_is_submitted_again(tmp_path: Path) -> None:
    service = FakeService(RequestIds.TASK_ID, free=True)
    service.states.extend([TaskState.RUNNING, TaskState.LOST])

    summary = await run_provider_job(tmp_path, service, some_items(1))

    assert only(tmp_path).status is ItemStatus.DONE
    assert len(set(service.sent)) == 2
    assert (only(tmp_path).attempt, summary.paid) == (1, 1)


async def test_task_that_is_lost_each_time_is_given_up(tmp_path: Path) -> None:
    service = FakeService(RequestIds.TASK_ID, free=True)
    service.states.extend([TaskState.LOST] * 1000)

    await run_provider_job(tmp_path, service, some_items(1))

    assert only(tmp_path).status is ItemStatus.DOWNLOAD_PENDING
    assert only(tmp_path).reason == "task-unknown"
    assert len(service.sent) == 4


@pytest.mark.parametrize(("free", "price"), [(False, None), (True, "0.12 CNY")])
async def test_lost_task_that_was_paid_is_not_submitted_again(
    free: bool, price: str | None, tmp_path: Path
) -> None:
    service = FakeService(RequestIds.TASK_ID, free=free)
    service.states.extend([TaskState.LOST] * 1000)
    settings = some_settings(**({"price": price} if price else {}))
    settings = settings.model_copy(update={"timeouts": Timeouts(unknown=20.0)})

    await run_provider_job(tmp_path, service, some_items(1), settings)

    assert only(tmp_path).status is ItemStatus.DOWNLOAD_PENDING
    assert "has lost it" in (only(tmp_path).message or "")
    assert len(service.sent) == 1


async def test_lost_task_that_had_a_price_is_kept_without_it(tmp_path: Path) -> None:
    service = FakeService(RequestIds.TASK_ID, free=True)
    service.states.extend([TaskState.LOST] * 1000)
    timeouts = {"timeouts": Timeouts(unknown=20.0)}
    paid = some_settings(price="0.12 CNY").model_copy(update=timeouts)
    await run_provider_job(tmp_path, service, some_items(1), paid)

    unpriced = some_settings().model_copy(update=timeouts)
    await run_provider_job(tmp_path, service, some_items(1), unpriced)

    assert only(tmp_path).status is ItemStatus.DOWNLOAD_PENDING
    assert only(tmp_path).task_id == service.sent[0]
    assert len(service.sent) == 1


# Tasks whose result says that they failed.


async def test_completed_task_whose_result_failed_is_failed(tmp_path: Path) -> None:
    service = FakeService()
    service.results.append(Failure.TASK_FAILED)

    await run_provider_job(tmp_path, service, some_items(1))

    row = only(tmp_path)
    assert (row.status, row.reason) == (ItemStatus.FAILED, "service-failed")
    assert "the task has failed" in (row.message or "")
    assert service.calls["result"] == 1


async def test_failed_result_gets_the_attempts_it_is_allowed(tmp_path: Path) -> None:
    service = FakeService()
    service.results.extend([Failure.TASK_FAILED] * 2)

    await run_provider_job(tmp_path, service, some_items(1, attempts=3))

    assert only(tmp_path).status is ItemStatus.DONE
    assert len(service.sent) == 3


# Results that come with the response to the submission.


async def test_immediate_result_is_downloaded_without_a_poll(tmp_path: Path) -> None:
    service = FakeService(RequestIds.IDEMPOTENCY_KEY)
    service.answers.append(Answer(urls=(URL, "http://files/second")))

    await run_provider_job(tmp_path, service, some_items(1))

    assert only(tmp_path).status is ItemStatus.DONE
    assert len(only(tmp_path).files) == 2
    assert (service.calls["status"], service.calls["result"], service.calls[URL]) == (0, 0, 1)


async def test_gone_immediate_url_is_asked_for_again(tmp_path: Path) -> None:
    service = FakeService()
    service.answers.append(Answer(urls=(URL,)))
    service.gone.add(URL)

    await run_provider_job(tmp_path, service, some_items(1))

    assert only(tmp_path).status is ItemStatus.DONE
    assert (service.calls["status"], service.calls["result"]) == (0, 1)


@pytest.mark.parametrize(("asks", "status"), [(False, ItemStatus.HELD), (True, ItemStatus.DONE)])
async def test_deleted_files_of_another_job_are_asked_for_if_possible(
    tmp_path: Path, asks: bool, status: ItemStatus
) -> None:
    service = FakeService(asks=asks)
    service.answers.append(Answer(urls=(URL,)))
    await run_provider_job(tmp_path / "one", service, some_items(1), state=tmp_path / "state")
    shutil.rmtree(tmp_path / "one")

    await run_provider_job(tmp_path / "two", service, some_items(1), state=tmp_path / "state")

    assert only(tmp_path / "two").status is status
    assert (service.calls["status"] > 0) is asks
    assert len(service.sent) == 1


async def test_immediate_result_outlives_a_killed_run(tmp_path: Path) -> None:
    service, key = FakeService(), an_item().key
    with open_job(tmp_path, IDENTITY) as job:
        job.journal.import_items(some_items(1))
        job.journal.apply(Change(key=key, event=Event.SUBMIT_STARTED))
        confirmed = Event.SUBMIT_CONFIRMED
        job.journal.apply(Change(key=key, event=confirmed, task_id="task", urls=(URL,)))

    await run_provider_job(tmp_path, service, some_items(1))

    assert only(tmp_path).status is ItemStatus.DONE
    assert (service.calls["status"], service.sent) == (0, [])


# Tasks in flight.


@pytest.mark.parametrize(("most", "seen"), [(2, 2), (None, 5), (50, 5)])
async def test_service_limits_the_tasks_in_flight(
    most: int | None, seen: int, tmp_path: Path
) -> None:
    service = FakeService(max_in_flight=most)
    states = itertools.chain(*([TaskState.RUNNING] * 30, [TaskState.COMPLETED] * 30))
    service.states.extend(states)

    await run_provider_job(tmp_path, service, some_items(12), some_settings(in_flight=5))

    assert statuses(tmp_path) == {ItemStatus.DONE: 12}
    assert service.most_in_flight == seen
