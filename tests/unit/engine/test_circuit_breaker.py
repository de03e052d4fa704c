from __future__ import annotations

import itertools

from batch_runner.engine.circuit_breaker import CircuitBreaker

_clock = itertools.count()


def submit_without_answer(breaker: CircuitBreaker) -> None:
    """Record a submission without an answer, sent after the outcome of all others was known."""
    breaker.unanswered(sent_at=next(_clock), now=next(_clock))


def test_accepted_submissions_neither_pause_nor_stop() -> None:
    breaker = CircuitBreaker()

    breaker.accepted()

    assert breaker.pause == 0
    assert breaker.tripped is None


def test_25_failed_tasks_in_a_row_stop_submitting() -> None:
    breaker = CircuitBreaker()
    for _ in range(24):
        breaker.task_failed()
        breaker.accepted()
    assert breaker.tripped is None

    breaker.task_failed()

    assert breaker.tripped == "25 tasks failed in a row"


def test_more_tasks_may_fail_where_more_are_in_flight() -> None:
    breaker = CircuitBreaker(in_flight=40)
    for _ in range(39):
        breaker.task_failed()
    assert breaker.tripped is None

    breaker.task_failed()

    assert breaker.tripped == "40 tasks failed in a row"


def test_25_failed_downloads_in_a_row_stop_submitting() -> None:
    breaker = CircuitBreaker()
    for _ in range(25):
        breaker.download_failed()

    assert breaker.tripped == "the files of 25 tasks in a row could not be downloaded"


def test_downloaded_file_resets_the_failure_counts() -> None:
    breaker = CircuitBreaker()
    for _ in range(24):
        breaker.task_failed()
        breaker.download_failed()
    breaker.downloaded()
    breaker.task_failed()
    breaker.download_failed()

    assert breaker.tripped is None


def test_service_that_never_worked_stops_after_five() -> None:
    breaker = CircuitBreaker()

    for _ in range(4):
        submit_without_answer(breaker)
    assert breaker.tripped is None

    submit_without_answer(breaker)
    assert breaker.tripped == "5 submissions in a row got no clear answer"


def test_service_that_worked_gets_growing_pauses_first() -> None:
    breaker = CircuitBreaker()
    breaker.accepted()

    pauses, trips = [], []
    for _ in range(9):
        submit_without_answer(breaker)
        pauses.append(breaker.pause)
        trips.append(breaker.tripped)

    assert pauses[:8] == [0, 0, 0, 0, 10, 30, 90, 270]
    assert trips[:8] == [None] * 8
    assert trips[8] == "9 submissions in a row got no clear answer"


def test_accepted_submission_ends_the_pauses() -> None:
    breaker = CircuitBreaker()
    breaker.accepted()
    for _ in range(6):
        submit_without_answer(breaker)

    breaker.accepted()

    assert breaker.pause == 0


def test_rejection_is_a_clear_answer_and_ends_the_pauses() -> None:
    breaker = CircuitBreaker()
    breaker.accepted()
    for _ in range(8):
        submit_without_answer(breaker)

    breaker.rejected()

    assert breaker.pause == 0
    assert breaker.tripped is None


def test_25_rejections_in_a_row_stop_submitting() -> None:
    breaker = CircuitBreaker()

    for _ in range(24):
        breaker.rejected()
    assert breaker.tripped is None

    breaker.rejected()
    assert breaker.tripped == "the service rejected 25 submissions in a row"


def test_rejections_between_accepted_submissions_stop_nothing() -> None:
    breaker = CircuitBreaker()

    for _ in range(100):
        breaker.rejected()
        breaker.accepted()

    assert breaker.tripped is None


def test_submissions_sent_before_the_failure_count_once() -> None:
    breaker = CircuitBreaker()
    breaker.accepted()

    for number in range(40):
        breaker.unanswered(sent_at=number / 100, now=60 + number / 100)

    assert breaker.pause == 10
    assert breaker.tripped is None
    breaker.unanswered(sent_at=71, now=131)
    assert breaker.pause == 30
