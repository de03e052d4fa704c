from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batch_runner.errors import IllegalTransition, JournalError, JournalUnreadable
from batch_runner.journal import Change, EventRow, ItemRow, Journal, open_reader
from batch_runner.journal.base import TaskIdTaken
from batch_runner.journal.sqlite.connection import connect
from batch_runner.journal.sqlite.group_commit import LARGEST_BATCH, PendingOperation, commit_batch
from batch_runner.lifecycle import Event, ItemStatus
from batch_runner.models import ItemSpec, PlacedFile
from tests.harness import an_item, some_items

pytestmark = pytest.mark.anyio

NOW = 1_780_000_000.0
A_FILE = PlacedFile(name="card-0.png", size=3, sha256="a" * 64, media_type="image/png")


def key(number: int) -> str:
    return f"{number:032x}"


def task(number: int) -> str:
    return f"{number:032x}"[::-1]


class BatchEachTurn:
    """A committer without a thread: what is queued in one turn of the loop shares a commit."""

    def __init__(self, connection: sqlite3.Connection, after_commit: Callable[[], None]) -> None:
        self._connection = connection
        self._after_commit = after_commit
        self._batch: list[PendingOperation] = []

    @property
    def busy(self) -> bool:
        return bool(self._batch)

    def submit(
        self, operation: Callable[[sqlite3.Connection], Any], *, deferrable: bool = False
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
        commit_batch(self._connection, batch)
        self._after_commit()
        for waiting in batch:
            waiting.settle()

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
    """Let these events happen to an item, one after the other."""
    for event in events:
        task_id = task(number) if event in (Event.SUBMIT_CONFIRMED, Event.ATTACHED) else None
        journal.apply(Change(key=key(number), event=event, task_id=task_id, reason="because"))


def items(path: Path) -> list[ItemRow]:
    with open_reader(path) as reader:
        return list(reader.items())


def events(path: Path, number: int = 0) -> list[EventRow]:
    with open_reader(path) as reader:
        return reader.events(key(number))


def statuses(path: Path) -> list[ItemStatus]:
    return [row.status for row in items(path)]


def test_a_new_journal_knows_its_job_and_no_item(journal: Journal, path: Path) -> None:
    with open_reader(path) as reader:
        job = reader.job()

        assert (job.name, job.provider, job.origin) == ("cards", "baicai", "http://service")
        assert (job.created_at, reader.spent()) == (NOW, 0)
    assert path.stat().st_mode & 0o777 == 0o600


def test_new_items_wait_in_the_order_of_the_manifest(journal: Journal, path: Path) -> None:
    imported = journal.import_items(reversed(some_items(3)), manifest="cards.yaml", price="1 CNY")

    assert (imported.new, imported.known, imported.unlisted) == (3, 0, 0)
    assert [row.id for row in items(path)] == ["item-0", "item-1", "item-2"]
    assert statuses(path) == [ItemStatus.PENDING] * 3
    assert [event.event for event in events(path)] == ["listed"]


def test_more_items_than_fit_a_page_are_all_read_once(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(1203))

    assert [row.position for row in items(path)] == list(range(1203))


def test_an_item_comes_back_as_it_was_listed(journal: Journal, path: Path) -> None:
    journal.import_items([an_item(prompt="马年大吉 \x00 'quoted'", attempts=3)])

    row = items(path)[0]
    assert (row.prompt, row.attempts, row.attempt) == ("马年大吉 \x00 'quoted'", 3, 0)
    assert row.params == {"6": {"text": "马年大吉 \x00 'quoted'"}}
    assert (row.task_id, row.files, row.reason, row.listed) == (None, (), None, True)


def test_a_second_import_keeps_what_is_known_and_sets_aside_what_is_gone(
    journal: Journal, path: Path
) -> None:
    journal.import_items(some_items(3))
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED)

    imported = journal.import_items([an_item(0), an_item(2), an_item(3)])

    assert (imported.new, imported.known, imported.unlisted) == (1, 2, 1)
    assert [(row.id, row.listed) for row in items(path)] == [
        ("item-0", True),
        ("item-1", False),
        ("item-2", True),
        ("item-3", True),
    ]
    assert items(path)[0].task_id == task(0)
    assert len(events(path)) == 3


