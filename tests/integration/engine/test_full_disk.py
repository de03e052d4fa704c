"""The journal's disk fills up while submissions are being sent: no task id is lost."""

from __future__ import annotations

import contextlib
import io
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import anyio
import pytest

from batch_runner.engine.context import Run
from batch_runner.engine.summary import ExitCode
from batch_runner.jobdir.open import open_job
from batch_runner.journal import Change, Journal
from batch_runner.lifecycle import Event, ItemStatus
from tests.harness import (
    IDENTITY,
    check_invariants,
    rows,
    run_job,
    simulated_service,
    some_items,
    some_settings,
    statuses,
    submissions_per_prompt,
)

pytestmark = pytest.mark.anyio


def no_more_pages(connection: sqlite3.Connection) -> None:
    """Let SQLite report a full disk for whatever needs another page."""
    connection.execute("PRAGMA max_page_count = 1")


@contextlib.contextmanager
def standard_error(kind: str) -> Iterator[IO[str]]:
    """Replace standard error: readable, closed, or a log file on the full disk."""
    with contextlib.ExitStack() as stack:
        stream: IO[str] = io.StringIO()
        if kind == "on-the-full-disk":
            stream = stack.enter_context(Path("/dev/full").open("w", buffering=1))
        elif kind == "closed":
            stream.close()
        stack.enter_context(contextlib.redirect_stderr(stream))
        yield stream


async def execute_in_journal(run: Run, operation: Callable[[Any], None]) -> None:
    assert isinstance(run.context.journal, Journal)
    await run.context.journal._queue(operation)


@pytest.mark.parametrize("log", ["read", "closed", "on-the-full-disk"])
async def test_task_ids_go_to_the_fallback_log_on_a_full_disk(tmp_path: Path, log: str) -> None:
    """The responses to submissions arrive when the disk is full."""
    root, items = tmp_path / "out", some_items(120)
    settings = some_settings(rate="1000/s", in_flight=120, concurrent_submissions=120)
    async with simulated_service(latency=5) as simulator:

        async def fill_up(run: Run) -> None:
            while len(simulator.ledger.submissions) < 120:  # noqa: ASYNC110  on the service's side
                await anyio.sleep(0.1)
            await execute_in_journal(run, no_more_pages)

        with contextlib.suppress(OSError), standard_error(log) as stderr:
            stopped = await run_job(root, simulator, items, settings, background_tasks=[fill_up])
            written = stderr.getvalue() if log == "read" else "fallback log"  # type: ignore[attr-defined]
        fallback = (root / ".batch" / "fallback.jsonl").read_text()
        again = await run_job(root, simulator, items)

    assert stopped.exit_code is ExitCode.STOPPED
    assert '"task_id"' in fallback
    assert "fallback log" in written
    assert again.exit_code is ExitCode.DONE
    assert statuses(root) == {ItemStatus.DONE: 120}
    assert check_invariants(root, simulator) == []
    assert set(submissions_per_prompt(simulator).values()) == {1}


def reject_completions(connection: sqlite3.Connection) -> None:
    """Let SQLite fail for every task_completed event."""
    connection.execute(
        "CREATE TEMP TRIGGER full BEFORE INSERT ON main.events WHEN NEW.event = 'task_completed' "
        "BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    )


def accept_completions(connection: sqlite3.Connection) -> None:
    """Undo `reject_completions`."""
    connection.execute("DROP TRIGGER full")


async def test_briefly_failing_journal_shuts_the_run_down(tmp_path: Path) -> None:
    """The events after a lost one are illegal transitions; they must not be taken for a defect."""
    root, items = tmp_path / "out", some_items(60)
    async with simulated_service("delay:submit:every=1", service_time="uniform:1,2") as simulator:

        async def fail_once(run: Run) -> None:
            await execute_in_journal(run, reject_completions)
            while not run.state.control.shutting_down:  # noqa: ASYNC110  any of the stages may notice
                await anyio.sleep(0.01)
            await execute_in_journal(run, accept_completions)

        stopped = await run_job(
            root, simulator, items, some_settings(rate="5/s"), background_tasks=[fail_once]
        )
        again = await run_job(root, simulator, items)

    assert stopped.exit_code is ExitCode.STOPPED
    assert again.exit_code is ExitCode.DONE
    assert check_invariants(root, simulator) == []
    assert set(submissions_per_prompt(simulator).values()) == {1}


async def test_duplicate_task_id_in_the_fallback_log_is_held(tmp_path: Path) -> None:
    """The service gave one task id twice, and the journal did not take the second."""
    root, (first, second) = tmp_path / "out", some_items(2)
    with open_job(root, IDENTITY) as job:
        job.journal.import_items([first, second])
        for item in (first, second):
            job.journal.apply(Change(key=item.key, event=Event.SUBMIT_STARTED))
        confirmed = Change(key=first.key, event=Event.SUBMIT_CONFIRMED, task_id="a" * 32)
        job.journal.apply(confirmed)
        job.fallback_log.append(
            {"key": second.key, "event": "submit_confirmed", "task_id": "a" * 32}
        )

    with open_job(root, IDENTITY):
        pass

    assert [row.status for row in rows(root)] == [ItemStatus.SUBMITTED, ItemStatus.HELD]
    assert rows(root)[1].reason == "duplicate-task-id"
