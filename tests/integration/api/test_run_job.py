from __future__ import annotations

import asyncio
import logging
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

import batch_runner
from batch_runner import (
    ExitCode,
    ItemDone,
    ItemEvent,
    ItemHeld,
    ItemRejected,
    ItemStatus,
    ItemSubmitted,
    Manifest,
    RunEvent,
    RunFinished,
    RunStarted,
    RunSummary,
)
from batch_runner.errors import UsageError
from batch_runner.simulator import Simulator
from tests.harness import (
    check_invariants,
    service_at,
    simulated_service,
    statuses,
    submissions_per_prompt,
)

pytestmark = pytest.mark.anyio

QUICK = {"service_time": "uniform:0.05,0.2"}


async def run(
    manifest: Manifest,
    simulator: Simulator,
    on_event: Callable[[RunEvent], None] | None = None,
) -> RunSummary:
    return await batch_runner.run_job(manifest, service=service_at(simulator), on_event=on_event)


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110  the simulator has no event for it
        await anyio.sleep(0.01)


async def cancelled_with_submissions_on_the_wire(
    manifest: Manifest, simulator: Simulator, events: list[RunEvent]
) -> None:
    """Run a job whose responses are delayed, and cancel it when the service has accepted some."""
    running = asyncio.create_task(run(manifest, simulator, events.append))
    await until(lambda: simulator.ledger.submissions)
    running.cancel()
    await asyncio.sleep(0)
    running.cancel()  # changes nothing
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_job_is_run_and_its_items_are_listed(manifest: Manifest) -> None:
    async with simulated_service(**QUICK) as simulator:
        summary = await run(manifest, simulator)

        assert summary.exit_code is ExitCode.DONE
        assert summary.counts[ItemStatus.DONE] == summary.paid == 8
        assert check_invariants(manifest.output_folder, simulator) == []
    items = list(batch_runner.iter_items(manifest, ItemStatus.DONE))
    assert [item.id for item in items] == [f"card-{number}" for number in range(8)]
    assert all(file.is_file() for item in items for file in item.files)
    assert [item.key for item in items] == [spec.key for spec in manifest.items()]
    assert (manifest.output_folder / "index.html").exists()


async def test_events_come_in_the_order_of_the_run(manifest: Manifest) -> None:
    events: list[RunEvent] = []
    async with simulated_service(**QUICK) as simulator:
        summary = await run(manifest, simulator, events.append)

    assert isinstance(events[0], RunStarted)
    assert events[0].counts[ItemStatus.PENDING] == 8
    assert events[-1] == RunFinished(summary=summary)
    for spec in manifest.items():
        kinds = [
            type(event)
            for event in events
            if isinstance(event, ItemEvent) and event.key == spec.key
        ]
        assert kinds == [ItemSubmitted, ItemDone]


async def test_events_tell_rejected_and_held_items(manifest: Manifest) -> None:
    faults = ("moderation:submit:times=1", "lose_answer:submit:times=1")
    events: list[RunEvent] = []
    async with simulated_service(*faults, **QUICK) as simulator:
        summary = await run(manifest, simulator, events.append)

    assert [summary.counts[status] for status in (ItemStatus.REJECTED, ItemStatus.HELD)] == [1, 1]
    (rejected,) = (event for event in events if isinstance(event, ItemRejected))
    (held,) = (event for event in events if isinstance(event, ItemHeld))
    assert rejected.reason
    assert held.reason
    assert {item.key for item in batch_runner.iter_items(manifest, ItemStatus.HELD)} == {held.key}


async def test_cancelled_run_journals_submissions_on_the_wire(manifest: Manifest) -> None:
    events: list[RunEvent] = []
    async with simulated_service("delay:submit:seconds=1", **QUICK) as simulator:
        await cancelled_with_submissions_on_the_wire(manifest, simulator, events)

        accepted = len(simulator.ledger.submissions)
        found = statuses(manifest.output_folder)
        assert found[ItemStatus.HELD] == found[ItemStatus.SUBMITTING] == 0
        assert found[ItemStatus.SUBMITTED] + found[ItemStatus.DONE] == accepted
        assert check_invariants(manifest.output_folder, simulator) == []
        assert isinstance(events[-1], RunFinished)
        assert events[-1].summary.stop is not None
        assert events[-1].summary.stop.reason == "cancelled"


async def test_job_that_was_cancelled_is_continued(manifest: Manifest) -> None:
    async with simulated_service("delay:submit:times=1:seconds=1", **QUICK) as simulator:
        await cancelled_with_submissions_on_the_wire(manifest, simulator, [])
        summary = await run(manifest, simulator)

        assert summary.exit_code is ExitCode.DONE
        assert set(submissions_per_prompt(simulator).values()) == {1}
        assert len(simulator.ledger.submissions) == 8
        assert check_invariants(manifest.output_folder, simulator) == []


async def test_cancel_scope_stops_the_run_in_the_same_way(manifest: Manifest) -> None:
    async with simulated_service("delay:submit:times=1:seconds=1", **QUICK) as simulator:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, manifest, simulator)
            await until(lambda: simulator.ledger.submissions)
            tasks.cancel_scope.cancel()

        found = statuses(manifest.output_folder)
        assert found[ItemStatus.HELD] == found[ItemStatus.SUBMITTING] == 0
        assert check_invariants(manifest.output_folder, simulator) == []