def test_an_item_that_comes_back_to_the_manifest_is_listed_again(
    journal: Journal, path: Path
) -> None:
    journal.import_items(some_items(2))
    journal.import_items([an_item(0)])

    journal.import_items(some_items(2))

    assert [row.listed for row in items(path)] == [True, True]
    assert [event.event for event in events(path, 1)] == ["listed"]


def test_what_is_unlisted_counts_only_while_money_hangs_on_it(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(3))
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_UNANSWERED, number=1)

    journal.import_items([an_item(0)])

    assert journal.counts_now()[ItemStatus.PENDING] == 1
    assert journal.counts_now()[ItemStatus.HELD] == 1
    with open_reader(path) as reader:
        assert reader.counts() == journal.counts_now()
        assert len(list(reader.items())) == 3


def test_an_import_that_breaks_off_changes_nothing(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(1))
    told: list[int] = []
    journal.watch_high_water(told.append)

    def broken() -> Iterator[ItemSpec]:
        yield from some_items(3)
        raise UnicodeError("the list cannot be read")

    with pytest.raises(UnicodeError):
        journal.import_items(broken(), manifest="other.yaml")
    journal.tell_high_water()

    assert [row.id for row in items(path)] == ["item-0"]
    with open_reader(path) as reader:
        assert reader.job().manifest == ""
    assert told == [1]


def test_a_life_is_one_row_and_its_events(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(1))
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED, Event.TASK_COMPLETED)
    journal.apply(Change(key=key(0), event=Event.PLACED, files=(A_FILE,)))

    row = items(path)[0]
    assert (row.status, row.task_id, row.attempt) == (ItemStatus.DONE, task(0), 1)
    assert row.files == (A_FILE,)
    assert row.started_at == row.submitted_at == row.completed_at == row.done_at == NOW
    assert [(event.event, event.attempt, event.task_id) for event in events(path)] == [
        ("listed", 0, None),
        ("submit_started", 1, None),
        ("submit_confirmed", 1, task(0)),
        ("task_completed", 1, task(0)),
        ("placed", 1, task(0)),
    ]
    assert list(journal.placed()) == [(key(0), [A_FILE.name])]


@pytest.mark.parametrize(
    ("outcome", "status", "spent"),
    [
        pytest.param(Event.SUBMIT_CONFIRMED, ItemStatus.SUBMITTED, 1, id="accepted"),
        pytest.param(Event.SUBMIT_UNANSWERED, ItemStatus.HELD, 1, id="unanswered"),
        pytest.param(Event.SUBMIT_UNSENT, ItemStatus.PENDING, 0, id="unsent"),
        pytest.param(Event.SUBMIT_REJECTED, ItemStatus.REJECTED, 0, id="rejected"),
    ],
)
def test_a_create_counts_as_paid_unless_it_certainly_was_not(
    journal: Journal, path: Path, outcome: Event, status: ItemStatus, spent: int
) -> None:
    journal.import_items(some_items(1))
    apply(journal, Event.SUBMIT_STARTED)
    assert journal.spent_now() == 1

    apply(journal, outcome)

    assert statuses(path) == [status]
    assert journal.spent_now() == spent


@pytest.mark.parametrize(
    ("event", "status"),
    [
        pytest.param(Event.UPLOAD_FAILED, ItemStatus.PENDING, id="failed"),
        pytest.param(Event.UPLOAD_REJECTED, ItemStatus.REJECTED, id="rejected"),
    ],
)
def test_upload_outcome_counts_no_attempt(
    journal: Journal, path: Path, event: Event, status: ItemStatus
) -> None:
    journal.import_items(some_items(1))

    journal.apply(Change(key=key(0), event=event, reason="upload", message="too large"))

    (row,) = items(path)
    assert (row.status, row.attempt, row.reason, row.message) == (status, 0, "upload", "too large")
    assert journal.spent_now() == 0


