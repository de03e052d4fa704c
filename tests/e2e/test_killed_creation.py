"""A first run that is killed while it creates the journal leaves nothing in the way."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.conftest import Command, Service


def leave_empty(journal: Path) -> None:
    """Leave a file without a byte."""
    journal.touch()


def leave_uncommitted(journal: Path) -> None:
    """Leave pages of a first transaction, and the rollback journal that undoes them."""
    scratch = journal.with_name("scratch")
    with closing(sqlite3.connect(scratch, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA cache_size = 2")  # pages are written before the commit
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE job (id TEXT)")
        connection.executemany("INSERT INTO job VALUES (hex(randomblob(?)))", [(900,)] * 50)
        for suffix in ("", "-journal"):
            shutil.copy(f"{scratch}{suffix}", f"{journal}{suffix}")
        connection.execute("ROLLBACK")
    assert journal.stat().st_size > 0
    for suffix in ("", "-journal"):
        Path(f"{scratch}{suffix}").unlink(missing_ok=True)


@pytest.mark.parametrize("leave", [leave_empty, leave_uncommitted])
@pytest.mark.parametrize("first", ["plan", "status", "run", "retry"])
def test_killed_creation_is_no_job(
    command: Command, service: Service, leave: object, first: str
) -> None:
    (command.out / ".batch").mkdir(parents=True)
    assert callable(leave)
    leave(command.out / ".batch" / "journal.sqlite")

    done = command(first, *(["--all"] if first == "retry" else []))

    assert "Traceback" not in done.stderr
    assert "no such table" not in done.stderr
    code = {"status": 3, "retry": 2}.get(first, 0)  # as for a job that has never been run
    assert done.returncode == code, done.stderr
    if code:
        assert "run yet" in done.stdout + done.stderr
    assert command("run").returncode == 0
    assert list(service.paid().values()) == [1] * 8
