"""Cancelling tasks at the service before their items are dropped."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.api.cancel import cancelled
from batch_runner.errors import ApiError, Failure
from batch_runner.jobdir.open import open_job
from batch_runner.journal import Change
from batch_runner.lifecycle import Event
from batch_runner.providers.base import RequestIds
from tests.harness import IDENTITY, an_item, rows, some_items
from tests.harness.fake_service import FakeService

pytestmark = pytest.mark.anyio

REQUEST_ID = "0f9e1c1a-0000-4000-8000-000000000000"


def held_and_submitted(root: Path) -> None:
    """Make a journal with a held item, and one with a task."""
    with open_job(root, IDENTITY) as job:
        job.journal.import_items(some_items(2))
        started = Event.SUBMIT_STARTED
        job.journal.apply(Change(key=an_item(0).key, event=started, request_id=REQUEST_ID))
        job.journal.apply(Change(key=an_item(0).key, event=Event.SUBMIT_UNANSWERED))
        job.journal.apply(Change(key=an_item(1).key, event=started))
        confirmed = Event.SUBMIT_CONFIRMED
        job.journal.apply(Change(key=an_item(1).key, event=confirmed, task_id="task"))


@pytest.mark.parametrize(
    ("ids", "held"),
    [(RequestIds.TASK_ID, REQUEST_ID), (RequestIds.IDEMPOTENCY_KEY, None), (RequestIds.NONE, None)],
)
async def test_held_item_is_cancelled_by_its_own_task_id(
    ids: RequestIds, held: str | None, tmp_path: Path
) -> None:
    held_and_submitted(tmp_path)
    service = FakeService(ids, cancel=True)

    found = [one async for one in cancelled(service, rows(tmp_path))]

    assert [task_id for _, task_id, _ in found] == [held, "task"]
    assert [problem is None for *_, problem in found] == [held is not None, True]
    assert service.canceled == [one for one in (held, "task") if one]


async def test_failed_cancel_is_reported_and_others_go_on(tmp_path: Path) -> None:
    class Refusing(FakeService):
        async def cancel(self, task_id: str) -> None:
            if task_id == "task":
                await super().cancel(task_id)
            else:
                raise ApiError("cancel: HTTP 500", failure=Failure.AMBIGUOUS, status=500)

    held_and_submitted(tmp_path)
    service = Refusing(RequestIds.TASK_ID, cancel=True)

    found = [problem async for *_, problem in cancelled(service, rows(tmp_path))]

    assert found == ["cancel: HTTP 500", None]
    assert service.canceled == ["task"]