def test_a_new_attempt_forgets_the_old_task_but_not_its_cost(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(1))
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED, Event.TASK_FAILED, Event.RETRIED)

    apply(journal, Event.SUBMIT_STARTED)

    row = items(path)[0]
    assert (row.task_id, row.attempt, row.reason) == (None, 2, None)
    assert journal.spent_now() == 2


def test_an_illegal_move_changes_nothing(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(1))
    before = items(path), events(path)

    with pytest.raises(IllegalTransition, match="from pending by placed"):
        journal.apply(Change(key=key(0), event=Event.PLACED, files=(A_FILE,)))

    assert (items(path), events(path)) == before


def test_an_item_that_is_not_there_cannot_move(journal: Journal) -> None:
    with pytest.raises(JournalError, match=f"has no item {key(7)}"):
        apply(journal, Event.SUBMIT_STARTED, number=7)


def test_a_task_id_belongs_to_one_item(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(2))
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED)
    apply(journal, Event.SUBMIT_STARTED, number=1)

    with pytest.raises(TaskIdTaken, match="already belongs to item item-0"):
        journal.apply(Change(key=key(1), event=Event.SUBMIT_CONFIRMED, task_id=task(0)))

    assert statuses(path) == [ItemStatus.SUBMITTED, ItemStatus.SUBMITTING]


def test_what_an_earlier_run_left_in_between_can_go_on(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(5))
    apply(journal, Event.SUBMIT_STARTED, number=1)
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED, number=2)
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED, Event.TASK_COMPLETED, number=3)
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED, Event.TASK_UNKNOWN, number=4)

    recovered = journal.recover()

    assert (recovered.held, recovered.resumed) == (1, 2)
    assert statuses(path) == [
        ItemStatus.PENDING,
        ItemStatus.HELD,
        ItemStatus.SUBMITTED,
        ItemStatus.SUBMITTED,
        ItemStatus.SUBMITTED,
    ]
    held = items(path)[1]
    assert (held.reason, held.attempt) == ("interrupted", 1)
    assert "it may have been paid" in (held.message or "")


def test_a_second_recovery_finds_nothing_to_do(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(1))
    apply(journal, Event.SUBMIT_STARTED)
    journal.recover()
    before = events(path)

    recovered = journal.recover()

    assert (recovered.held, recovered.resumed) == (0, 0)
    assert events(path) == before


async def test_many_waiters_share_commits_and_each_finds_its_change_on_the_disk(
    journal: Journal, path: Path
) -> None:
    count = LARGEST_BATCH + 100
    journal.import_items(some_items(count))
    journal.start()
    syncs = 0

    def count_syncs(seq: int) -> None:
        nonlocal syncs
        syncs += 1

    journal.watch_high_water(count_syncs)
    changes = [Change(key=key(number), event=Event.SUBMIT_STARTED) for number in range(count)]

    await asyncio.gather(*(journal.record(change) for change in changes))

    assert statuses(path) == [ItemStatus.SUBMITTING] * count
    assert syncs < count / 2
    assert not journal.busy
    journal.stop()


async def test_an_awaited_change_is_there_for_another_reader(journal: Journal, path: Path) -> None:
    journal.import_items(some_items(1))
    journal.start()

    await journal.record(Change(key=key(0), event=Event.SUBMIT_STARTED))

    assert statuses(path) == [ItemStatus.SUBMITTING]
    journal.stop()


async def test_a_waiter_that_went_away_does_not_take_its_change_with_it(
    journal: Journal, path: Path
) -> None:
    journal.import_items(some_items(1))
    journal.start()

    journal.record(Change(key=key(0), event=Event.SUBMIT_STARTED)).cancel()
    journal.stop()

    assert statuses(path) == [ItemStatus.SUBMITTING]


