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
from batch_runner.providers.classify import classify
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
    # 401, 403, empty account; a file host answers 403 for an expired URL
    (Failure.FORBIDDEN, Call.SUBMIT, RetryDecision.STOP),
    (Failure.FORBIDDEN, Call.QUERY, RetryDecision.STOP),
    (Failure.FORBIDDEN, Call.DOWNLOAD, RetryDecision.REFRESH_URL),
    (Failure.FORBIDDEN, Call.UPLOAD, RetryDecision.STOP),
    # 3xx
    (Failure.REDIRECTED, Call.SUBMIT, RetryDecision.REJECTED),
    (Failure.REDIRECTED, Call.QUERY, RetryDecision.RETRY_UNKNOWN),
    (Failure.REDIRECTED, Call.DOWNLOAD, RetryDecision.REFRESH_URL),
    (Failure.REDIRECTED, Call.UPLOAD, RetryDecision.FAIL_ITEM),
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
    ("status", "code", "message", "failure"),
    [
        pytest.param(200, "0", "", None, id="200-code-0"),
        pytest.param(200, None, "", None, id="200-without-code"),
        pytest.param(204, None, "", None, id="204"),
        pytest.param(200, "1", "", Failure.REJECTED, id="200-code-1"),
        pytest.param(200, "-1", "", Failure.REJECTED, id="200-code-minus-1"),
        pytest.param(200, "", "", Failure.REJECTED, id="200-code-empty"),
        pytest.param(200, "A0400", "", Failure.REJECTED, id="200-code-of-letters"),
        pytest.param(200, "9" * 5000, "", Failure.REJECTED, id="200-code-absurd"),
        pytest.param(200, "401", "", Failure.FORBIDDEN, id="200-code-401"),
        pytest.param(200, "402", "", Failure.FORBIDDEN, id="200-code-402"),
        pytest.param(200, "403", "", Failure.FORBIDDEN, id="200-code-403"),
        pytest.param(200, "404", "", Failure.NOT_FOUND, id="200-code-404"),
        pytest.param(200, "429", "", Failure.LIMITED, id="200-code-429"),
        pytest.param(200, "500", "", Failure.REJECTED, id="200-code-500"),
        pytest.param(200, "7", "账户余额不足", Failure.FORBIDDEN, id="200-balance-chinese"),
        pytest.param(200, "7", "已欠费", Failure.FORBIDDEN, id="200-arrears-chinese"),
        pytest.param(200, "7", "Insufficient  Credits", Failure.FORBIDDEN, id="200-credit"),
        pytest.param(400, None, "balance not enough", Failure.FORBIDDEN, id="400-balance"),
        pytest.param(400, None, "balance the colours", Failure.REJECTED, id="400-other-balance"),
        pytest.param(200, "0", "余额 3 CNY", None, id="200-success-that-tells-the-balance"),
        pytest.param(307, None, "", Failure.REDIRECTED, id="307"),
        pytest.param(302, "0", "", Failure.REDIRECTED, id="302-code-0"),
        pytest.param(400, "0", "", Failure.REJECTED, id="400-code-0"),
        pytest.param(401, None, "", Failure.FORBIDDEN, id="401"),
        pytest.param(402, None, "", Failure.FORBIDDEN, id="402"),
        pytest.param(403, None, "", Failure.FORBIDDEN, id="403"),
        pytest.param(404, None, "", Failure.NOT_FOUND, id="404"),
        pytest.param(408, None, "", Failure.AMBIGUOUS, id="408"),
        pytest.param(409, None, "", Failure.AMBIGUOUS, id="409"),
        pytest.param(410, None, "", Failure.NOT_FOUND, id="410"),
        pytest.param(413, None, "", Failure.REJECTED, id="413"),
        pytest.param(422, None, "", Failure.REJECTED, id="422"),
        pytest.param(425, None, "", Failure.AMBIGUOUS, id="425"),
        pytest.param(429, None, "", Failure.LIMITED, id="429"),
        pytest.param(500, None, "", Failure.AMBIGUOUS, id="500"),
        pytest.param(500, "0", "", Failure.AMBIGUOUS, id="500-code-0"),
        pytest.param(503, None, "余额不足", Failure.AMBIGUOUS, id="503-whatever-it-says"),
        pytest.param(599, None, "", Failure.AMBIGUOUS, id="599"),
        pytest.param(101, None, "", Failure.NO_RESPONSE, id="101"),
    ],
)
def test_response_is_classified_by_status_code_and_text(
    status: int, code: str | None, message: str, failure: Failure | None
) -> None:
    assert classify(status, code, message) is failure


@pytest.mark.parametrize("status", [409, 503, 404])
def test_not_accepted_status_is_classified_as_limited(
    status: int,
) -> None:
    assert classify(status, None, unsent={409, 503, 404}) is Failure.LIMITED


def test_success_is_never_classified_as_not_accepted() -> None:
    assert classify(200, "0", unsent={200}) is None


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
