"""What happened to each item, read from a real journal a page of items at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_runner.journal import JournalReader, open_reader
from tests.harness.stored_job import Night, an_item


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    night = Night(tmp_path / "out")
    yield night
    night.journal.close()


def journal_of(night: Night) -> JournalReader:
    return open_reader(night.folder / ".batch/journal.sqlite")


def test_events_are_found_by_item_the_oldest_first(night: Night) -> None:
    items = [an_item(n) for n in range(3)]
    night.list(*items)
    night.submitted(items[1])
    night.held(items[0])

    with journal_of(night) as reader:
        found = reader.history(100).of([items[0].key, items[1].key, "none"])
        one_by_one = {item.key: reader.events(item.key) for item in items[:2]}

    assert {key: [event.event for event in course] for key, course in found.items()} == {
        items[0].key: ["listed", "submit_started", "submit_unanswered"],
        items[1].key: ["listed", "submit_started", "submit_confirmed"],
    }
    assert found == one_by_one


@pytest.mark.parametrize("page", [1, 2, 100])
def test_only_the_newest_are_looked_through(
    night: Night, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch_runner.journal.sqlite.event_history.PAGE", page)
    items = [an_item(n) for n in range(3)]
    night.list(*items)
    night.held(items[0])

    with journal_of(night) as reader:
        found = reader.history(3).of([item.key for item in items])

    assert {key: [event.event for event in course] for key, course in found.items()} == {
        items[0].key: ["submit_started", "submit_unanswered"],
        items[2].key: ["listed"],
    }


def test_a_run_may_write_meanwhile(night: Night) -> None:
    items = [an_item(0), an_item(1)]
    night.list(*items)

    with journal_of(night) as reader:
        courses = reader.history(100)
        night.held(items[0])
        before = courses.of([items[0].key])
        after = reader.history(100).of([items[0].key])

    assert [len(found[items[0].key]) for found in (before, after)] == [1, 3]


def test_a_journal_without_events_has_no_courses(night: Night) -> None:
    with journal_of(night) as reader:
        assert reader.history(100).of(["none"]) == {}