async def test_one_illegal_move_does_not_disturb_its_neighbours(
    journal: Journal, path: Path
) -> None:
    journal.import_items(some_items(3))
    journal.start()
    moves = [Event.SUBMIT_STARTED, Event.PLACED, Event.SUBMIT_STARTED]

    outcomes = await asyncio.gather(
        *(
            journal.record(Change(key=key(number), event=event))
            for number, event in enumerate(moves)
        ),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), IllegalTransition, type(None)]
    assert statuses(path) == [
        ItemStatus.SUBMITTING,
        ItemStatus.PENDING,
        ItemStatus.SUBMITTING,
    ]
    journal.stop()


async def test_of_two_items_with_one_task_id_the_second_is_told(
    journal: Journal, path: Path
) -> None:
    journal.import_items(some_items(2))
    for number in range(2):
        apply(journal, Event.SUBMIT_STARTED, number=number)
    journal.start()

    outcomes = await asyncio.gather(
        *(
            journal.record(Change(key=key(number), event=Event.SUBMIT_CONFIRMED, task_id=task(0)))
            for number in range(2)
        ),
        return_exceptions=True,
    )

    assert outcomes[0] is None
    assert isinstance(outcomes[1], TaskIdTaken)
    assert statuses(path) == [ItemStatus.SUBMITTED, ItemStatus.SUBMITTING]
    journal.stop()


async def test_a_full_disk_fails_the_waiters_and_keeps_nothing_of_them(path: Path) -> None:
    Journal.create(path, job="cards", provider="baicai", origin="http://service").close()
    connection = connect(path)
    journal = Journal(connection)
    journal.import_items(some_items(3))
    told: list[int] = []
    journal.watch_high_water(told.append)
    _fill(connection)
    journal.start(BatchEachTurn)

    outcomes = await asyncio.gather(
        *(
            journal.record(Change(key=key(number), event=Event.SUBMIT_STARTED, message=text))
            for number, text in enumerate(("short", "long" * 10_000))
        ),
        return_exceptions=True,
    )
    pending = await journal.waiting(after=-1, limit=10)

    assert [type(outcome) for outcome in outcomes] == [JournalError, JournalError]
    assert len(pending) == 3
    assert told == [3], "the marker must never be told of an event that is not on the disk"
    journal.close()


def _fill(connection: sqlite3.Connection) -> None:
    """Let the file grow no more, as if the disk were full."""
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")


async def test_after_an_accident_in_the_thread_nobody_waits_for_ever(
    journal: Journal, path: Path
) -> None:
    journal.import_items(some_items(1))

    def break_down(seq: int) -> None:
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        journal.watch_high_water(break_down)
    journal.start()
    first = journal.record(Change(key=key(0), event=Event.SUBMIT_STARTED))
    await first

    with pytest.raises(JournalError, match="the journal stopped"):
        await journal.record(Change(key=key(0), event=Event.SUBMIT_CONFIRMED, task_id=task(0)))

    journal.stop()
    assert statuses(path) == [ItemStatus.SUBMITTING]


async def test_a_run_reads_what_waits_and_what_is_under_way(journal: Journal) -> None:
    journal.import_items(some_items(5))
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED, number=1)
    journal.start()

    first = await journal.waiting(after=-1, limit=2)
    rest = await journal.waiting(after=first[-1].position, limit=10)
    under_way = await journal.in_flight(after="", limit=10)

    assert [item.id for item in (*first, *rest)] == ["item-0", "item-2", "item-3", "item-4"]
    assert [(one.key, one.task_id, one.attempt) for one in under_way] == [(key(1), task(1), 1)]
    journal.stop()


async def test_a_journal_that_was_not_started_says_so(journal: Journal) -> None:
    with pytest.raises(JournalError, match="has not been started"):
        await journal.waiting(after=-1, limit=10)


async def test_a_reader_in_the_middle_of_a_list_does_not_stop_a_writer(
    journal: Journal, path: Path
) -> None:
    journal.import_items(some_items(1200))
    journal.start()

    with open_reader(path) as reader:
        rows = reader.items()
        next(rows)
        await journal.record(Change(key=key(1199), event=Event.SUBMIT_STARTED))
        last = list(rows)[-1]

    assert last.status is ItemStatus.SUBMITTING
    journal.stop()


