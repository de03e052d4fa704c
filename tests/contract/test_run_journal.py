"""What every journal must do; each implementation is a `param` of `host`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import NoReturn, Protocol

import pytest

from batch_runner.errors import IllegalTransition, JournalError
from batch_runner.journal import (
    Change,
    EventRow,
    ItemImport,
    ItemRow,
    Journal,
    JournalReader,
    OpenJournal,
    TaskIdTaken,
    open_reader,
)
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.journal.postgres.reader import open_reader as postgres_reader
from batch_runner.lifecycle import DUPLICATE_TASK_ID, Event, ItemStatus
from batch_runner.models import ItemSpec, PlacedFile
from tests.harness import an_item, some_items
from tests.harness.postgres import new_schema, postgres

pytestmark = pytest.mark.anyio

NOW = 1_780_000_000.0
FILE = PlacedFile(name="card-0.png", size=3, sha256="a" * 64, media_type="image/png")
#: More items than any implementation reads, writes or commits at a time.
MANY = 1203
FIGURES = {
    "submissions": 2,
    "polls": 9,
    "limited": 1,
    "retries": 0,
    "samples": [[60, 2, 9, 1, 2]],
}


class Host(Protocol):
    """An implementation: one journal of the job `cards`, written at the time NOW."""

    def create(self) -> OpenJournal: ...

    def open(self) -> OpenJournal: ...

    def reader(self) -> JournalReader: ...


class SqliteHost:
    def __init__(self, root: Path) -> None:
        self._path = root / ".batch" / "journal.sqlite"
        self._path.parent.mkdir()

    def create(self) -> OpenJournal:
        return Journal.create(
            self._path,
            job="cards",
            provider="baicai",
            origin="http://service",
            wall_clock=lambda: NOW,
        )

    def open(self) -> OpenJournal:
        return Journal.open(self._path, wall_clock=lambda: NOW)

    def reader(self) -> JournalReader:
        return open_reader(self._path)


class PostgresHost:
    def __init__(self, root: Path) -> None:
        self._dsn, self._schema = postgres().dsn, new_schema()

    def create(self) -> OpenJournal:
        return PostgresJournal.create(
            self._dsn,
            self._schema,
            job="cards",
            provider="baicai",
            origin="http://service",
            wall_clock=lambda: NOW,
        )

    def open(self) -> OpenJournal:
        return PostgresJournal.open(self._dsn, self._schema, wall_clock=lambda: NOW)

    def reader(self) -> JournalReader:
        return postgres_reader(self._dsn, self._schema)


@pytest.fixture(params=[SqliteHost, PostgresHost])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    made: Host = request.param(tmp_path)
    return made


@pytest.fixture
def journal(host: Host) -> Iterator[OpenJournal]:
    journal = host.create()
    yield journal
    journal.close()


def key(number: int) -> str:
    return an_item(number).key


def task(number: int) -> str:
    return key(number)[::-1]


def apply(journal: OpenJournal, *events: Event, number: int = 0) -> None:
    """Apply these events to an item, one after the other."""
    for event in events:
        task_id = task(number) if event in (Event.SUBMIT_CONFIRMED, Event.ATTACHED) else None
        journal.apply(Change(key=key(number), event=event, task_id=task_id, reason="because"))


def items(host: Host) -> list[ItemRow]:
    with host.reader() as reader:
        return list(reader.items())


def statuses(host: Host) -> list[ItemStatus]:
    return [row.status for row in items(host)]


def listed(host: Host) -> list[str]:
    return [row.id for row in items(host) if row.listed]


def events(host: Host, number: int = 0) -> list[EventRow]:
    with host.reader() as reader:
        return reader.events(key(number))


def never() -> NoReturn:
    raise AssertionError("the manifest was read")


def unread() -> Iterator[ItemSpec]:
    yield never()


# The job and its import.


def test_new_journal_has_its_job_and_no_items(host: Host, journal: OpenJournal) -> None:
    with host.reader() as reader:
        job = reader.job()
        assert (job.name, job.provider, job.origin) == ("cards", "baicai", "http://service")
        assert (job.created_at, reader.spent(), list(reader.items())) == (NOW, 0, [])
    assert journal.job()["id"] == job.id
    assert journal.last_event == 0


def test_import_stores_items_in_manifest_order(host: Host, journal: OpenJournal) -> None:
    imported = journal.import_items(reversed(some_items(MANY)), manifest="cards.yaml")

    assert (imported.new, imported.known, imported.unlisted) == (MANY, 0, 0)
    assert [row.position for row in items(host)] == list(range(MANY))
    assert set(statuses(host)) == {ItemStatus.PENDING}
    assert [event.event for event in events(host)] == ["listed"]


def test_imported_item_is_read_back_unchanged(host: Host, journal: OpenJournal) -> None:
    journal.import_items([an_item(prompt="马年大吉 \x00 'quoted'", attempts=3)])

    (row,) = items(host)
    assert (row.prompt, row.attempts, row.attempt) == ("马年大吉 \x00 'quoted'", 3, 0)
    assert row.params == {"6": {"text": "马年大吉 \x00 'quoted'"}}
    assert (row.task_id, row.files, row.reason, row.listed) == (None, (), None, True)


def test_second_import_keeps_known_and_unlists_missing(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(3))
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED)

    imported = journal.import_items([an_item(0), an_item(2), an_item(3)])

    assert (imported.new, imported.known, imported.unlisted) == (1, 2, 1)
    assert listed(host) == ["item-0", "item-2", "item-3"]
    assert items(host)[0].task_id == task(0)
    assert len(events(host)) == 3


def test_item_back_in_the_manifest_is_listed_again(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(2))
    journal.import_items([an_item(0)])

    journal.import_items(some_items(2))

    assert listed(host) == ["item-0", "item-1"]
    assert [event.event for event in events(host, 1)] == ["listed"]


def test_import_updates_what_the_manifest_decides(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(2))
    changed = [
        replace(an_item(1), position=0, source="cards.yaml:2", attempts=4, variables={"a": "b"}),
        replace(an_item(0), position=1, id="first", name="first", prompt="other"),
    ]

    journal.import_items(changed)

    one, other = items(host)
    assert (one.id, one.source, one.attempts) == ("item-1", "cards.yaml:2", 4)
    assert one.variables == {"a": "b"}
    assert (other.id, other.name, other.prompt) == ("first", "first", "other")
    assert (len(events(host, 0)), len(events(host, 1))) == (1, 1)


def test_unlisted_items_count_only_while_they_may_cost(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(4))
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_UNANSWERED, number=1)
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_UNANSWERED, Event.DROPPED, number=2)

    journal.import_items([an_item(0)])

    counts = {status: count for status, count in journal.counts_now().items() if count}
    assert counts == {ItemStatus.PENDING: 1, ItemStatus.HELD: 1}
    assert len(items(host)) == 4
    with host.reader() as reader:
        assert reader.counts() == journal.counts_now()


def test_failed_import_changes_nothing(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(1), fingerprint=lambda: "a")
    reported: list[int] = []
    journal.follow_last_event(reported.append)

    def broken() -> Iterator[ItemSpec]:
        yield from some_items(MANY)
        raise UnicodeError("the manifest cannot be read")

    with pytest.raises(UnicodeError):
        journal.import_items(broken(), manifest="other.yaml", fingerprint=lambda: "b")
    journal.report_last_event()

    assert listed(host) == ["item-0"]
    with host.reader() as reader:
        assert reader.job().manifest == ""
    assert reported == [1]
    with pytest.raises(AssertionError):
        journal.import_items(unread(), fingerprint=lambda: "b")
    journal.import_items(unread(), fingerprint=lambda: "a")


def test_unchanged_fingerprint_skips_the_import(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(3), fingerprint=lambda: "a")
    before = items(host)

    imported = journal.import_items(
        unread(), manifest="b.yaml", price="1 CNY", fingerprint=lambda: "a"
    )

    assert (imported.new, imported.known, imported.unlisted) == (0, 3, 0)
    assert items(host) == before
    with host.reader() as reader:
        assert (reader.job().manifest, reader.job().price) == ("b.yaml", "1 CNY")
        assert reader.compared(unread(), "a") is None


@pytest.mark.parametrize("between", ["b", None])
def test_fingerprint_of_an_earlier_import_is_forgotten(
    between: str | None, host: Host, journal: OpenJournal
) -> None:
    journal.import_items(some_items(3), fingerprint=lambda: "a")
    journal.import_items(some_items(2), fingerprint=lambda: between)

    journal.import_items(some_items(3), fingerprint=lambda: "a")

    assert len(listed(host)) == 3


def test_manifest_changed_during_import_is_read_again(journal: OpenJournal) -> None:
    marks = iter("abb")
    journal.import_items(some_items(2), fingerprint=lambda: next(marks))

    for mark in "ab":
        with pytest.raises(AssertionError, match="was read"):
            journal.import_items(unread(), fingerprint=repeat(mark).__next__)


def test_manifest_changed_after_its_check_is_read_again(host: Host, journal: OpenJournal) -> None:
    marks = ["a"]
    checked = ItemImport(lambda: some_items(2 if marks[-1] == "a" else 3))
    checked.check(marks[-1])
    marks.append("b")

    journal.import_items(checked, fingerprint=lambda: marks[-1])

    assert len(listed(host)) == 3


# Events.


def test_events_lead_an_item_to_done(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(1))
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED, Event.TASK_COMPLETED)
    journal.apply(Change(key=key(0), event=Event.PLACED, files=(FILE,)))

    (row,) = items(host)
    assert (row.status, row.task_id, row.attempt) == (ItemStatus.DONE, task(0), 1)
    assert row.files == (FILE,)
    assert row.started_at == row.submitted_at == row.completed_at == row.done_at == NOW
    assert [(event.event, event.attempt, event.task_id) for event in events(host)] == [
        ("listed", 0, None),
        ("submit_started", 1, None),
        ("submit_confirmed", 1, task(0)),
        ("task_completed", 1, task(0)),
        ("placed", 1, task(0)),
    ]
    assert [tuple(row) for row in journal.placed()] == [(key(0), FILE.name)]


@pytest.mark.parametrize(
    ("outcome", "status", "spent"),
    [
        (Event.SUBMIT_CONFIRMED, ItemStatus.SUBMITTED, 1),
        (Event.SUBMIT_UNANSWERED, ItemStatus.HELD, 1),
        (Event.SUBMIT_UNSENT, ItemStatus.PENDING, 0),
        (Event.SUBMIT_REJECTED, ItemStatus.REJECTED, 0),
    ],
)
def test_submission_is_paid_unless_unsent_or_rejected(
    host: Host, journal: OpenJournal, outcome: Event, status: ItemStatus, spent: int
) -> None:
    journal.import_items(some_items(1))
    apply(journal, Event.SUBMIT_STARTED)
    assert journal.spent_now() == 1

    apply(journal, outcome)

    assert statuses(host) == [status]
    assert journal.spent_now() == spent
    with host.reader() as reader:
        assert reader.spent() == spent
        (one,) = reader.outcomes(0)
        assert (one.key, one.status, one.paid) == (key(0), status, bool(spent))


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (Event.UPLOAD_FAILED, ItemStatus.PENDING),
        (Event.UPLOAD_REJECTED, ItemStatus.REJECTED),
    ],
)
def test_upload_outcome_counts_no_attempt(
    host: Host, journal: OpenJournal, event: Event, status: ItemStatus
) -> None:
    journal.import_items(some_items(1))

    journal.apply(Change(key=key(0), event=event, reason="upload", message="too large"))

    (row,) = items(host)
    assert (row.status, row.attempt, row.reason, row.message) == (status, 0, "upload", "too large")
    assert journal.spent_now() == 0


def test_pending_keys_are_those_never_submitted(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(3))
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_UNANSWERED, Event.RESUBMITTED)
    journal.import_items(some_items(2))

    with host.reader() as reader:
        assert list(reader.pending_keys()) == [(key(1), 1)]


def test_dropped_item_stays_paid(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(1))

    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_UNANSWERED, Event.DROPPED)

    assert statuses(host) == [ItemStatus.DROPPED]
    assert journal.spent_now() == 1
    with host.reader() as reader:
        assert [one.paid for one in reader.outcomes(0)] == [True]
        assert list(reader.outcomes(reader.last_event)) == []


def test_new_attempt_forgets_the_task_but_not_its_cost(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(1))
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED, Event.TASK_FAILED, Event.RETRIED)

    apply(journal, Event.SUBMIT_STARTED)

    (row,) = items(host)
    assert (row.task_id, row.attempt, row.reason) == (None, 2, None)
    assert journal.spent_now() == 2


def test_illegal_event_changes_nothing(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(1))
    before = items(host), events(host)

    with pytest.raises(IllegalTransition, match="from pending by placed"):
        journal.apply(Change(key=key(0), event=Event.PLACED, files=(FILE,)))

    assert (items(host), events(host)) == before


def test_event_of_an_unknown_item_is_refused(journal: OpenJournal) -> None:
    with pytest.raises(JournalError, match=f"has no item {key(7)}"):
        apply(journal, Event.SUBMIT_STARTED, number=7)


def test_task_id_of_another_item_is_refused(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(2))
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED)
    apply(journal, Event.SUBMIT_STARTED, number=1)

    with pytest.raises(TaskIdTaken, match="already belongs to item item-0"):
        journal.apply(Change(key=key(1), event=Event.SUBMIT_CONFIRMED, task_id=task(0)))

    assert statuses(host) == [ItemStatus.SUBMITTED, ItemStatus.SUBMITTING]


# Between runs.


def test_recover_lets_a_new_run_continue(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(5))
    apply(journal, Event.SUBMIT_STARTED, number=1)
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED, number=2)
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED, Event.TASK_COMPLETED, number=3)
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED, Event.TASK_UNKNOWN, number=4)

    journal.recover()

    assert statuses(host) == [
        ItemStatus.PENDING,
        ItemStatus.HELD,
        ItemStatus.SUBMITTED,
        ItemStatus.SUBMITTED,
        ItemStatus.SUBMITTED,
    ]
    held = items(host)[1]
    assert (held.reason, held.attempt) == ("interrupted", 1)
    assert "it may have been paid" in (held.message or "")


def test_second_recover_changes_nothing(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(1))
    apply(journal, Event.SUBMIT_STARTED)
    journal.recover()
    before = events(host)

    journal.recover()

    assert events(host) == before


def test_last_event_is_reported_after_each_commit(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(2))
    reported: list[int] = []

    journal.follow_last_event(reported.append)
    apply(journal, Event.SUBMIT_STARTED)
    journal.report_last_event()

    assert reported == [2, 3]
    assert journal.last_event == 3
    with host.reader() as reader:
        assert reader.last_event == reader.committed_up_to == 3


def test_reopened_journal_has_everything(host: Host) -> None:
    first = host.create()
    first.import_items(some_items(2, attempts=3))
    apply(first, Event.SUBMIT_STARTED)
    first.keep_learned({"cards": "{}"})
    first.close()

    second = host.open()

    assert second.last_event == 3
    assert second.status_of(key(0)) is ItemStatus.SUBMITTING
    assert second.status_of(key(9)) is None
    assert second.learned() == {"cards": "{}"}
    assert second.most_attempts() == 3
    second.close()


def test_ended_run_has_its_figures(host: Host, journal: OpenJournal) -> None:
    number = journal.begin_run(pid=7, host="here")

    journal.end_run(number, FIGURES, exit_code=0, message="all done")

    with host.reader() as reader:
        (run,) = reader.runs()
    assert (run.run, run.pid, run.exit_code, run.message) == (1, 7, 0, "all done")
    assert (run.started_at, run.ended_at) == (NOW, NOW)
    assert (run.submissions, run.polls, run.samples) == (2, 9, [[60, 2, 9, 1, 2]])


# The calls of a run.


async def test_recorded_change_is_durable_when_awaited(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(1))
    journal.start()

    await journal.record(Change(key=key(0), event=Event.SUBMIT_STARTED))

    assert statuses(host) == [ItemStatus.SUBMITTING]
    journal.stop()


async def test_deferrable_change_is_recorded_alone_too(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(1))
    journal.start()

    await journal.record(Change(key=key(0), event=Event.SUBMIT_STARTED), deferrable=True)

    assert statuses(host) == [ItemStatus.SUBMITTING]
    journal.stop()


async def test_many_changes_at_once_are_all_recorded(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(MANY))
    journal.start()
    changes = [Change(key=key(number), event=Event.SUBMIT_STARTED) for number in range(MANY)]

    await asyncio.gather(*(journal.record(change) for change in changes))

    assert statuses(host) == [ItemStatus.SUBMITTING] * MANY
    journal.stop()


async def test_cancelled_waiter_does_not_lose_its_change(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(1))
    journal.start()

    journal.record(Change(key=key(0), event=Event.SUBMIT_STARTED)).cancel()
    journal.stop()

    assert statuses(host) == [ItemStatus.SUBMITTING]


async def test_illegal_change_does_not_affect_others(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(3))
    journal.start()
    moves = [Event.SUBMIT_STARTED, Event.PLACED, Event.SUBMIT_STARTED]
    changes = [Change(key=key(number), event=event) for number, event in enumerate(moves)]

    outcomes = await asyncio.gather(
        *(journal.record(change) for change in changes), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), IllegalTransition, type(None)]
    assert statuses(host) == [
        ItemStatus.SUBMITTING,
        ItemStatus.PENDING,
        ItemStatus.SUBMITTING,
    ]
    journal.stop()


async def test_further_changes_are_all_recorded_or_none(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(1))
    journal.start()
    started = Change(key=key(0), event=Event.SUBMIT_STARTED)
    rejected = Change(key=key(0), event=Event.SUBMIT_REJECTED, reason="x", message="y")

    with pytest.raises(IllegalTransition):
        await journal.record(started, Change(key=key(0), event=Event.PLACED))
    assert statuses(host) == [ItemStatus.PENDING]
    await journal.record(started, rejected)

    assert statuses(host) == [ItemStatus.REJECTED]
    journal.stop()


async def test_second_item_with_a_task_id_is_refused(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(2))
    for number in range(2):
        apply(journal, Event.SUBMIT_STARTED, number=number)
    journal.start()
    changes = [
        Change(key=key(number), event=Event.SUBMIT_CONFIRMED, task_id=task(0))
        for number in range(2)
    ]

    outcomes = await asyncio.gather(
        *(journal.record(change) for change in changes), return_exceptions=True
    )

    assert outcomes[0] is None
    assert isinstance(outcomes[1], TaskIdTaken)
    assert statuses(host) == [ItemStatus.SUBMITTED, ItemStatus.SUBMITTING]
    journal.stop()


async def test_run_reads_pending_and_in_flight_items(journal: OpenJournal) -> None:
    journal.import_items(some_items(5))
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED, number=1)
    journal.start()

    first = await journal.pending_items(after=-1, limit=2)
    rest = await journal.pending_items(after=first[-1].position, limit=10)
    one = await journal.pending_item(key(3))
    in_flight = await journal.in_flight(after="", limit=10)

    assert [item.id for item in (*first, *rest)] == ["item-0", "item-2", "item-3", "item-4"]
    assert (one.id, one.params) == ("item-3", an_item(3).params)
    assert [(each.key, each.task_id, each.attempt) for each in in_flight] == [(key(1), task(1), 1)]
    journal.stop()


async def test_unlisted_item_is_not_submitted_again(journal: OpenJournal) -> None:
    journal.import_items(some_items(2, attempts=3))
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED)
    journal.import_items([])
    journal.start()

    (task_in_flight,) = await journal.in_flight(after="", limit=10)

    assert await journal.pending_items(after=-1, limit=10) == []
    assert (task_in_flight.attempt, task_in_flight.attempts) == (1, 1)
    journal.stop()


def hold(journal: OpenJournal, number: int = 0, *, reason: str = "no-response") -> None:
    """Hold an item whose submission had a request id."""
    started = Change(
        key=key(number),
        event=Event.SUBMIT_STARTED,
        request_id=f"id-{number}",
        request_digest="digest",
    )
    journal.apply(started)
    held = Change(
        key=key(number), event=Event.SUBMIT_UNANSWERED, reason=reason, message="no answer"
    )
    journal.apply(held)


async def unsettled(journal: OpenJournal) -> list[str]:
    journal.start()
    found = await journal.unsettled_items(after="", limit=100)
    journal.stop()
    return [one.request_id for one in found]


async def test_held_items_are_unsettled_with_their_request(journal: OpenJournal) -> None:
    journal.import_items(some_items(4))
    for number in range(3):
        hold(journal, number)
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_UNANSWERED, number=3)  # without an id
    journal.start()

    first = await journal.unsettled_items(after="", limit=2)
    rest = await journal.unsettled_items(after=first[-1].item.key, limit=10)

    assert [one.request_id for one in (*first, *rest)] == ["id-0", "id-1", "id-2"]
    (one,) = rest
    assert (one.request_digest, one.message, one.item.started_at) == ("digest", "no answer", NOW)
    assert (one.item.params, one.item.attempt, one.item.listed) == (an_item(2).params, 1, True)
    journal.stop()


async def test_interrupted_repeat_keeps_its_request_id(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(1))
    hold(journal)
    apply(journal, Event.SUBMIT_REPEATED)
    assert statuses(host) == [ItemStatus.SUBMITTING]

    journal.recover()

    assert statuses(host) == [ItemStatus.HELD]
    assert await unsettled(journal) == ["id-0"]
    assert items(host)[0].attempt == 1


@pytest.mark.parametrize("event", [Event.NOT_SUBMITTED, Event.RESUBMITTED])
async def test_new_attempt_has_no_request_id_of_the_last(
    event: Event, host: Host, journal: OpenJournal
) -> None:
    journal.import_items(some_items(1))
    hold(journal)
    apply(journal, event, Event.SUBMIT_STARTED, Event.SUBMIT_UNANSWERED)

    assert await unsettled(journal) == []
    assert items(host)[0].attempt == (1 if event is Event.NOT_SUBMITTED else 2)


async def test_item_held_for_another_reason_is_not_unsettled(journal: OpenJournal) -> None:
    journal.import_items(some_items(3))
    hold(journal, 0, reason=DUPLICATE_TASK_ID)
    hold(journal, 1)
    done = (Event.ATTACHED, Event.TASK_COMPLETED, Event.PLACED, Event.REOPENED)
    apply(journal, *done, number=1)
    hold(journal, 2)
    apply(journal, Event.ATTACHED, number=2)
    paid_before = Event.PAID_BEFORE
    journal.apply(Change(key=key(2), event=paid_before, origin=ItemStatus.SUBMITTED))

    assert await unsettled(journal) == []


def test_unpaid_events_take_a_submission_back(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(2))
    hold(journal, 0)
    apply(journal, Event.NOT_SETTLED, Event.NOT_SUBMITTED)
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED, Event.TASK_LOST, number=1)

    assert statuses(host) == [ItemStatus.PENDING, ItemStatus.PENDING]
    assert [(row.attempt, row.task_id) for row in items(host)] == [(0, None), (0, None)]
    assert (journal.spent_now(), journal.spent_by_workflow_now()) == (0, {})
    with host.reader() as reader:
        assert [outcome.paid for outcome in reader.outcomes(0)] == [False, False]
        assert reader.paid_submissions() == []


@pytest.mark.parametrize("together", [1, 5])
async def test_urls_of_a_response_are_kept_with_its_task_id(
    together: int, host: Host, journal: OpenJournal
) -> None:
    journal.import_items(some_items(together))
    for number in range(together):
        apply(journal, Event.SUBMIT_STARTED, number=number)
    journal.start()
    urls = ("http://files/a", "data:,b")
    changes = [
        Change(key=key(number), event=Event.SUBMIT_CONFIRMED, task_id=task(number), urls=urls)
        for number in range(together)
    ]

    await asyncio.gather(*(journal.record(change) for change in changes))

    assert [one.has_result for one in await journal.in_flight("", 10)] == [True] * together
    assert await journal.result_urls(key(together - 1)) == urls
    completed = Change(key=key(0), event=Event.TASK_COMPLETED)
    await journal.record(completed, Change(key=key(0), event=Event.PLACED, files=(FILE,)))
    assert await journal.result_urls(key(0)) == urls
    journal.stop()


async def test_large_result_is_not_kept_beside_its_file(journal: OpenJournal) -> None:
    journal.import_items(some_items(1))
    apply(journal, Event.SUBMIT_STARTED)
    large = "data:," + "x" * 100_000
    confirmed = Event.SUBMIT_CONFIRMED
    journal.apply(Change(key=key(0), event=confirmed, task_id=task(0), urls=(large,)))
    journal.start()
    assert await journal.result_urls(key(0)) == (large,)

    completed = Change(key=key(0), event=Event.TASK_COMPLETED)
    await journal.record(completed, Change(key=key(0), event=Event.PLACED, files=(FILE,)))

    assert await journal.result_urls(key(0)) == ()
    journal.stop()


async def test_latest_time_is_that_of_the_last_event_or_run(journal: OpenJournal) -> None:
    journal.start()
    assert await journal.latest_time() == 0
    journal.stop()
    journal.import_items(some_items(1))
    journal.start()

    assert await journal.latest_time() == NOW
    journal.stop()


async def test_upload_result_is_reused_until_too_old(journal: OpenJournal) -> None:
    journal.start()
    assert await journal.upload_value("a" * 64, 0.0) is None

    await journal.remember_upload("a" * 64, "2026/a.png")

    assert await journal.upload_value("a" * 64, NOW) == "2026/a.png"
    assert await journal.upload_value("a" * 64, NOW + 1) is None
    journal.stop()


async def test_figures_are_kept_during_the_run(host: Host, journal: OpenJournal) -> None:
    number = journal.begin_run(pid=7, host="here")
    journal.start()

    await journal.keep_figures(number, FIGURES)

    with host.reader() as reader:
        (run,) = reader.runs()
    assert (run.submissions, run.samples, run.ended_at) == (2, [[60, 2, 9, 1, 2]], None)
    journal.stop()


async def test_call_before_start_is_refused(journal: OpenJournal) -> None:
    with pytest.raises(JournalError, match="has not been started"):
        await journal.pending_items(after=-1, limit=10)


# Reading beside a run.


async def test_reader_does_not_block_a_writer(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(MANY))
    journal.start()

    with host.reader() as reader:
        rows = reader.items()
        next(rows)
        await journal.record(Change(key=key(MANY - 1), event=Event.SUBMIT_STARTED))
        last = list(rows)[-1]

    assert last.status is ItemStatus.SUBMITTING
    journal.stop()


def test_items_are_selected_by_status(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(MANY))
    apply(journal, Event.SUBMIT_STARTED, number=7)
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_UNANSWERED, number=3)

    with host.reader() as reader:
        chosen = list(reader.items(ItemStatus.HELD, ItemStatus.SUBMITTING))
        pending = list(reader.items(ItemStatus.PENDING))
        one, none = reader.item(key(7)), reader.item("none")
        oldest = reader.oldest_in_flight(10)

    assert [row.id for row in chosen] == ["item-3", "item-7"]
    assert len(pending) == MANY - 2
    assert (one, none) == (chosen[1], None)
    assert oldest == [chosen[1]]


def test_recent_errors_and_counts_are_read_from_events(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(3))
    life = (Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED)
    apply(journal, *life, Event.TASK_FAILED, number=0)
    apply(journal, *life, Event.TASK_COMPLETED, number=1)
    journal.apply(Change(key=key(2), event=Event.SUBMIT_STARTED))
    journal.apply(Change(key=key(2), event=Event.SUBMIT_UNSENT, reason="http-429"))

    with host.reader() as reader:
        errors = reader.recent_errors(10, NOW)
        counts = reader.event_counts(NOW)
        times = reader.service_times(10)
        later = reader.recent_errors(10, NOW + 1), reader.event_counts(NOW + 1)

    assert [(name, event.event) for name, event in errors] == [("item-0", "task_failed")]
    assert ("submit_started", "because", 2, NOW) in counts
    assert ("submit_unsent", "http-429", 1, NOW) in counts
    assert times == [0.0]
    assert later == ([], [])


def test_history_groups_the_newest_events_by_item(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(3))
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_UNANSWERED)
    keys = [key(0), key(2), "none"]

    with host.reader() as reader:
        before = reader.history(100)
        apply(journal, Event.DROPPED)
        found, newest = before.of(keys), reader.history(3).of(keys)
        after = reader.history(100).of(keys)

    assert names_of(found) == {
        key(0): ["listed", "submit_started", "submit_unanswered"],
        key(2): ["listed"],
    }
    assert names_of(newest) == {key(0): ["submit_started", "submit_unanswered", "dropped"]}
    assert names_of(after)[key(0)][-1] == "dropped"
    assert after[key(0)] == events(host)


def names_of(found: dict[str, list[EventRow]]) -> dict[str, list[str]]:
    return {each: [event.event for event in rows] for each, rows in found.items()}


def test_diff_finds_new_changed_and_unlisted_items(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(4))
    apply(journal, Event.SUBMIT_STARTED)
    renewed = replace(an_item(9), id="item-1")  # replaces item-1
    manifest = [an_item(0), renewed, an_item(3), an_item(8)]

    with host.reader() as reader:
        diff = reader.diff()
        found = list(diff.differences(manifest))
        compared = reader.compared(manifest, None)
        unlisted = [diff.summary(row).id for row in diff.unlisted_rows()]

    assert [one.status for one in found] == [
        ItemStatus.SUBMITTING,
        None,
        ItemStatus.PENDING,
        None,
    ]
    assert compared is not None
    assert (compared.new, compared.changed, compared.unlisted) == (2, 1, 1)
    assert (compared.other, compared.done) == (True, False)
    assert unlisted == ["item-2"]
    assert diff.replaced(found[1].row)
    assert found[0].row is not None
    assert diff.lists(found[0].row)


# What plan and report read.


def place(journal: OpenJournal, number: int, *names: str) -> tuple[PlacedFile, ...]:
    """Lead an item to done, with files of these names."""
    files = tuple(replace(FILE, name=name) for name in names)
    apply(
        journal,
        Event.SUBMIT_STARTED,
        Event.SUBMIT_CONFIRMED,
        Event.TASK_COMPLETED,
        number=number,
    )
    journal.apply(Change(key=key(number), event=Event.PLACED, files=files))
    return files


def test_reported_items_are_listed_or_were_submitted(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(6))
    place(journal, 0, "a.png")
    place(journal, 2, "b.png")
    apply(journal, Event.SUBMIT_STARTED, Event.SUBMIT_UNANSWERED, number=4)
    journal.import_items(some_items(4))

    with host.reader() as reader:
        shown = [[row.id for row in reader.reported_items(most)] for most in (9, 4, 3, 0)]
        counts = reader.reported_counts()

    assert shown == [
        ["item-0", "item-1", "item-2", "item-3", "item-4"],
        ["item-0", "item-1", "item-3", "item-4"],
        ["item-1", "item-3", "item-4"],
        [],
    ]
    assert counts == {
        (ItemStatus.DONE, None): 2,
        (ItemStatus.PENDING, None): 2,
        (ItemStatus.HELD, "because"): 1,
    }


def test_reported_items_come_in_manifest_order(host: Host, journal: OpenJournal) -> None:
    journal.import_items(reversed(some_items(MANY)))

    with host.reader() as reader:
        rows = list(reader.reported_items(MANY - 1))

    assert [row.position for row in rows] == list(range(MANY - 1))


def test_listed_items_are_counted_without_the_others(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(5))
    place(journal, 1, "a.png")
    place(journal, 4, "b.png")
    journal.import_items(some_items(4))

    with host.reader() as reader:
        counts = reader.listed_counts()

    assert counts == {ItemStatus.PENDING: 3, ItemStatus.DONE: 1}


def test_listed_files_come_in_manifest_order(host: Host, journal: OpenJournal) -> None:
    journal.import_items(reversed(some_items(5)))
    files = {number: place(journal, number, f"{number}.png", "b/马.png") for number in (3, 0, 4)}
    journal.import_items(some_items(4))

    with host.reader() as reader:
        found = [(reader.diff().summary(row).id, of) for row, of in reader.listed_files()]

    assert found == [("item-0", files[0]), ("item-3", files[3])]


def test_last_import_is_compared_with_itself(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(MANY))
    journal.import_items(some_items(MANY - 2))

    with host.reader() as reader:
        rows = {row.id: row.row for row in reader.items()}
        diff = reader.diff()
        diff.add_last_import()

    assert (diff.unlisted, diff.changed, diff.other) == (2, 0, False)
    assert list(diff.unlisted_rows()) == [rows[f"item-{MANY - 2}"], rows[f"item-{MANY - 1}"]]
    assert diff.lists(rows["item-0"])
    assert not diff.lists(rows[f"item-{MANY - 1}"])


@pytest.mark.parametrize("duplicates", ['{"ids": ["马 \x00"]}', None])
def test_duplicates_are_those_of_the_last_import(
    duplicates: str | None, host: Host, journal: OpenJournal
) -> None:
    def import_items(mark: str | None) -> None:
        journal.import_items(some_items(2), fingerprint=lambda: mark, duplicates=lambda: duplicates)

    def known(mark: str | None) -> str | None:
        with host.reader() as reader:
            return reader.last_duplicates(mark)

    assert known("a") is None

    import_items("a")
    assert (known("a"), known("b"), known(None)) == (duplicates, None, None)

    import_items("b")
    assert (known("a"), known("b")) == (None, duplicates)

    import_items(None)
    assert (known("b"), known(None)) == (None, None)


def test_mark_changes_with_each_event_and_fingerprint(host: Host, journal: OpenJournal) -> None:
    def mark() -> str | None:
        with host.reader() as reader:
            return reader.items_mark()

    marks = [mark()]
    for fingerprint in "ab":
        journal.import_items(some_items(2), fingerprint=repeat(fingerprint).__next__)
        marks.append(mark())
    apply(journal, Event.SUBMIT_STARTED)
    marks.append(mark())

    journal.import_items(unread(), fingerprint=lambda: "b")
    assert mark() == marks[-1]
    assert len(set(marks)) == 4


def test_mark_without_a_fingerprint_is_that_of_the_items(host: Host, journal: OpenJournal) -> None:
    marks = []
    for specs in (some_items(2), some_items(2), [an_item(0), replace(an_item(1), source="b:2")]):
        journal.import_items(specs)
        with host.reader() as reader:
            marks.append(reader.items_mark())

    assert marks[0] == marks[1] != marks[2]


def test_result_folders_are_read_each_once(host: Host, journal: OpenJournal) -> None:
    journal.import_items(some_items(4))
    place(journal, 0, "a.png", "ink/a.png")
    place(journal, 1, "ink/b.png", "ink/马年/a b/c.png")
    place(journal, 2)

    with host.reader() as reader:
        assert sorted(reader.result_folders()) == ["", "ink", "ink/马年/a b"]
    assert sorted(tuple(row) for row in journal.placed()) == [
        (key(0), "a.png"),
        (key(0), "ink/a.png"),
        (key(1), "ink/b.png"),
        (key(1), "ink/马年/a b/c.png"),
    ]
