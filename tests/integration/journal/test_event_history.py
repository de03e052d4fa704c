"""The temporary table of events is filled page by page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_runner.journal import JournalReader, open_reader
from tests.harness.stored_job import StoredJob, an_item


@pytest.fixture
def job(tmp_path: Path) -> Iterator[StoredJob]:
    job = StoredJob(tmp_path / "out")
    yield job
    job.journal.close()


def journal_of(job: StoredJob) -> JournalReader:
    return open_reader(job.folder / ".batch/journal.sqlite")


@pytest.mark.parametrize("page", [1, 2, 100])
def test_newest_events_are_copied_page_by_page(
    job: StoredJob, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch_runner.journal.sql.event_history.PAGE", page)
    items = [an_item(n) for n in range(3)]
    job.list(*items)
    job.held(items[0])

    with journal_of(job) as reader:
        found = reader.history(3).of([item.key for item in items])

    assert {key: [event.event for event in events] for key, events in found.items()} == {
        items[0].key: ["submit_started", "submit_unanswered"],
        items[2].key: ["listed"],
    }
