"""No change waits for ever for the thread of the journal, however the two threads take turns."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from batch_runner.journal.sqlite import group_commit as commit
from batch_runner.journal.sqlite.group_commit import GroupCommit

#: Seconds after which something hangs, however slow the machine.
PATIENCE = 250.0


@pytest.fixture
def _restless_threads() -> Iterator[None]:
    """Let the threads take turns within a line of code, as a busy machine does now and then."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


def _read(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT 1").fetchone()[0])


@pytest.mark.usefixtures("_restless_threads")
def test_what_is_queued_as_the_thread_finds_the_queue_empty_is_not_left_there() -> None:
    async def work() -> int:
        with closing(
            sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        ) as connection:
            commits = GroupCommit(connection)
            try:
                async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
                    tasks = [group.create_task(submit(commits, n)) for n in range(30)]
            finally:
                commits.close()
            return sum(task.result() for task in tasks)

    async def submit(commits: GroupCommit, number: int) -> int:
        told = 0
        for _ in range(500):
            for _ in range(number % 3):
                await asyncio.sleep(0)
            told += await commits.submit(_read)
        return told

    assert asyncio.run(work()) == 30 * 500


def test_what_comes_soon_after_a_commit_shares_the_next_one_which_closing_does_not_lose() -> None:
    async def work() -> tuple[int, int]:
        commits: list[None] = []
        with closing(
            sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        ) as connection:
            journal = GroupCommit(connection, lambda: commits.append(None), pause=PATIENCE * 100)
            await journal.submit(_read)
            later = []
            for _ in range(10):
                later.append(journal.submit(_read))
                await asyncio.sleep(0.001)
            journal.close()
            return len(commits), sum(await asyncio.gather(*later))

    assert asyncio.run(work()) == (2, 10)


def test_what_nobody_waits_for_goes_with_the_next_change_or_soon_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work() -> list[int]:
        commits = [0]
        with closing(
            sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        ) as connection:
            journal = GroupCommit(connection, lambda: commits.append(0), pause=0.0)
            # Long enough for a machine that is busy with something else meanwhile.
            monkeypatch.setattr(commit, "PATIENCE", PATIENCE)
            together = journal.submit(_read, deferrable=True)
            await asyncio.sleep(0.01)
            assert not journal.busy
            assert not together.done()
            await journal.submit(_read)
            assert together.done()
            after_one = len(commits)
            await asyncio.sleep(0.01)  # the thread sleeps again
            monkeypatch.setattr(commit, "PATIENCE", 0.01)
            async with asyncio.timeout(PATIENCE):
                await journal.submit(_read, deferrable=True)
            monkeypatch.setattr(commit, "PATIENCE", PATIENCE)
            alone = len(commits)
            left = journal.submit(_read, deferrable=True)
            journal.close()
            await left
            return [after_one, alone, len(commits), int(journal.busy)]

    assert asyncio.run(work()) == [2, 3, 4, 0]
