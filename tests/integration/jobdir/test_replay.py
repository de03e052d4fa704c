"""Outcomes of the fallback log for items that are no longer being submitted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from batch_runner.jobdir.fallback_log import FallbackLog
from batch_runner.jobdir.open import open_job
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import Change, ItemRow, open_reader
from batch_runner.lifecycle import Event, ItemStatus
from tests.harness import IDENTITY, rows, some_items

PAID, OTHER = "a" * 32, "b" * 32
CONFIRMED = {"event": "submit_confirmed", "task_id": PAID}


def replay(root: Path, entry: dict[str, Any], events: Sequence[Event] = ()) -> ItemRow:
    """Bring an item to a status, write an entry for it, open the job; return the item."""
    (item,) = some_items(1)
    with open_job(root, IDENTITY) as job:
        job.journal.import_items([item])
        for event in events:
            task_id = OTHER if event is Event.SUBMIT_CONFIRMED else None
            job.journal.apply(
                Change(key=item.key, event=event, task_id=task_id, reason="r", message="m")
            )
    append(root, {"key": item.key, **entry})
    with open_job(root, IDENTITY):
        pass
    return rows(root)[0]


def append(root: Path, entry: dict[str, Any]) -> None:
    log = FallbackLog(JobFolder(root))
    log.append(entry)
    log.close()


def test_paid_task_of_pending_item_is_taken(tmp_path: Path) -> None:
    """As after a backup of the journal was restored: it must not be paid for again."""
    item = replay(tmp_path, CONFIRMED)

    assert (item.status, item.task_id, item.attempt) == (ItemStatus.SUBMITTED, PAID, 1)


def test_unanswered_submission_of_pending_item_is_held(tmp_path: Path) -> None:
    item = replay(tmp_path, {"event": "submit_unanswered", "reason": "lost", "message": "lost"})

    assert (item.status, item.reason, item.attempt) == (ItemStatus.HELD, "lost", 1)


def test_failed_task_of_retried_item_is_not_taken_again(tmp_path: Path) -> None:
    submitted = [Event.SUBMIT_STARTED, Event.SUBMIT_CONFIRMED]
    item = replay(
        tmp_path,
        {"event": "submit_confirmed", "task_id": OTHER},
        [*submitted, Event.TASK_FAILED, Event.RETRIED],
    )

    assert item.status is ItemStatus.PENDING


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([Event.SUBMIT_CONFIRMED], ItemStatus.SUBMITTED),
        ([Event.SUBMIT_CONFIRMED, Event.TASK_FAILED], ItemStatus.FAILED),
        ([Event.SUBMIT_UNANSWERED, Event.DROPPED], ItemStatus.DROPPED),
    ],
)
def test_second_paid_task_is_kept_and_said(
    tmp_path: Path, events: list[Event], status: ItemStatus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "batch_runner")

    item = replay(tmp_path, CONFIRMED, [Event.SUBMIT_STARTED, *events])

    assert (item.status, item.task_id == PAID) == (status, False)
    with open_reader(JobFolder(tmp_path).journal) as reader:
        last = reader.events(item.key)[-1]
    assert (last.event, last.task_id) == ("task_found", PAID)
    (message,) = caplog.messages
    assert f"item-0: the service has also accepted task {PAID}" in message
    caplog.clear()
    append(tmp_path, {"key": item.key, **CONFIRMED})
    with open_job(tmp_path, IDENTITY):
        pass
    assert caplog.messages == []  # known by now


def test_paid_task_of_unknown_item_stays_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_job(tmp_path, IDENTITY) as job:
        job.journal.import_items(some_items(1))
    append(tmp_path, {"key": "f" * 32, **CONFIRMED})

    for _ in range(2):
        caplog.clear()
        with open_job(tmp_path, IDENTITY) as job:
            kept = list(job.fallback_log.entries())
        assert [entry["task_id"] for entry in kept] == [PAID]
        assert PAID in caplog.text