async def test_uploads_and_lessons_are_remembered(journal: Journal, path: Path) -> None:
    journal.keep_learned({"cards": "{}"})
    journal.start()
    assert await journal.upload_value("a" * 64, 0.0) is None

    await journal.remember_upload("a" * 64, "2026/a.png")

    assert await journal.upload_value("a" * 64, 0.0) == "2026/a.png"
    journal.stop()
    assert journal.learned() == {"cards": "{}"}


def test_a_run_leaves_its_figures(journal: Journal, path: Path) -> None:
    figures = {
        "submissions": 2,
        "polls": 9,
        "limited": 1,
        "retries": 0,
        "samples": [[60, 2, 9, 1, 2]],
    }

    number = journal.begin_run(pid=7, host="here")
    journal.end_run(number, figures, exit_code=0, message="all done")

    with open_reader(path) as reader:
        run = reader.runs()[0]
    assert (run.run, run.pid, run.exit_code, run.message) == (1, 7, 0, "all done")
    assert (run.submissions, run.polls, run.samples) == (2, 9, [[60, 2, 9, 1, 2]])


def test_the_last_event_is_told_when_it_is_on_the_disk(journal: Journal) -> None:
    journal.import_items(some_items(2))
    told: list[int] = []

    journal.watch_high_water(told.append)
    apply(journal, Event.SUBMIT_STARTED)
    journal.tell_high_water()

    assert told == [2, 3]
    assert journal.last_event == 3


def test_a_journal_goes_on_where_it_was_closed(path: Path) -> None:
    with closing(Journal.create(path, job="cards", provider="baicai", origin="o")) as first:
        first.import_items(some_items(2))
        apply(first, Event.SUBMIT_STARTED)

    with closing(Journal.open(path)) as second:
        assert second.last_event == 3
        assert second.status_of(key(0)) is ItemStatus.SUBMITTING
        assert second.status_of(key(9)) is None


def test_a_copy_is_told_from_the_journal_that_was_moved(tmp_path: Path, path: Path) -> None:
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


def test_another_file_in_the_same_place_is_believed_where_its_job_is_known(path: Path) -> None:
    Journal.create(path, job="cards", provider="baicai", origin="o").close()
    path.rename(path.with_name("first"))  # keeps its number from the second
    path.write_bytes(path.with_name("first").read_bytes())

    with closing(Journal.open(path)) as journal:
        assert not journal.is_original_location(path, known=False)
        assert journal.is_original_location(path, known=True)


@pytest.mark.parametrize(
    "damage", ["missing", "empty", "text", "version", "cut", "page", "jobless"]
)
def test_a_journal_that_cannot_be_trusted_is_refused(path: Path, damage: str) -> None:
    _damage(path, damage)

    with pytest.raises(JournalUnreadable, match=r"journal\.sqlite"):
        Journal.open(path)


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "version", "cut"])
def test_a_reader_refuses_it_too(path: Path, damage: str) -> None:
    _damage(path, damage)

    with pytest.raises(JournalUnreadable, match=r"journal\.sqlite"), open_reader(path) as reader:
        list(reader.items())


def _damage(path: Path, damage: str) -> None:
    with closing(Journal.create(path, job="cards", provider="baicai", origin="o")) as journal:
        journal.import_items(some_items(200))
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_bytes(b"the dog ate it" * 500)
    elif damage == "version":
        _sql(path, "PRAGMA user_version = 99")
    elif damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "page":
        path.write_bytes(whole[:20_480] + b"\xa5" * 4096 + whole[24_576:])
    else:
        _sql(path, "DELETE FROM job")


def _sql(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def test_a_journal_is_not_made_where_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be created"):
        Journal.create(tmp_path / "none" / "journal.sqlite", job="j", provider="p", origin="o")
