"""What is checked before a submission is sent, and what happens to those being sent."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

from batch_runner.engine.build import build_run
from batch_runner.engine.context import Run
from batch_runner.engine.run import execute
from batch_runner.engine.summary import ExitCode
from batch_runner.jobdir.fallback_log import FallbackLog
from batch_runner.jobdir.open import open_job
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import Change
from batch_runner.lifecycle import Event, ItemStatus
from batch_runner.providers import open_provider
from batch_runner.providers.http import Http
from batch_runner.settings import Service, Settings
from tests.harness import (
    IDENTITY,
    check_invariants,
    rows,
    run_job,
    service_at,
    simulated_service,
    some_items,
    some_settings,
    statuses,
    stop_clock_while_busy,
    submissions_per_prompt,
)

pytestmark = pytest.mark.anyio


async def test_submissions_do_not_reuse_connections() -> None:
    """A stale connection would fail after bytes were sent, and hold an item needlessly."""
    connections = 0

    async def answer(come: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while (await come.readline()).strip():
            pass
        await come.readexactly(2)
        out.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await out.drain()
        await come.read()
        out.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = "http://{}:{}".format(*server.sockets[0].getsockname())
    service = Service(provider="baicai", base_url=address, key=SecretStr("sk-a-key"))
    async with server, Http(service, Settings()) as http:
        answers = [await http.submit("/create", b"{}") for _ in range(3)]

    assert [each.body for each in answers] == [b"{}"] * 3
    assert connections == 3


async def test_crashing_background_task_loses_no_task_id(tmp_path: Path) -> None:
    """Whatever cancels the stages, a submission being sent is waited for and recorded."""

    async def break_down(run: Run) -> None:
        while run.state.stats.counts[ItemStatus.SUBMITTING] < 8:  # noqa: ASYNC110  the service's side
            await anyio.sleep(0.1)
        raise RuntimeError("a bug")

    async with simulated_service(latency=5, service_time="60") as simulator:
        with pytest.raises(ExceptionGroup):
            await run_job(tmp_path, simulator, some_items(8), background_tasks=[break_down])
        after_crash = statuses(tmp_path)
        await run_job(tmp_path, simulator, some_items(8))

    assert after_crash == {ItemStatus.SUBMITTED: 8}
    assert set(submissions_per_prompt(simulator).values()) == {1}
    assert check_invariants(tmp_path, simulator) == []


async def test_nothing_is_submitted_too_late_for_the_deadline(tmp_path: Path) -> None:
    items = some_items(40)

    async with simulated_service(service_time="30") as simulator:
        await run_job(tmp_path, simulator, items[:20])
        late = await run_job(tmp_path, simulator, items, deadline=20)
        early = await run_job(tmp_path, simulator, items, deadline=120)

    assert (late.paid, early.paid) == (0, 20)
    assert late.stop is not None
    assert late.stop.reason == "deadline"
    assert late.seconds < 10


async def test_long_retry_after_is_kept_by_the_next_run(tmp_path: Path) -> None:
    async with simulated_service("limited:submit:times=1:retry_after=3600") as simulator:
        first = await run_job(tmp_path, simulator, some_items(3))
        (kept,) = [row for row in rows(tmp_path) if row.not_before is not None]
        second = await run_job(tmp_path, simulator, some_items(3))

    for run in (first, second):
        assert run.stop is not None
        assert (run.stop.reason, run.exit_code) == ("limited", ExitCode.STOPPED)
    assert 3000 < (kept.not_before or 0) - time.time() < 3700
    assert kept.prompt not in submissions_per_prompt(simulator)


async def test_nothing_is_submitted_without_free_disk_space(tmp_path: Path) -> None:
    settings = some_settings()
    downloads = settings.downloads.model_copy(update={"free_bytes": 1 << 60})
    settings = settings.model_copy(update={"downloads": downloads})

    async with simulated_service() as simulator:
        summary = await run_job(tmp_path, simulator, some_items(3), settings)

    assert summary.stop is not None
    assert summary.stop.reason == "disk"
    assert submissions_per_prompt(simulator).total() == 0


def test_fallback_log_attaches_a_task_id_to_a_held_item(tmp_path: Path) -> None:
    (item,) = some_items(1)
    with open_job(tmp_path, IDENTITY) as job:
        job.journal.import_items([item])
        for event in (Event.SUBMIT_STARTED, Event.SUBMIT_UNANSWERED):
            job.journal.apply(Change(key=item.key, event=event, reason="lost", message="lost"))
    fallback = FallbackLog(JobFolder(tmp_path))
    fallback.append({"key": item.key, "event": "submit_confirmed", "task_id": "a" * 32})
    fallback.close()

    with open_job(tmp_path, IDENTITY):
        pass

    (row,) = rows(tmp_path)
    assert (row.status, row.task_id) == (ItemStatus.SUBMITTED, "a" * 32)


async def test_nothing_is_sent_after_the_lease_has_expired(tmp_path: Path) -> None:
    async with simulated_service() as simulator:
        settings = some_settings()
        async with open_provider(service_at(simulator), settings) as provider:
            with open_job(tmp_path, IDENTITY) as job:
                job.journal.import_items(some_items(3))
                stop_clock_while_busy(job.journal)
                run = build_run(job, settings, provider, seed=1, may_send=lambda: False)
                summary = await execute(run)

        assert simulator.ledger.submissions == []
    assert summary.counts[ItemStatus.PENDING] == 3
    assert summary.spent == 0
