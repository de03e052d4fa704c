from __future__ import annotations

import re

import pytest

from batch_runner import lifecycle
from batch_runner.errors import IllegalTransition
from batch_runner.lifecycle import (
    ASSUMED_PAID,
    FINAL,
    PAYS_AGAIN,
    RECOVERY,
    TRANSITIONS,
    UNPAID,
    Event,
    ItemStatus,
    advance,
    sources,
)

#: Each event with the only moves it may make; `listed` creates the item.
MOVES: dict[Event, list[tuple[ItemStatus, ItemStatus]]] = {
    Event.LISTED: [],
    Event.TASK_FOUND: [],
    Event.UPLOAD_FAILED: [(ItemStatus.PENDING, ItemStatus.PENDING)],
    Event.UPLOAD_REJECTED: [(ItemStatus.PENDING, ItemStatus.REJECTED)],
    Event.REUSED: [
        (ItemStatus.PENDING, ItemStatus.DONE),
        (ItemStatus.HELD, ItemStatus.DONE),
    ],
    Event.TASK_REUSED: [(ItemStatus.PENDING, ItemStatus.SUBMITTED)],
    Event.FAILED_BEFORE: [(ItemStatus.PENDING, ItemStatus.FAILED)],
    Event.PAID_BEFORE: [
        (ItemStatus.PENDING, ItemStatus.HELD),
        (ItemStatus.SUBMITTED, ItemStatus.HELD),
    ],
    Event.UNFINISHED_ELSEWHERE: [(ItemStatus.PENDING, ItemStatus.PENDING)],
    Event.SUBMIT_STARTED: [(ItemStatus.PENDING, ItemStatus.SUBMITTING)],
    Event.SUBMIT_CONFIRMED: [(ItemStatus.SUBMITTING, ItemStatus.SUBMITTED)],
    Event.SUBMIT_UNSENT: [(ItemStatus.SUBMITTING, ItemStatus.PENDING)],
    Event.SUBMIT_REJECTED: [(ItemStatus.SUBMITTING, ItemStatus.REJECTED)],
    Event.SUBMIT_UNANSWERED: [(ItemStatus.SUBMITTING, ItemStatus.HELD)],
    Event.SUBMIT_INTERRUPTED: [(ItemStatus.SUBMITTING, ItemStatus.HELD)],
    Event.SUBMIT_REPEATED: [(ItemStatus.HELD, ItemStatus.SUBMITTING)],
    Event.NOT_SUBMITTED: [(ItemStatus.HELD, ItemStatus.PENDING)],
    Event.NOT_SETTLED: [(ItemStatus.HELD, ItemStatus.HELD)],
    Event.TASK_LOST: [(ItemStatus.SUBMITTED, ItemStatus.PENDING)],
    Event.TASK_COMPLETED: [(ItemStatus.SUBMITTED, ItemStatus.DOWNLOADING)],
    Event.TASK_FAILED: [
        (ItemStatus.SUBMITTED, ItemStatus.FAILED),
        (ItemStatus.DOWNLOADING, ItemStatus.FAILED),
    ],
    Event.TASK_UNKNOWN: [(ItemStatus.SUBMITTED, ItemStatus.DOWNLOAD_PENDING)],
    Event.DOWNLOAD_FAILED: [(ItemStatus.DOWNLOADING, ItemStatus.DOWNLOAD_PENDING)],
    Event.DOWNLOAD_INTERRUPTED: [(ItemStatus.DOWNLOADING, ItemStatus.SUBMITTED)],
    Event.DOWNLOAD_RESUMED: [(ItemStatus.DOWNLOAD_PENDING, ItemStatus.SUBMITTED)],
    Event.PLACED: [(ItemStatus.DOWNLOADING, ItemStatus.DONE)],
    Event.FILE_MISSING: [(ItemStatus.DONE, ItemStatus.DOWNLOAD_PENDING)],
    Event.RETRIED: [
        (ItemStatus.FAILED, ItemStatus.PENDING),
        (ItemStatus.REJECTED, ItemStatus.PENDING),
        (ItemStatus.DROPPED, ItemStatus.PENDING),
    ],
    Event.ATTACHED: [(ItemStatus.HELD, ItemStatus.SUBMITTED)],
    Event.CORRECTED: [(ItemStatus.SUBMITTED, ItemStatus.SUBMITTED)],
    Event.RESUBMITTED: [
        (ItemStatus.HELD, ItemStatus.PENDING),
        (ItemStatus.SUBMITTED, ItemStatus.PENDING),
    ],
    Event.DROPPED: [
        (ItemStatus.HELD, ItemStatus.DROPPED),
        (ItemStatus.SUBMITTED, ItemStatus.DROPPED),
    ],
    Event.REOPENED: [(ItemStatus.DONE, ItemStatus.HELD)],
}


