"""Whether again: what each failure means for each kind of call, as one table without I/O.

A *retry* sends the same request again and costs nothing. Whether a create may be sent again is the
one question that costs money, so its column is the strict one: only what provably was not
accepted is sent again; what may have been accepted is held for a person.
"""

from __future__ import annotations

import random
from enum import StrEnum

from batch_runner.errors import Failure
from batch_runner.settings import Retries


class Call(StrEnum):
    """The kinds of calls: the columns of the table."""

    SUBMIT = "submit"
    QUERY = "query"  #: status and result
    DOWNLOAD = "download"
    UPLOAD = "upload"


class RetryDecision(StrEnum):
    """What to do about a failed call."""

    AGAIN = "again"  #: the same request, after a back-off
    PAUSE = "pause"  #: everyone waits, then the same request; uses up nothing
    HELD = "held"  #: it may have been paid: a person decides
    REJECTED = "rejected"  #: not paid, and never again by itself
    STOP = "stop"  #: no more creates in this run; the item stays as it is
    RETRY_UNKNOWN = "retry-unknown"  #: ask again for a while, and keep the id whatever comes
    REFRESH_URL = "refresh-url"  #: ask the service for the result again, then fetch again
    FAIL_ITEM = "fail-item"  #: the item cannot be sent like this

    @property
    def sends_again(self) -> bool:
        """Say whether the same request goes out once more."""
        return self in (
            RetryDecision.AGAIN,
            RetryDecision.PAUSE,
            RetryDecision.RETRY_UNKNOWN,
            RetryDecision.REFRESH_URL,
        )


_V = RetryDecision

TABLE: dict[Failure, dict[Call, RetryDecision]] = {
    failure: dict(zip(Call, verdicts, strict=True))
    for failure, verdicts in {
        #                     submit      query        download   upload
        Failure.UNSENT: (_V.AGAIN, _V.AGAIN, _V.AGAIN, _V.AGAIN),
        Failure.NO_RESPONSE: (_V.HELD, _V.AGAIN, _V.AGAIN, _V.AGAIN),
        Failure.AMBIGUOUS: (_V.HELD, _V.AGAIN, _V.AGAIN, _V.AGAIN),
        Failure.LIMITED: (_V.PAUSE, _V.PAUSE, _V.PAUSE, _V.PAUSE),
        Failure.REJECTED: (_V.REJECTED, _V.RETRY_UNKNOWN, _V.REFRESH_URL, _V.FAIL_ITEM),
        Failure.NOT_FOUND: (_V.REJECTED, _V.RETRY_UNKNOWN, _V.REFRESH_URL, _V.FAIL_ITEM),
        Failure.FORBIDDEN: (_V.STOP, _V.STOP, _V.REFRESH_URL, _V.STOP),
        Failure.REDIRECTED: (_V.REJECTED, _V.RETRY_UNKNOWN, _V.REFRESH_URL, _V.FAIL_ITEM),
        Failure.LOCAL: (_V.STOP, _V.PAUSE, _V.STOP, _V.PAUSE),
    }.items()
}


def decide(failure: Failure, call: Call) -> RetryDecision:
    """Return what to do about `failure` of `call`."""
    return TABLE[failure][call]


def backoff(tries: int, retries: Retries, random: random.Random) -> float:
    """Return seconds to wait after the `tries`-th failure (from 1): full jitter, capped."""
    longest = min(retries.cap, retries.base * 2.0 ** min(tries, 30))
    return random.uniform(0, longest)


class Budget:
    """What a run may owe in retries: each costs 1, and each answer that helps pays back 0.1."""

    def __init__(self, size: float) -> None:
        self._size = size
        self._left = float(size)

    def take(self) -> bool:
        """Pay for one retry; False when nothing is left."""
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def succeeded(self) -> None:
        """Pay a little back."""
        self._left = min(self._size, self._left + 0.1)
