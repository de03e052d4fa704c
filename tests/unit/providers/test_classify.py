"""HTTP statuses and service codes, classified."""

from __future__ import annotations

import pytest

from batch_runner.errors import Failure
from batch_runner.providers.classify import classify


@pytest.mark.parametrize(
    ("status", "code", "failure"),
    [
        pytest.param(200, "0", None, id="200-code-0"),
        pytest.param(200, None, None, id="200-without-code"),
        pytest.param(204, None, None, id="204"),
        pytest.param(200, "1", Failure.REJECTED, id="200-code-1"),
        pytest.param(200, "-1", Failure.REJECTED, id="200-code-minus-1"),
        pytest.param(200, "", Failure.REJECTED, id="200-code-empty"),
        pytest.param(200, "A0400", Failure.REJECTED, id="200-code-of-letters"),
        pytest.param(200, "9" * 5000, Failure.REJECTED, id="200-code-absurd"),
        pytest.param(200, "401", Failure.FORBIDDEN, id="200-code-401"),
        pytest.param(200, "402", Failure.FORBIDDEN, id="200-code-402"),
        pytest.param(200, "403", Failure.FORBIDDEN, id="200-code-403"),
        pytest.param(200, "404", Failure.NOT_FOUND, id="200-code-404"),
        pytest.param(200, "429", Failure.LIMITED, id="200-code-429"),
        pytest.param(200, "500", Failure.REJECTED, id="200-code-500"),
        pytest.param(307, None, Failure.REDIRECTED, id="307"),
        pytest.param(302, "0", Failure.REDIRECTED, id="302-code-0"),
        pytest.param(400, "0", Failure.REJECTED, id="400-code-0"),
        pytest.param(401, None, Failure.FORBIDDEN, id="401"),
        pytest.param(402, None, Failure.FORBIDDEN, id="402"),
        pytest.param(403, None, Failure.FORBIDDEN, id="403"),
        pytest.param(404, None, Failure.NOT_FOUND, id="404"),
        pytest.param(408, None, Failure.AMBIGUOUS, id="408"),
        pytest.param(409, None, Failure.AMBIGUOUS, id="409"),
        pytest.param(410, None, Failure.NOT_FOUND, id="410"),
        pytest.param(413, None, Failure.REJECTED, id="413"),
        pytest.param(422, None, Failure.REJECTED, id="422"),
        pytest.param(425, None, Failure.AMBIGUOUS, id="425"),
        pytest.param(429, None, Failure.LIMITED, id="429"),
        pytest.param(500, None, Failure.AMBIGUOUS, id="500"),
        pytest.param(500, "0", Failure.AMBIGUOUS, id="500-code-0"),
        pytest.param(599, None, Failure.AMBIGUOUS, id="599"),
        pytest.param(101, None, Failure.NO_RESPONSE, id="101"),
    ],
)
def test_response_is_classified_by_status_and_code(
    status: int, code: str | None, failure: Failure | None
) -> None:
    assert classify(status, code) is failure


@pytest.mark.parametrize(
    ("status", "code", "failure"),
    [
        (200, "7", Failure.FORBIDDEN),
        (400, None, Failure.FORBIDDEN),
        (200, "0", None),
        (503, None, Failure.AMBIGUOUS),
    ],
)
def test_empty_account_makes_only_a_rejection_forbidden(
    status: int, code: str | None, failure: Failure | None
) -> None:
    assert classify(status, code, account_empty=True) is failure


@pytest.mark.parametrize("status", [409, 503, 404])
def test_listed_not_accepted_status_is_retried_later(status: int) -> None:
    assert classify(status, None, not_accepted={409, 503, 404}) is Failure.LIMITED


def test_success_stays_success_when_listed_as_not_accepted() -> None:
    assert classify(200, "0", not_accepted={200}) is None
