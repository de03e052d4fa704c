"""Every operation is committed, however the two threads take turns."""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from batch_runner.journal.sql import group_commit
from batch_runner.journal.sql.connection import Connection
from batch_runner.journal.sql.group_commit import GroupCommit
from batch_runner.journal.sqlite.commit import commit_batch

#: Seconds after which something hangs, however slow the machine.
HANGS = 250.0


@pytest.fixture
def _restless_threads() -> Iterator[None]:
    """Switch threads within lines of code, as a busy machine sometimes does."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


def committer(connection: sqlite3.Connection, *arguments: Any, **more: Any) -> GroupCommit:
    return GroupCommit(functools.partial(commit_batch, connection), *arguments, **more)


def _read(connection: Connection) -> int:
    return int(connection.execute("SELECT 1").fetchone()[0])


@pytest.mark.usefixtures("_restless_threads")
def test_operation_queued_as_the_thread_goes_idle_is_run() -> None:
    async def work() -> int:
        with closing(
            sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        ) as connection:
            commits = committer(connection)
            try:
                async with asyncio.timeout(HANGS), asyncio.TaskGroup() as group:
                    tasks = [group.create_task(submit(commits, n)) for n in range(30)]
            finally:
                commits.close()
            return sum(task.result() for task in tasks)

    async def submit(commits: GroupCommit, number: int) -> int:
        total = 0
        for _ in range(500):
            for _ in range(number % 3):
                await asyncio.sleep(0)
            total += await commits.submit(_read)
        return total

    assert asyncio.run(work()) == 30 * 500


def test_close_flushes_operations_batched_after_a_commit() -> None:
    async def work() -> tuple[int, int]:
        commits: list[None] = []
        with closing(
            sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        ) as connection:
            journal = committer(
                connection,
                lambda: commits.append(None),
                pause=HANGS * 100,
            )
            await journal.submit(_read)
            later = []
            for _ in range(10):
                later.append(journal.submit(_read))
                await asyncio.sleep(0.001)
            journal.close()
            return len(commits), sum(await asyncio.gather(*later))

    assert asyncio.run(work()) == (2, 10)


def test_deferred_operation_joins_the_next_or_runs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> list[int]:
        commits = [0]
        with closing(
            sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        ) as connection:
            journal = committer(connection, lambda: commits.append(0), pause=0.0)
            monkeypatch.setattr(group_commit, "DEFER_SECONDS", HANGS)
            together = journal.submit(_read, deferrable=True)
            await asyncio.sleep(0.01)
            assert not journal.busy
            assert not together.done()
            await journal.submit(_read)
            assert together.done()
            after_one = len(commits)
            await asyncio.sleep(0.01)  # the thread sleeps again
            monkeypatch.setattr(group_commit, "DEFER_SECONDS", 0.01)
            async with asyncio.timeout(HANGS):
                await journal.submit(_read, deferrable=True)
            monkeypatch.setattr(group_commit, "DEFER_SECONDS", HANGS)
            alone = len(commits)
            left = journal.submit(_read, deferrable=True)
            journal.close()
            await left
            return [after_one, alone, len(commits), int(journal.busy)]

    assert asyncio.run(work()) == [2, 3, 4, 0]