async def test_run_cancelled_before_it_begins_sends_nothing(manifest: Manifest) -> None:
    async with simulated_service(**QUICK) as simulator:
        running = asyncio.create_task(run(manifest, simulator))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert simulator.ledger.submissions == []

        summary = await run(manifest, simulator)  # the job is not locked any more
        assert summary.exit_code is ExitCode.DONE


async def test_callback_that_raises_loses_nothing(
    manifest: Manifest, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: RunEvent) -> None:
        raise RuntimeError(f"no {type(event).__name__}")

    async with simulated_service(**QUICK) as simulator:
        summary = await run(manifest, simulator, fail)

        assert summary.exit_code is ExitCode.DONE
        assert check_invariants(manifest.output_folder, simulator) == []
    assert "the callback failed on ItemSubmitted" in caplog.text


async def test_second_run_of_a_job_is_locked_out(manifest: Manifest) -> None:
    async with simulated_service(**QUICK) as simulator:
        started = asyncio.Event()
        first = asyncio.create_task(run(manifest, simulator, lambda _: started.set()))
        await started.wait()
        with pytest.raises(batch_runner.JobLocked):
            await run(manifest, simulator)
        assert (await first).exit_code is ExitCode.DONE


async def test_service_of_another_provider_is_refused(manifest: Manifest) -> None:
    other = batch_runner.Service(provider="other", base_url="http://127.0.0.1", key=SecretStr("k"))

    with pytest.raises(batch_runner.UsageError, match="is for the provider baicai"):
        await batch_runner.run_job(manifest, service=other)
    assert not manifest.output_folder.exists()


async def test_rehearsal_needs_no_key_and_has_its_own_folder(manifest: Manifest) -> None:
    settings = batch_runner.load_settings(manifest, {"max_submissions": "1"})
    summary = await batch_runner.run_job(manifest, settings=settings, rehearse=True)

    assert summary.counts[ItemStatus.DONE] == 1
    assert len(list(batch_runner.iter_items(manifest, ItemStatus.DONE, rehearse=True))) == 1
    assert not manifest.output_folder.exists()


async def test_run_leaves_the_process_as_it_was(
    manifest: Manifest, capfd: pytest.CaptureFixture[str]
) -> None:
    def process() -> object:
        root = logging.getLogger()
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        return handlers, list(root.handlers), root.level

    before = process()
    during: list[object] = []
    async with simulated_service(**QUICK) as simulator:
        await run(manifest, simulator, lambda _: during.append(process()))

    assert all(state == before for state in during)
    assert process() == before
    assert capfd.readouterr() == ("", "")


async def test_items_paid_by_another_job_are_reused(manifest: Manifest, tmp_path: Path) -> None:
    async with simulated_service(service_time="0.1") as simulator:
        service = service_at(simulator)
        await batch_runner.run_job(manifest, service=service)

        reused = await batch_runner.run_job(manifest, service=service, output=tmp_path / "other")
        assert len(simulator.ledger.submissions) == 8

        settings = batch_runner.load_settings(manifest, {"reuse": "never"})
        again = await batch_runner.run_job(
            manifest, settings=settings, service=service, output=tmp_path / "third"
        )
    assert (reused.exit_code, reused.paid, reused.reused) == (batch_runner.ExitCode.DONE, 0, 8)
    assert (again.exit_code, again.paid, again.reused) == (batch_runner.ExitCode.DONE, 8, 0)


async def test_registry_that_fails_during_a_run_stops_it(
    manifest: Manifest, tmp_path: Path
) -> None:
    path = manifest.path.with_name("many.yaml")
    prompts = "".join(f"  - a horse number {n}\n" for n in range(60))
    path.write_text(
        f"workflow: w\nparams: {{'6': {{text: '{{{{ prompt }}}}'}}}}\nlimits: {{rate: 3/s}}\n"
        f"prompts:\n{prompts}"
    )
    registry = tmp_path / "state" / "batch-runner" / "registry.sqlite"

    def spoil(event: RunEvent) -> None:
        if isinstance(event, ItemDone) and not spoilt:
            with closing(sqlite3.connect(registry, isolation_level=None)) as database:
                database.execute("DROP TABLE claims")
            spoilt.append(event)

    spoilt: list[RunEvent] = []
    async with simulated_service(**QUICK) as simulator:
        summary = await run(batch_runner.load_manifest(path), simulator, spoil)

    assert summary.exit_code is ExitCode.STOPPED
    assert summary.stop is not None
    assert summary.stop.reason == "registry"
    assert summary.paid < 60


async def test_new_job_is_refused_if_the_registry_fails_later(
    manifest: Manifest, tmp_path: Path
) -> None:
    async with simulated_service(**QUICK) as simulator:
        await run(manifest, simulator)
        registry = tmp_path / "state" / "batch-runner" / "registry.sqlite"
        with closing(sqlite3.connect(registry, isolation_level=None)) as database:
            database.execute("DROP TABLE claims")  # it can be opened, but not used

        for _ in range(2):
            with pytest.raises(UsageError, match="cannot be used"):
                await batch_runner.run_job(
                    manifest, service=service_at(simulator), output=tmp_path / "other"
                )
        again = await run(manifest, simulator)

    assert again.exit_code is ExitCode.DONE
    assert sum(submissions_per_prompt(simulator).values()) == 8