@pytest.mark.parametrize("event", list(Event))
def test_event_makes_its_moves_and_no_other(event: Event) -> None:
    moves = [
        (status, TRANSITIONS[status][event])
        for status in ItemStatus
        if event in TRANSITIONS[status]
    ]

    assert sorted(moves) == sorted(MOVES[event])


@pytest.mark.parametrize("event", list(Event))
@pytest.mark.parametrize("status", list(ItemStatus))
def test_move_outside_the_table_is_refused(status: ItemStatus, event: Event) -> None:
    legal = dict(MOVES[event])

    if status in legal:
        assert advance(status, event) is legal[status]
        return
    with pytest.raises(IllegalTransition, match=f"from {status.value} by {event.value}"):
        advance(status, event)


def test_sources_are_the_statuses_an_event_may_leave() -> None:
    assert set(sources(Event.TASK_FAILED)) == {ItemStatus.SUBMITTED, ItemStatus.DOWNLOADING}
    assert sources(Event.PLACED) == (ItemStatus.DOWNLOADING,)
    assert sources(Event.LISTED) == ()


def test_every_status_is_reachable_from_pending() -> None:
    reached, frontier = {ItemStatus.PENDING}, [ItemStatus.PENDING]
    while frontier:
        found = set(TRANSITIONS[frontier.pop()].values()) - reached
        reached |= found
        frontier += found

    assert reached == set(ItemStatus)


def test_final_statuses_allow_only_known_events() -> None:
    leaving = {event for status in FINAL for event in TRANSITIONS[status]}

    assert leaving == {
        Event.RETRIED,
        Event.ATTACHED,
        Event.RESUBMITTED,
        Event.DROPPED,
        Event.FILE_MISSING,
        Event.REOPENED,
        Event.REUSED,
        *(Event.SUBMIT_REPEATED, Event.NOT_SUBMITTED, Event.NOT_SETTLED),
    }


def test_missing_file_never_leads_to_a_new_submission() -> None:
    lost = advance(ItemStatus.DONE, Event.FILE_MISSING)

    assert TRANSITIONS[lost] == {Event.DOWNLOAD_RESUMED: ItemStatus.SUBMITTED}


def test_paid_item_is_pending_again_only_if_approved_or_unpaid() -> None:
    back = {
        event
        for status in ASSUMED_PAID | FINAL
        for event, target in TRANSITIONS[status].items()
        if target is ItemStatus.PENDING
    }

    assert back == PAYS_AGAIN | UNPAID - {Event.SUBMIT_REJECTED}


def test_recovery_has_a_rule_for_every_status() -> None:
    assert set(RECOVERY) == set(ItemStatus)


def test_recovery_leaves_no_item_in_between() -> None:
    for status, event in RECOVERY.items():
        after = status if event is None else advance(status, event)
        assert after in FINAL | {ItemStatus.PENDING, ItemStatus.SUBMITTED}


def test_interrupted_submission_is_held() -> None:
    event = RECOVERY[ItemStatus.SUBMITTING]

    assert event is not None
    assert advance(ItemStatus.SUBMITTING, event) is ItemStatus.HELD


def test_recovery_pays_for_nothing_again() -> None:
    assert not PAYS_AGAIN & set(RECOVERY.values())


def test_only_pending_and_rejected_are_assumed_unpaid() -> None:
    assert set(ItemStatus) - ASSUMED_PAID == {ItemStatus.PENDING, ItemStatus.REJECTED}


def test_docstring_shows_every_status() -> None:
    words = set(re.findall(r"[a-z_]+", (lifecycle.__doc__ or "").partition("::")[2]))

    assert {status.value for status in ItemStatus} <= words
