"""What kind of failure a response is, from its HTTP status and the service's own code."""

from __future__ import annotations

from collections.abc import Collection

from batch_runner.errors import Failure

_FORBIDDEN = frozenset({401, 402, 403})
_UNKNOWN = frozenset({404, 410})
_AMBIGUOUS = frozenset({408, 409, 425})


def classify(
    status: int,
    code: str | None,
    *,
    account_empty: bool = False,
    not_accepted: Collection[int] = (),
) -> Failure | None:
    """Return what kind of failure a response is; None for success.

    `code` is the service's own code as text, None if the response has none. `account_empty` means
    that the response reports an empty balance. `not_accepted` are the HTTP statuses that, as the
    user has set, prove that a submission was not accepted.
    """
    if 200 <= status < 300:
        if code in (None, "0"):
            return None
        number = int(code) if code.isdecimal() and len(code) < 10 else 0
        return _rejection(number, account_empty=account_empty)
    if status in not_accepted:
        return Failure.LIMITED
    if 300 <= status < 400:
        return Failure.REDIRECTED
    if status in _AMBIGUOUS or status >= 500:
        return Failure.AMBIGUOUS
    if 400 <= status < 500:
        return _rejection(status, account_empty=account_empty)
    return Failure.NO_RESPONSE


def _rejection(number: int, *, account_empty: bool) -> Failure:
    if account_empty or number in _FORBIDDEN:
        return Failure.FORBIDDEN
    if number in _UNKNOWN:
        return Failure.NOT_FOUND
    return Failure.LIMITED if number == 429 else Failure.REJECTED
