from __future__ import annotations

import itertools

from batch_runner.engine.circuit_breaker import Breaker

_clock = itertools.count()


def tried(breaker: Breaker) -> None:
    """Send one create that gets no answer, after all that is known of the others."""
    breaker.unanswered(sent=next(_clock), now=next(_clock))


def test_nothing_is_held_back_while_creates_are_accepted() -> None:
    breaker = Breaker()

    breaker.accepted()

    assert breaker.pause == 0
    assert breaker.tripped is None


def test_no_more_is_paid_for_when_one_task_after_the_other_fails() -> None:
    breaker = Breaker()
    for _ in range(24):
        breaker.failed()
        breaker.accepted()
    assert breaker.tripped is None

    breaker.failed()

    assert breaker.tripped == "25 tasks failed in a row"


def test_as_many_may_fail_in_a_row_as_may_be_in_flight() -> None:
    breaker = Breaker(in_flight=40)
    for _ in range(39):
        breaker.failed()
    assert breaker.tripped is None

    breaker.failed()

    assert breaker.tripped == "40 tasks failed in a row"


def test_no_more_is_paid_for_when_no_file_can_be_had() -> None:
    breaker = Breaker()
    for _ in range(25):
        breaker.unfetched()

    assert breaker.tripped == "the files of 25 tasks in a row could not be fetched"


def test_one_file_on_the_disk_forgives_the_tasks_that_came_to_nothing_before() -> None:
    breaker = Breaker()
    for _ in range(24):
        breaker.failed()
        breaker.unfetched()
    breaker.fetched()
    breaker.failed()
    breaker.unfetched()

    assert breaker.tripped is None


def test_a_service_that_never_worked_is_given_up_after_five_creates_without_answer() -> None:
    breaker = Breaker()

    for _ in range(4):
        tried(breaker)
    assert breaker.tripped is None

    tried(breaker)
    assert breaker.tripped == "5 creates in a row got no clear answer"


def test_a_service_that_has_worked_is_given_longer_and_longer_pauses_before_it_is_given_up() -> (
    None
):
    breaker = Breaker()
    breaker.accepted()

    pauses, trips = [], []
    for _ in range(9):
        tried(breaker)
        pauses.append(breaker.pause)
        trips.append(breaker.tripped)

    assert pauses[:8] == [0, 0, 0, 0, 10, 30, 90, 270]
    assert trips[:8] == [None] * 8
    assert trips[8] == "9 creates in a row got no clear answer"


def test_one_accepted_create_ends_the_pauses() -> None:
    breaker = Breaker()
    breaker.accepted()
    for _ in range(6):
        tried(breaker)

    breaker.accepted()

    assert breaker.pause == 0


def test_a_refusal_is_a_clear_answer_and_ends_the_pauses() -> None:
    breaker = Breaker()
    breaker.accepted()
    for _ in range(8):
        tried(breaker)

    breaker.refused()

    assert breaker.pause == 0
    assert breaker.tripped is None


def test_refusals_of_everything_stop_creating() -> None:
    breaker = Breaker()

    for _ in range(24):
        breaker.refused()
    assert breaker.tripped is None

    breaker.refused()
    assert breaker.tripped == "the service refused 25 creates in a row"


def test_refusals_between_accepted_creates_stop_nothing() -> None:
    breaker = Breaker()

    for _ in range(100):
        breaker.refused()
        breaker.accepted()

    assert breaker.tripped is None


def test_creates_that_were_on_the_wire_when_the_trouble_began_are_one_incident() -> None:
    breaker = Breaker()
    breaker.accepted()

    for place in range(40):
        breaker.unanswered(sent=place / 100, now=60 + place / 100)

    assert breaker.pause == 10
    assert breaker.tripped is None
    breaker.unanswered(sent=71, now=131)
    assert breaker.pause == 30
