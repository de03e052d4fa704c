"""What every journal must know about deliveries of ended items."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from batch_runner.journal import Change, Journal, OpenJournal
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.lifecycle import Event
from batch_runner.models import PlacedFile
from tests.harness import some_items
from tests.harness.postgres import new_schema, postgres

pytestmark = pytest.mark.anyio

FILE = PlacedFile(name="card.png", size=3, sha256="a" * 64, media_type="image/png")


def key(number: int) -> str:
    return f"{number:032x}"


Start = Callable[[], AbstractContextManager[OpenJournal]]


@pytest.fixture(params=["sqlite", "postgres"])
def started(request: pytest.FixtureRequest, tmp_path: Path) -> Start:
    """Return a function that opens the journal of a job of four items, as a run does."""
    made: OpenJournal
    reopen: Callable[[], OpenJournal]
    if request.param == "sqlite":
        path = tmp_path / "journal"
        made = Journal.create(path, job="cards", provider="baicai", origin="http://service")
        reopen = partial(Journal.open, path)
    else:
        place = postgres().dsn, new_schema()
        made = PostgresJournal.create(*place, job="cards", provider="baicai", origin="http://x")
        reopen = partial(PostgresJournal.open, *place)
    made.import_items(some_items(4))
    made.close()

    @contextmanager
    def start() -> Iterator[OpenJournal]:
        with closing(reopen()) as journal:
            journal.start()
            yield journal

    return start


async def finish(journal: OpenJournal, number: int, event: Event) -> None:
    """Bring an item from pending to the end by `event`."""
    steps = {
        Event.PLACED: [Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED, Event.TASK_COMPLETED],
        Event.TASK_FAILED: [Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED],
        Event.SUBMIT_UNANSWERED: [Event.SUBMIT_STARTED],
        Event.UPLOAD_REJECTED: [],
    }
    for step in steps[event]:
        task_id = f"task-{number}" if step is Event.SUBMIT_CONFIRMED else None
        await journal.record(Change(key=key(number), event=step, task_id=task_id))
    files = (FILE,) if event is Event.PLACED else ()
    await journal.record(Change(key=key(number), event=event, files=files, reason="r", message="m"))


async def ends(journal: OpenJournal, after: int, limit: int = 9) -> list[tuple[str, str]]:
    found = await journal.ended_items(after, limit)
    return [(ended.item.id, ended.item.status.value) for ended in found]


async def test_each_kind_of_end_is_listed_in_its_order(started: Start) -> None:
    with started() as journal:
        after = await journal.start_deliveries()
        await finish(journal, 2, Event.TASK_FAILED)
        await finish(journal, 0, Event.PLACED)
        await finish(journal, 3, Event.UPLOAD_REJECTED)
        await finish(journal, 1, Event.SUBMIT_UNANSWERED)

        everything = [("item-2", "failed"), ("item-0", "done")]
        assert await ends(journal, after, 2) == everything
        everything += [("item-3", "rejected"), ("item-1", "held")]
        assert await ends(journal, after) == everything
        assert await journal.undelivered(after) == dict.fromkeys(
            ("done", "failed", "rejected", "held"), 1
        )


async def test_what_ended_before_the_first_start_is_not_listed(started: Start) -> None:
    with started() as journal:
        await finish(journal, 0, Event.PLACED)
        after = await journal.start_deliveries()
        await finish(journal, 1, Event.PLACED)

        assert await journal.start_deliveries() == after
        assert await ends(journal, after) == [("item-1", "done")]


async def test_recorded_delivery_is_not_listed_by_next_run(started: Start) -> None:
    with started() as journal:
        after = await journal.start_deliveries()
        for number in range(3):
            await finish(journal, number, Event.PLACED)
        first, _, last = await journal.ended_items(after, 9)
        await journal.record_delivery(last.event, 1, up_to=after)
        await journal.record_delivery(first.event, None, up_to=first.event)

    with started() as journal:
        assert await journal.start_deliveries() == first.event
        assert await ends(journal, first.event) == [("item-1", "done")]
        await journal.record_delivery(last.event, 1, up_to=after)  # it does not go back
        assert await journal.start_deliveries() == first.event


async def test_item_that_ends_again_is_listed_again(started: Start) -> None:
    with started() as journal:
        after = await journal.start_deliveries()
        await finish(journal, 0, Event.TASK_FAILED)
        (failed,) = await journal.ended_items(after, 9)
        await journal.record_delivery(failed.event, 0, up_to=failed.event)
        await journal.record(Change(key=key(0), event=Event.RETRIED))
        assert await ends(journal, after) == []

        await finish(journal, 0, Event.TASK_FAILED)
        assert await ends(journal, failed.event) == [("item-0", "failed")]
        await journal.record(Change(key=key(0), event=Event.RETRIED))
        await finish(journal, 0, Event.PLACED)

        assert await ends(journal, failed.event) == [("item-0", "done")]
