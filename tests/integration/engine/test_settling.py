"""What a run does about submissions without a response: once paid, never again by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from batch_runner.engine.context import Run
from batch_runner.engine.run import BackgroundTask
from batch_runner.engine.summary import ExitCode, StopReason
from batch_runner.errors import Failure
from batch_runner.jobdir.open import open_job
from batch_runner.journal import Change, ItemRow, open_reader
from batch_runner.lifecycle import Event, ItemStatus
from batch_runner.models import ItemSpec
from batch_runner.providers.base import RequestIds
from batch_runner.settings import Settings
from tests.harness import (
    IDENTITY,
    an_item,
    rows,
    run_provider_job,
    some_items,
    some_settings,
    statuses,
    with_photo,
)
from tests.harness.fake_service import LOST, NEVER_ARRIVED, OK, Answer, FakeService

pytestmark = pytest.mark.anyio

NOW = 1_780_000_000.0
TASK_ID, KEY = RequestIds.TASK_ID, RequestIds.IDEMPOTENCY_KEY
BOTH = pytest.mark.parametrize("ids", [TASK_ID, KEY])


def at(time: float) -> Callable[[], float]:
    return lambda: time


async def run(
    root: Path,
    service: FakeService,
    items: list[ItemSpec] | None = None,
    settings: Settings | None = None,
    *,
    time: float = NOW,
    sender: str = "me",
    deadline: float | None = None,
) -> None:
    await run_provider_job(
        root,
        service,
        some_items(1) if items is None else items,
        settings,
        wall_clock=at(time),
        sender=sender,
        deadline=deadline,
    )


def only(root: Path) -> ItemRow:
    (row,) = rows(root)
    return row


def only_held(root: Path) -> list[str]:
    return [row.id for row in rows(root) if row.status is ItemStatus.HELD]


def events(root: Path) -> list[str]:
    with open_reader(root / ".batch" / "journal.sqlite") as reader:
        return [event.event for event in reader.events(an_item().key)]


async def held_by(root: Path, service: FakeService, answer: Answer = LOST) -> None:
    """Make a run that leaves its item held: it stops before it can be settled."""
    service.answers.append(answer)
    await run_provider_job(
        root,
        service,
        some_items(1),
        wall_clock=at(NOW),
        sender="me",
        background_tasks=[_stop_when_sent(service)],
    )
    assert only(root).status is ItemStatus.HELD


def _stop_when_sent(service: FakeService) -> BackgroundTask:
    async def stop(run: Run) -> None:
        while not service.sent:  # noqa: ASYNC110  there is nothing to wait for
            await anyio.sleep(0.01)
        run.state.control.shut_down(StopReason("signal", "stopped", ExitCode.STOPPED))

    return stop


# Within a run.


@BOTH
async def test_lost_answer_is_settled_within_the_run(ids: RequestIds, tmp_path: Path) -> None:
    service = FakeService(ids)
    service.answers.append(LOST)

    await run(tmp_path, service)

    assert only(tmp_path).status is ItemStatus.DONE
    assert len(service.paid) == 1
    assert len(set(service.sent)) == 1


async def test_lost_answer_without_request_ids_is_held(tmp_path: Path) -> None:
    service = FakeService()
    service.answers.append(LOST)

    await run(tmp_path, service)
    await run(tmp_path, service)

    assert only(tmp_path).status is ItemStatus.HELD
    assert service.sent == [None]


async def test_absent_free_task_is_submitted_with_a_new_id(tmp_path: Path) -> None:
    service = FakeService(TASK_ID, free=True)
    service.answers.append(NEVER_ARRIVED)

    await run(tmp_path, service)

    assert only(tmp_path).status is ItemStatus.DONE
    assert only(tmp_path).attempt == 1
    assert len(set(service.sent)) == 2
    assert len(service.paid) == 1


@pytest.mark.parametrize(("free", "price"), [(False, None), (True, "0.12 CNY")])
async def test_absent_task_that_may_cost_money_stays_held(
    free: bool, price: str | None, tmp_path: Path
) -> None:
    service = FakeService(TASK_ID, free=free)
    settings = some_settings(**({"price": price} if price else {}))
    service.answers.append(NEVER_ARRIVED)

    await run(tmp_path, service, settings=settings)
    first = events(tmp_path)
    await run(tmp_path, service, settings=settings)

    assert only(tmp_path).status is ItemStatus.HELD
    assert f"has no task {service.sent[0]}" in (only(tmp_path).message or "")
    assert only(tmp_path).reason == "no-response"
    assert len(service.sent) == 1
    assert events(tmp_path) == first  # it is said once


async def test_absent_task_that_had_a_price_stays_held_without_it(tmp_path: Path) -> None:
    service = FakeService(TASK_ID, free=True)
    service.answers.append(NEVER_ARRIVED)

    await run(tmp_path, service, settings=some_settings(price="0.12 CNY"))
    await run(tmp_path, service)

    assert only(tmp_path).status is ItemStatus.HELD
    assert len(service.sent) == 1


async def test_absent_task_of_a_service_that_was_not_free_stays_held(tmp_path: Path) -> None:
    service = FakeService(KEY)
    service.answers.extend([NEVER_ARRIVED] * 7)
    await run(tmp_path, service)
    sent = len(service.sent)
    service.capabilities = dataclasses.replace(
        service.capabilities, request_ids=TASK_ID, free=True, version="2"
    )

    await run(tmp_path, service)

    assert only(tmp_path).status is ItemStatus.HELD
    assert len(service.sent) == sent


async def test_service_that_cannot_be_asked_leaves_item_held(tmp_path: Path) -> None:
    service = FakeService(TASK_ID, free=True)
    service.answers.append(NEVER_ARRIVED)
    service.questions.extend([Failure.UNSENT] * 1000)

    await run(tmp_path, service)
    after_first = only(tmp_path).status
    service.questions.clear()
    await run(tmp_path, service)

    assert after_first is ItemStatus.HELD
    assert only(tmp_path).status is ItemStatus.DONE


async def test_service_that_refuses_the_question_leaves_item_held(tmp_path: Path) -> None:
    service = FakeService(TASK_ID, free=True)
    service.answers.extend([NEVER_ARRIVED, OK])
    service.questions.extend([Failure.REJECTED] * 1000)

    await run(tmp_path, service, some_items(2))

    assert statuses(tmp_path) == {ItemStatus.HELD: 1, ItemStatus.DONE: 1}
    assert service.calls["exists"] == 6


async def test_service_that_comes_back_settles_items_in_the_run(tmp_path: Path) -> None:
    service = FakeService(TASK_ID, free=True)
    service.answers.extend([NEVER_ARRIVED, LOST, OK])
    service.questions.extend([Failure.UNSENT] * 40)

    await run(tmp_path, service, some_items(3))

    assert statuses(tmp_path) == {ItemStatus.DONE: 3}
    assert len(service.paid) == 3
    assert service.calls["exists"] == 42


async def test_items_that_cannot_be_settled_leave_room_for_others(tmp_path: Path) -> None:
    service = FakeService(TASK_ID, free=True, max_in_flight=1)
    service.answers.append(LOST)
    service.questions.extend([Failure.UNSENT] * 20)

    await run(tmp_path, service, some_items(3))

    assert statuses(tmp_path) == {ItemStatus.DONE: 3}
    assert len(service.paid) == 3


@pytest.mark.parametrize("failure", [Failure.NO_RESPONSE, Failure.AMBIGUOUS, Failure.UNSENT])
async def test_repeat_is_tried_again_a_bounded_number_of_times(
    failure: Failure, tmp_path: Path
) -> None:
    service = FakeService(KEY)
    service.answers.extend([LOST, *[Answer(failure)] * 100])

    await run(tmp_path, service)

    assert only(tmp_path).status is ItemStatus.HELD
    assert len(service.sent) == 7
    assert len(set(service.sent)) == len(service.paid) == 1


@pytest.mark.parametrize("failure", [Failure.REJECTED, Failure.NOT_FOUND, Failure.FORBIDDEN])
async def test_error_of_a_repeat_proves_nothing(failure: Failure, tmp_path: Path) -> None:
    service = FakeService(KEY)
    service.answers.extend([LOST, Answer(failure, accepted=False)])

    await run(tmp_path, service)

    assert only(tmp_path).status is ItemStatus.HELD
    assert only(tmp_path).attempt == 1
    assert len(service.sent) == 2


async def test_task_that_the_error_of_a_repeat_names_is_kept(tmp_path: Path) -> None:
    service = FakeService(KEY)
    named = Answer(Failure.NO_RESPONSE, candidate="task-77")
    service.answers.extend([LOST, named, Answer(Failure.REJECTED)])

    await run(tmp_path, service)

    assert only(tmp_path).status is ItemStatus.HELD
    assert (only(tmp_path).message or "").endswith("; it may be task task-77")


async def test_named_task_is_shown_when_the_item_stays_held(tmp_path: Path) -> None:
    service = FakeService(KEY)
    await held_by(tmp_path, service, Answer(Failure.NO_RESPONSE, candidate="task-77"))

    await run(tmp_path, service, time=NOW + 86400)
    first = events(tmp_path)
    await run(tmp_path, service, time=NOW + 86400)

    assert "for 24 h 00 min only" in (only(tmp_path).message or "")
    assert (only(tmp_path).message or "").endswith("; it may be task task-77")
    assert events(tmp_path) == first


# At the start of the next run.


@BOTH
async def test_held_item_is_settled_by_the_next_run(ids: RequestIds, tmp_path: Path) -> None:
    service = FakeService(ids)
    await held_by(tmp_path, service)

    await run(tmp_path, service, time=NOW + 60)

    assert only(tmp_path).status is ItemStatus.DONE
    assert len(service.paid) == len(set(service.sent)) == 1


@BOTH
@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize("repeated", [False, True])
async def test_crash_during_submission_is_settled(
    ids: RequestIds, *, sent: bool, repeated: bool, tmp_path: Path
) -> None:
    service = FakeService(ids, free=True)
    answer = LOST if sent else NEVER_ARRIVED
    await held_by(tmp_path, service, answer)
    with open_job(tmp_path, IDENTITY, wall_clock=at(NOW + 1)) as job:
        # Back to where the first or the repeated request was being sent.
        job.journal.apply(Change(key=an_item().key, event=Event.SUBMIT_REPEATED))
    if repeated:
        with open_job(tmp_path, IDENTITY, wall_clock=at(NOW + 2)) as job:
            job.journal.apply(Change(key=an_item().key, event=Event.SUBMIT_REPEATED))

    await run(tmp_path, service, time=NOW + 60)

    assert "submit_interrupted" in events(tmp_path)
    assert only(tmp_path).status is ItemStatus.DONE
    assert len(service.paid) == 1


@pytest.mark.parametrize(
    ("seconds", "sender", "version", "why"),
    [
        (86400.0 - 30, "me", "1", "keeps an idempotency key for 24 h"),
        (90000.0, "me", "1", "keeps an idempotency key for 24 h"),
        (-1.0, "me", "1", "clock was set back"),
        (60.0, "somebody else", "1", "API key"),
        (60.0, "me", "2", "description"),
    ],
)
async def test_doubtful_repeat_is_not_sent(
    seconds: float, sender: str, version: str, why: str, tmp_path: Path
) -> None:
    service = FakeService(KEY)
    await held_by(tmp_path, service)
    service.capabilities = dataclasses.replace(service.capabilities, version=version)

    await run(tmp_path, service, time=NOW + seconds, sender=sender)

    assert only(tmp_path).status is ItemStatus.HELD
    assert why in (only(tmp_path).message or "")
    assert len(service.sent) == 1


async def test_clock_set_back_after_another_run_holds(tmp_path: Path) -> None:
    service = FakeService(KEY)
    await held_by(tmp_path, service)
    await run(tmp_path, service, time=NOW + 100_000)  # too late, which is recorded then

    await run(tmp_path, service, time=NOW + 60)

    assert only(tmp_path).status is ItemStatus.HELD
    assert len(service.sent) == 1


async def test_repeat_needs_the_upload_that_was_sent(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"two people")
    items = with_photo(some_items(1), photo, b"two people")
    service, root = FakeService(KEY), tmp_path / "out"
    service.answers.append(NEVER_ARRIVED)
    service.answers.append(Answer(Failure.REJECTED, accepted=False))
    await run(root, service, items)
    service.uploads = "v2"
    photo.with_name("other").write_bytes(b"x")
    with open_job(root, IDENTITY, wall_clock=at(NOW + 1)) as job:
        job.journal.start()
        await job.journal.remember_upload(items[0].files[0].sha256, "uploads/v2/photo.jpg")
        job.journal.stop()

    await run(root, service, items, time=NOW + 60)

    assert only(root).status is ItemStatus.HELD
    assert "an upload" in (only(root).message or "")
    assert len(service.sent) == 2


async def test_item_that_is_no_longer_listed_is_not_repeated(tmp_path: Path) -> None:
    service = FakeService(KEY)
    await held_by(tmp_path, service, NEVER_ARRIVED)

    await run(tmp_path, service, [], time=NOW + 60)

    assert only(tmp_path).status is ItemStatus.HELD
    assert service.paid == []


async def test_unlisted_absent_free_item_is_not_submitted(tmp_path: Path) -> None:
    service = FakeService(TASK_ID, free=True)
    await held_by(tmp_path, service, NEVER_ARRIVED)

    await run(tmp_path, service, [], time=NOW + 60)

    assert only(tmp_path).status is ItemStatus.PENDING
    assert service.paid == []


async def test_item_reopened_by_the_user_is_not_settled(tmp_path: Path) -> None:
    service = FakeService(TASK_ID)
    await run(tmp_path, service)
    with open_job(tmp_path, IDENTITY, wall_clock=at(NOW + 1)) as job:
        job.journal.apply(
            Change(key=an_item().key, event=Event.REOPENED, reason="reopened", message="wrong")
        )

    await run(tmp_path, service, time=NOW + 60)

    assert only(tmp_path).status is ItemStatus.HELD
    assert service.calls["exists"] == 0


async def test_resubmitted_item_gets_a_new_request_id(tmp_path: Path) -> None:
    service = FakeService(KEY)
    await held_by(tmp_path, service)
    with open_job(tmp_path, IDENTITY, wall_clock=at(NOW + 1)) as job:
        job.journal.apply(Change(key=an_item().key, event=Event.RESUBMITTED))

    await run(tmp_path, service, time=NOW + 60)

    assert only(tmp_path).status is ItemStatus.DONE
    assert len(set(service.sent)) == len(service.paid) == 2


@BOTH
async def test_reached_cap_does_not_keep_items_held(ids: RequestIds, tmp_path: Path) -> None:
    service = FakeService(ids)
    await held_by(tmp_path, service)

    capped = some_settings(max_submissions=1)
    await run(tmp_path, service, some_items(3), capped, time=NOW + 60)

    assert statuses(tmp_path) == {ItemStatus.DONE: 1, ItemStatus.PENDING: 2}
    assert len(service.paid) == 1


@BOTH
async def test_run_that_shuts_down_leaves_items_held(ids: RequestIds, tmp_path: Path) -> None:
    service = FakeService(ids)
    await held_by(tmp_path, service)
    service.answers.extend([Answer(Failure.NO_RESPONSE)] * 20)
    service.questions.extend([Failure.NO_RESPONSE] * 20)

    await run(tmp_path, service, time=NOW + 60, deadline=0.2)

    assert only(tmp_path).status is ItemStatus.HELD
    assert len(service.sent) <= 2
    await run(tmp_path, service, time=NOW + 120)
    assert len(set(service.sent)) == 1


async def test_rejected_key_stops_repeats(tmp_path: Path) -> None:
    service = FakeService(KEY)
    await held_by(tmp_path, service)
    service.answers.append(Answer(Failure.FORBIDDEN, accepted=False))

    await run(tmp_path, service, some_items(2), time=NOW + 60)

    assert only_held(tmp_path) == ["item-0"]
    assert len(service.sent) <= 3


async def test_many_held_items_are_settled_beside_new_ones(tmp_path: Path) -> None:
    service = FakeService(TASK_ID, free=True)
    service.answers.extend([LOST, NEVER_ARRIVED] * 2)

    await run(tmp_path, service, some_items(30), some_settings(in_flight=3))

    assert statuses(tmp_path) == {ItemStatus.DONE: 30}
    assert len(service.paid) == 30
