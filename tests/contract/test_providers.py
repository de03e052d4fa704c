"""What every provider must do, each against the simulator acting as its service, over sockets."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from batch_runner.errors import ApiError, Failure
from batch_runner.lifecycle import ItemStatus
from batch_runner.models import TaskReport, TaskState
from batch_runner.providers import open_provider
from batch_runner.providers.base import Provider, RequestIds
from batch_runner.settings import Settings
from batch_runner.simulator import Simulator
from tests.contract.provider_rows import Row, items_of, rows, service_of, simulated
from tests.harness import KEY, files_with_the_key, run_job, statuses

pytestmark = pytest.mark.anyio

PROMPT = 'a horse, 一匹马, "quoted" & <odd> \\ {{ not a template }}'


@asynccontextmanager
async def opened(
    row: Row, *faults: str, **options: Any
) -> AsyncIterator[tuple[Provider, Simulator]]:
    """Yield the provider of a row with its service."""
    async with (
        simulated(row, *faults, **options) as simulator,
        open_provider(service_of(row, simulator), Settings()) as provider,
    ):
        yield provider, simulator


async def submit(row: Row, provider: Provider, prompt: str = PROMPT) -> str:
    params = row.params(prompt)
    return (await provider.submit(row.workflow, params, str(uuid.uuid4()))).task_id


async def end_of(provider: Provider, task_id: str) -> TaskReport:
    await asyncio.sleep(30)
    report = await provider.status(task_id)
    assert report.state.final
    return report


async def submit_failure(row: Row, provider: Provider) -> Failure:
    with pytest.raises(ApiError) as raised:
        await submit(row, provider)
    return raised.value.failure


async def fetch(provider: Provider, url: str) -> bytes:
    content = bytearray()
    await provider.download(url, content.extend)
    return bytes(content)


def totals(simulator: Simulator) -> Counter[str]:
    return simulator.ledger.totals


async def test_capabilities_are_those_of_the_row(row: Row) -> None:
    async with opened(row) as (provider, _):
        found = provider.capabilities

    assert (found.request_ids, found.cancel, found.upload, found.free) == (
        row.request_ids,
        row.cancels,
        row.uploads,
        row.free,
    )


# --- the way of a task


async def test_task_is_submitted_polled_and_downloaded(row: Row) -> None:
    async with opened(row, keys=(KEY,)) as (provider, simulator):
        task_id = await submit(row, provider)
        first = await provider.status(task_id)
        last = await end_of(provider, task_id)
        urls = await provider.result(task_id)
        content = await fetch(provider, urls[0])

    assert first.state in (TaskState.PENDING, TaskState.RUNNING)
    assert (last.state, len(urls)) == (TaskState.COMPLETED, 1)
    assert len(content) > 1000
    assert [task.prompt for task in simulator.ledger.submissions] == [PROMPT]
    assert simulator.ledger.leaks == []
    assert totals(simulator)["rejected"] == 0


async def test_job_is_done_in_one_run(row: Row, tmp_path: Path) -> None:
    items = items_of(row, 4)
    root = tmp_path / "out"
    async with simulated(row) as simulator:
        await run_job(root, simulator, items, service=service_of(row, simulator))
        paid = Counter(task.prompt for task in simulator.ledger.submissions)

    assert statuses(root) == {ItemStatus.DONE: 4}
    assert paid == {f"horse {number}": 1 for number in range(4)}
    assert files_with_the_key(root) == []


async def test_same_submission_has_the_same_body(row: Row) -> None:
    async with opened(row) as (provider, simulator):
        for request_id in [str(uuid.uuid4())] * 2:
            await provider.submit(row.workflow, row.params(PROMPT), request_id)

    assert len({task.body for task in simulator.ledger.submissions}) == 1


async def test_failed_task_is_reported(row: Row) -> None:
    async with opened(row, "fail:submit") as (provider, _):
        report = await end_of(provider, await submit(row, provider))

    assert report.state is TaskState.FAILED


@rows(lambda row: row.says_words)
async def test_unknown_word_is_not_final(row: Row) -> None:
    async with opened(row, "word:status:value=POLISHING") as (provider, _):
        report = await provider.status(await submit(row, provider))

    assert (report.state, report.word) == (TaskState.UNKNOWN_WORD, "POLISHING")


async def test_completed_task_without_files_is_no_result(row: Row) -> None:
    async with opened(row, "no_urls:result", service_time=0) as (provider, simulator):
        task_id = await submit(row, provider)
        with pytest.raises(ApiError) as raised:
            await provider.result(task_id)
        simulator.set_faults()
        urls = await provider.result(task_id)

    assert raised.value.failure in (Failure.NO_RESPONSE, Failure.TASK_FAILED)
    assert len(urls) == 1


# --- what is not accepted


async def test_rejected_submission_is_not_paid(row: Row) -> None:
    async with opened(row, "http:submit:status=400") as (provider, simulator):
        assert await submit_failure(row, provider) is Failure.REJECTED

    assert totals(simulator)["submissions"] == 0


async def test_content_that_is_not_allowed_is_reported(row: Row) -> None:
    async with opened(row, "moderation:submit") as (provider, simulator):
        if row.moderates_tasks:
            report = await end_of(provider, await submit(row, provider))
            assert report.state is TaskState.FAILED
        else:
            assert await submit_failure(row, provider) is Failure.REJECTED
            assert totals(simulator)["submissions"] == 0


async def test_busy_service_is_asked_again_later(row: Row) -> None:
    async with opened(row, "limited:submit:times=1") as (provider, simulator):
        assert await submit_failure(row, provider) is Failure.LIMITED
        await submit(row, provider)

    assert (totals(simulator)["limited"], totals(simulator)["submissions"]) == (1, 1)


@rows(lambda row: row.has_balance)
async def test_empty_account_is_told_apart(row: Row) -> None:
    async with opened(row, "balance:submit") as (provider, simulator):
        assert await submit_failure(row, provider) is Failure.FORBIDDEN

    assert totals(simulator)["submissions"] == 0


async def test_wrong_key_is_told_apart_at_every_call(row: Row) -> None:
    async with opened(row, keys=("sk-another",)) as (provider, simulator):
        assert await submit_failure(row, provider) is Failure.FORBIDDEN

    assert totals(simulator)["submissions"] == 0
    assert {entry["key_ok"] for entry in simulator.ledger.rejected} == {False}


# --- what may have been accepted


@pytest.mark.parametrize(
    "fault",
    [
        "lose_answer",
        "close_late",
        "half_json",
        "garbage",
        "html_late",
        "http_late",
        "null",
        "empty",
    ],
)
async def test_submission_without_readable_response_is_unclear(row: Row, fault: str) -> None:
    async with opened(row, f"{fault}:submit") as (provider, simulator):
        failure = await submit_failure(row, provider)

    assert failure in (Failure.NO_RESPONSE, Failure.AMBIGUOUS)
    assert totals(simulator)["submissions"] == 1


@rows(lambda row: row.request_ids is RequestIds.TASK_ID)
async def test_service_can_be_asked_for_an_id_of_ours(row: Row) -> None:
    async with opened(row, "lose_answer:submit") as (provider, _):
        sent, other = str(uuid.uuid4()), str(uuid.uuid4())
        with pytest.raises(ApiError):
            await provider.submit(row.workflow, row.params(PROMPT), sent)
        found = [await provider.exists(each) for each in (sent, other)]

    assert found == [True, False]


@rows(lambda row: row.request_ids is RequestIds.IDEMPOTENCY_KEY)
async def test_repeated_idempotency_key_is_not_paid_again(row: Row) -> None:
    async with opened(row, "lose_answer:submit:times=1") as (provider, simulator):
        key = str(uuid.uuid4())
        with pytest.raises(ApiError):
            await provider.submit(row.workflow, row.params(PROMPT), key)
        submitted = await provider.submit(row.workflow, row.params(PROMPT), key)

    (task,) = simulator.ledger.submissions
    assert (submitted.task_id, task.request_id, task.repeats) == (task.id, key, 1)


# --- what is lost


@rows(lambda row: row.urls_expire)
async def test_expired_url_is_renewed_by_asking_for_the_result(row: Row) -> None:
    async with opened(row, service_time=0, url_life=60) as (provider, _):
        task_id = await submit(row, provider)
        (url,) = await provider.result(task_id)
        await asyncio.sleep(61)
        with pytest.raises(ApiError):
            await fetch(provider, url)
        (url,) = await provider.result(task_id)
        content = await fetch(provider, url)

    assert len(content) > 1000


async def test_lost_task_is_not_found(row: Row) -> None:
    async with opened(row, "lose_task:submit") as (provider, _):
        task_id = await submit(row, provider)
        if row.is_sure_of_losses:
            assert (await provider.status(task_id)).state is TaskState.LOST
        else:
            with pytest.raises(ApiError) as raised:
                await provider.status(task_id)
            assert raised.value.failure is Failure.NOT_FOUND


@pytest.mark.parametrize("fault", ["http", "lose_answer", "html"])
async def test_poll_without_readable_response_says_nothing(row: Row, fault: str) -> None:
    async with opened(row, f"{fault}:status") as (provider, simulator):
        task_id = await submit(row, provider)
        with pytest.raises(ApiError) as raised:
            await provider.status(task_id)
        simulator.set_faults()
        report = await provider.status(task_id)

    assert raised.value.failure in (Failure.NO_RESPONSE, Failure.AMBIGUOUS)
    assert not report.state.final


# --- the rest


@rows(lambda row: row.cancels)
async def test_task_can_be_cancelled(row: Row) -> None:
    async with opened(row) as (provider, simulator):
        await provider.cancel(await submit(row, provider))

    assert [task.cancelled for task in simulator.ledger.submissions] == [True]


@rows(lambda row: row.uploads)
async def test_upload_returns_what_stands_for_the_file(row: Row) -> None:
    async with opened(row) as (provider, simulator):
        value = await provider.upload("photo.jpg", b"some bytes")

    assert value
    expected = hashlib.sha256(b"some bytes").hexdigest()
    assert [each["sha256"] for each in simulator.ledger.uploads] == [expected]
