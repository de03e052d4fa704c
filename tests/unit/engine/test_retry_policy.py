from __future__ import annotations

import random

import pytest

from batch_runner.engine.retry_policy import (
    TABLE,
    Call,
    RetryBudget,
    RetryDecision,
    backoff,
    decide,
)
from batch_runner.errors import Failure
from batch_runner.settings import Retries

CELLS = [
    # certainly not sent
    (Failure.UNSENT, Call.SUBMIT, RetryDecision.AGAIN),
    (Failure.UNSENT, Call.QUERY, RetryDecision.AGAIN),
    (Failure.UNSENT, Call.DOWNLOAD, RetryDecision.AGAIN),
    (Failure.UNSENT, Call.UPLOAD, RetryDecision.AGAIN),
    # may have been sent, no readable response
    (Failure.NO_RESPONSE, Call.SUBMIT, RetryDecision.HELD),
    (Failure.NO_RESPONSE, Call.QUERY, RetryDecision.AGAIN),
    (Failure.NO_RESPONSE, Call.DOWNLOAD, RetryDecision.AGAIN),
    (Failure.NO_RESPONSE, Call.UPLOAD, RetryDecision.AGAIN),
    # 408, 409, 425, 5xx
    (Failure.AMBIGUOUS, Call.SUBMIT, RetryDecision.HELD),
    (Failure.AMBIGUOUS, Call.QUERY, RetryDecision.AGAIN),
    (Failure.AMBIGUOUS, Call.DOWNLOAD, RetryDecision.AGAIN),
    (Failure.AMBIGUOUS, Call.UPLOAD, RetryDecision.AGAIN),
    # 429
    (Failure.LIMITED, Call.SUBMIT, RetryDecision.PAUSE),
    (Failure.LIMITED, Call.QUERY, RetryDecision.PAUSE),
    (Failure.LIMITED, Call.DOWNLOAD, RetryDecision.PAUSE),
    (Failure.LIMITED, Call.UPLOAD, RetryDecision.PAUSE),
    # other 4xx, and a success with an error code
    (Failure.REJECTED, Call.SUBMIT, RetryDecision.REJECTED),
    (Failure.REJECTED, Call.QUERY, RetryDecision.RETRY_UNKNOWN),
    (Failure.REJECTED, Call.DOWNLOAD, RetryDecision.REFRESH_URL),
    (Failure.REJECTED, Call.UPLOAD, RetryDecision.FAIL_ITEM),
    # 404, 410
    (Failure.NOT_FOUND, Call.SUBMIT, RetryDecision.REJECTED),
    (Failure.NOT_FOUND, Call.QUERY, RetryDecision.RETRY_UNKNOWN),
    (Failure.NOT_FOUND, Call.DOWNLOAD, RetryDecision.REFRESH_URL),
    (Failure.NOT_FOUND, Call.UPLOAD, RetryDecision.FAIL_ITEM),
    # a result says that its task has failed
    (Failure.TASK_FAILED, Call.SUBMIT, RetryDecision.HELD),
    (Failure.TASK_FAILED, Call.QUERY, RetryDecision.TASK_FAILED),
    (Failure.TASK_FAILED, Call.DOWNLOAD, RetryDecision.REFRESH_URL),
    (Failure.TASK_FAILED, Call.UPLOAD, RetryDecision.FAIL_ITEM),
    # 401, 403, empty account; a file host answers 403 for an expired URL
    (Failure.FORBIDDEN, Call.SUBMIT, RetryDecision.STOP),
    (Failure.FORBIDDEN, Call.QUERY, RetryDecision.STOP),
    (Failure.FORBIDDEN, Call.DOWNLOAD, RetryDecision.REFRESH_URL),
    (Failure.FORBIDDEN, Call.UPLOAD, RetryDecision.STOP),
    # 3xx
    (Failure.MOVED, Call.SUBMIT, RetryDecision.STOP),
    (Failure.MOVED, Call.QUERY, RetryDecision.AGAIN),
    (Failure.MOVED, Call.DOWNLOAD, RetryDecision.REFRESH_URL),
    (Failure.MOVED, Call.UPLOAD, RetryDecision.STOP),
    (Failure.REDIRECTED, Call.SUBMIT, RetryDecision.HELD_AND_STOP),
    (Failure.REDIRECTED, Call.QUERY, RetryDecision.AGAIN),
    (Failure.REDIRECTED, Call.DOWNLOAD, RetryDecision.REFRESH_URL),
    (Failure.REDIRECTED, Call.UPLOAD, RetryDecision.STOP),
    # the proxy refuses every request
    (Failure.PROXY, Call.SUBMIT, RetryDecision.STOP),
    (Failure.PROXY, Call.QUERY, RetryDecision.STOP),
    (Failure.PROXY, Call.DOWNLOAD, RetryDecision.STOP),
    (Failure.PROXY, Call.UPLOAD, RetryDecision.STOP),
    # out of disk or descriptors
    (Failure.LOCAL, Call.SUBMIT, RetryDecision.STOP),
    (Failure.LOCAL, Call.QUERY, RetryDecision.PAUSE),
    (Failure.LOCAL, Call.DOWNLOAD, RetryDecision.STOP),
    (Failure.LOCAL, Call.UPLOAD, RetryDecision.PAUSE),
]


@pytest.mark.parametrize(
    ("failure", "call", "decision"),
    [pytest.param(*cell, id=f"{cell[0]}-{cell[1]}-{cell[2]}") for cell in CELLS],
)
def test_each_failure_of_each_call_has_one_decision(
    failure: Failure, call: Call, decision: RetryDecision
) -> None:
    assert decide(failure, call) is decision


def test_every_cell_of_the_table_is_listed_here() -> None:
    assert {(failure, call) for failure, calls in TABLE.items() for call in calls} == {
        (failure, call) for failure, call, _ in CELLS
    }
    assert len(CELLS) == len(Failure) * len(Call)


@pytest.mark.parametrize(
    ("tries", "longest"), [(1, 1.0), (2, 2.0), (5, 16.0), (6, 30.0), (1000, 30.0)]
)
def test_backoff_is_uniform_up_to_a_doubling_bound(tries: int, longest: float) -> None:
    retries = Retries.model_validate({"base": "500ms", "cap": "30s"})

    waits = [backoff(tries, retries, random.Random(seed)) for seed in range(400)]

    assert 0 <= min(waits) < longest * 0.05
    assert longest * 0.95 < max(waits) <= longest


def test_spent_budget_allows_no_retry() -> None:
    budget = RetryBudget(3)

    assert [budget.take() for _ in range(5)] == [True, True, True, False, False]


def test_ten_successes_allow_one_more_retry() -> None:
    budget = RetryBudget(1)
    budget.take()

    for _ in range(9):
        budget.succeeded()
    assert not budget.take()

    for _ in range(2):
        budget.succeeded()
    assert budget.take()
    assert not budget.take()


def test_budget_never_exceeds_its_size() -> None:
    budget = RetryBudget(2)

    for _ in range(1000):
        budget.succeeded()

    assert [budget.take() for _ in range(3)] == [True, True, False]
