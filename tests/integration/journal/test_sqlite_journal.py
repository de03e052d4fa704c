"""What only the journal in SQLite has: a file, copies of it, a thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batch_runner.errors import JournalError, JournalUnreadable
from batch_runner.journal import Change, ItemRow, Journal, open_reader
from batch_runner.journal.sql.connection import Connection
from batch_runner.journal.sql.group_commit import LARGEST_BATCH, PendingOperation
from batch_runner.journal.sqlite.connection import connect
from batch_runner.lifecycle import Event, ItemStatus
from batch_runner.models import PlacedFile, ReusedFrom
from tests.harness import some_items

pytestmark = pytest.mark.anyio

NOW = 1_780_000_000.0
A_FILE = PlacedFile(name="card-0.png", size=3, sha256="a" * 64, media_type="image/png")


def key(number: int) -> str:
    return f"{number:032x}"


def task(number: int) -> str:
    return f"{number:032x}"[::-1]


class BatchEachTurn:
    """A committer without a thread: what one iteration of the loop submits shares a commit."""

    def __init__(
        self, commit: Callable[[list[PendingOperation]], None], after_commit: Callable[[], None]
    ) -> None:
        self._commit_batch = commit
        self._after_commit = after_commit
        self._batch: list[PendingOperation] = []

    @property
    def busy(self) -> bool:
        return bool(self._batch)

    def submit(
        self, operation: Callable[[Connection], Any], *, deferrable: bool = False
    ) -> asyncio.Future[Any]:
        assert not deferrable
        loop = asyncio.get_running_loop()
        if not self._batch:
            loop.call_soon(self._commit)
        future: asyncio.Future[Any] = loop.create_future()
        self._batch.append(PendingOperation(operation, future))
        return future

    def _commit(self) -> None:
        batch, self._batch = self._batch, []
        self._commit_batch(batch)
        self._after_commit()
        for waiting in batch:
            waiting.complete()

    def close(self) -> None:
        assert not self._batch


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "out" / ".batch"
    folder.mkdir(parents=True)
    return folder / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    made = Journal.create(
        path, job="cards", provider="baicai", origin="http://service", wall_clock=lambda: NOW
    )
    yield made
    made.close()


def apply(journal: Journal, *events: Event, number: int = 0) -> None:
    """Apply these events to an item, one after the other."""
    for event in events:
        task_id = task(number) if event in (Event.SUBMIT_CONFIRMED, Event.ATTACHED) else None
        journal.apply(Change(key=key(number), event=event, task_id=task_id, reason="because"))


def items(path: Path) -> list[ItemRow]:
    with open_reader(path) as reader:
        return list(reader.items())


def statuses(path: Path) -> list[ItemStatus]:
    return [row.status for row in items(path)]


async def test_many_changes_at_once_share_commits(journal: Journal, path: Path) -> None:
    count = LARGEST_BATCH + 100
    journal.import_items(some_items(count))
    journal.start()
    syncs = 0

    def count_syncs(seq: int) -> None:
        nonlocal syncs
        syncs += 1

    journal.follow_last_event(count_syncs)
    changes = [Change(key=key(number), event=Event.SUBMIT_STARTED) for number in range(count)]

    await asyncio.gather(*(journal.record(change) for change in changes))

    assert statuses(path) == [ItemStatus.SUBMITTING] * count
    assert syncs < count / 2
    assert not journal.busy
    journal.stop()


async def test_full_disk_fails_all_waiters_and_keeps_nothing(path: Path) -> None:
    Journal.create(path, job="cards", provider="baicai", origin="http://service").close()
    connection = connect(path)
    journal = Journal(connection)
    journal.import_items(some_items(3))
    reported: list[int] = []
    journal.follow_last_event(reported.append)
    _fill(connection)
    journal.start(BatchEachTurn)

    outcomes = await asyncio.gather(
        *(
            journal.record(Change(key=key(number), event=Event.SUBMIT_STARTED, message=text))
            for number, text in enumerate(("short", "long" * 10_000))
        ),
        return_exceptions=True,
    )
    pending = await journal.pending_items(after=-1, limit=10)

    assert [type(outcome) for outcome in outcomes] == [JournalError, JournalError]
    assert len(pending) == 3
    assert reported == [3], "an event that is not on the disk was reported"
    journal.close()


def _fill(connection: sqlite3.Connection) -> None:
    """Limit the file to its present size, as a full disk does."""
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")


async def test_error_in_the_thread_fails_later_changes(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(1))

    def break_down(seq: int) -> None:
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        journal.follow_last_event(break_down)
    journal.start()
    first = journal.record(Change(key=key(0), event=Event.SUBMIT_STARTED))
    await first

    with pytest.raises(JournalError, match="the journal stopped"):
        await journal.record(Change(key=key(0), event=Event.SUBMIT_CONFIRMED, task_id=task(0)))

    journal.stop()
    assert statuses(path) == [ItemStatus.SUBMITTING]


def test_copy_is_recognised_and_moved_journal_is_not(tmp_path: Path, path: Path) -> None:
    Journal.create(path, job="cards", provider="baicai", origin="o").close()
    copied = tmp_path / "copy" / ".batch" / "journal.sqlite"
    copied.parent.mkdir(parents=True)
    copied.write_bytes(path.read_bytes())
    moved = tmp_path / "moved" / ".batch" / "journal.sqlite"
    path.parent.parent.rename(tmp_path / "moved")

    with closing(Journal.open(copied)) as journal:
        assert not journal.is_original_location(copied, known=True)
    with closing(Journal.open(moved)) as journal:
        assert journal.is_original_location(moved, known=False)


def test_restored_backup_is_accepted_if_the_job_is_known(path: Path) -> None:
    Journal.create(path, job="cards", provider="baicai", origin="o").close()
    path.rename(path.with_name("first"))  # so that the second gets another inode
    path.write_bytes(path.with_name("first").read_bytes())

    with closing(Journal.open(path)) as journal:
        assert not journal.is_original_location(path, known=False)
        assert journal.is_original_location(path, known=True)


def test_new_journal_is_readable_by_its_owner_only(journal: Journal, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "damage", ["missing", "empty", "text", "version", "cut", "page", "jobless"]
)
def test_damaged_journal_is_refused(path: Path, damage: str) -> None:
    _damage(path, damage)

    with pytest.raises(JournalUnreadable, match=r"journal\.sqlite"):
        Journal.open(path)


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "version", "cut"])
def test_reader_refuses_a_damaged_journal(path: Path, damage: str) -> None:
    _damage(path, damage)

    with pytest.raises(JournalUnreadable, match=r"journal\.sqlite"), open_reader(path) as reader:
        list(reader.items())


def _damage(path: Path, damage: str) -> None:
    with closing(Journal.create(path, job="cards", provider="baicai", origin="o")) as journal:
        journal.import_items(some_items(200))
    complete = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_bytes(b"the dog ate it" * 500)
    elif damage == "version":
        _sql(path, "PRAGMA user_version = 99")
    elif damage == "cut":
        path.write_bytes(complete[: len(complete) // 2])
    elif damage == "page":
        path.write_bytes(complete[:20_480] + b"\xa5" * 4096 + complete[24_576:])
    else:
        _sql(path, "DELETE FROM job")


def _sql(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def test_journal_in_a_missing_folder_cannot_be_created(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be created"):
        Journal.create(tmp_path / "none" / "journal.sqlite", job="j", provider="p", origin="o")


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [
        (Event.SUBMIT_UNSENT, True),
        (Event.SUBMIT_CONFIRMED, False),
        (Event.SUBMIT_UNANSWERED, False),
        (Event.SUBMIT_INTERRUPTED, False),
    ],
)
def test_agreement_to_pay_again_is_kept_until_it_is_used(
    tmp_path: Path, outcome: Event, kept: bool
) -> None:
    path = tmp_path / "journal.sqlite"
    path.parent.mkdir(exist_ok=True)
    source = ReusedFrom(job="a" * 32, folder="/out/one")
    (item,) = some_items(1)
    with closing(Journal.create(path, job="j", provider="baicai", origin="https://a")) as journal:
        journal.import_items([item])
        before = Change(key=item.key, event=Event.FAILED_BEFORE, reused_from=source)
        journal.apply(before)
        for event in (Event.RETRIED, Event.SUBMIT_STARTED):
            journal.apply(Change(key=item.key, event=event))
        assert journal.status_of(item.key) is ItemStatus.SUBMITTING

        journal.apply(Change(key=item.key, event=outcome, task_id="t" * 32))
        with open_reader(path) as reader:
            (row,) = reader.items()
            assert (row.reused_from == source) is kept
            assert (reader.keys_to_pay_again() == [item.key]) is kept
