"""What each failure means for each kind of call, as one table without I/O.

A *retry* sends the same request again and costs nothing. Whether a submission may be sent again is
the one question that costs money, so its column is the strict one: it is sent again only if it
certainly was not accepted; if it may have been accepted, the item is held for the user.
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

    AGAIN = "again"  #: send the same request after a back-off
    PAUSE = "pause"  #: all calls wait, then send the same request; does not count as a try
    HELD = "held"  #: it may have been paid: the user decides
    HELD_AND_STOP = "held-and-stop"  #: the same, and no more submissions in this run
    REJECTED = "rejected"  #: not paid, and not sent again without the user
    STOP = "stop"  #: no more submissions in this run; the item stays as it is
    RETRY_UNKNOWN = "retry-unknown"  #: ask again for a while, and keep the task id in any case
    REFRESH_URL = "refresh-url"  #: ask for the result URLs again, then download again
    TASK_FAILED = "task-failed"  #: the task has failed, and will not complete
    FAIL_ITEM = "fail-item"  #: this item cannot be submitted or downloaded

    @property
    def sends_again(self) -> bool:
        """Return whether the request is sent once more."""
        return self in (
            RetryDecision.AGAIN,
            RetryDecision.PAUSE,
            RetryDecision.RETRY_UNKNOWN,
            RetryDecision.REFRESH_URL,
        )

    @property
    def holds(self) -> bool:
        """Return whether the item is held."""
        return self in (RetryDecision.HELD, RetryDecision.HELD_AND_STOP)

    @property
    def stops(self) -> bool:
        """Return whether nothing more is submitted in this run."""
        return self in (RetryDecision.STOP, RetryDecision.HELD_AND_STOP)


_D = RetryDecision

TABLE: dict[Failure, dict[Call, RetryDecision]] = {
    failure: dict(zip(Call, decisions, strict=True))
    for failure, decisions in {
        #                     submit      query        download   upload
        Failure.UNSENT: (_D.AGAIN, _D.AGAIN, _D.AGAIN, _D.AGAIN),
        Failure.NO_RESPONSE: (_D.HELD, _D.AGAIN, _D.AGAIN, _D.AGAIN),
        Failure.AMBIGUOUS: (_D.HELD, _D.AGAIN, _D.AGAIN, _D.AGAIN),
        Failure.LIMITED: (_D.PAUSE, _D.PAUSE, _D.PAUSE, _D.PAUSE),
        Failure.REJECTED: (_D.REJECTED, _D.RETRY_UNKNOWN, _D.REFRESH_URL, _D.FAIL_ITEM),
        Failure.NOT_FOUND: (_D.REJECTED, _D.RETRY_UNKNOWN, _D.REFRESH_URL, _D.FAIL_ITEM),
        Failure.TASK_FAILED: (_D.HELD, _D.TASK_FAILED, _D.REFRESH_URL, _D.FAIL_ITEM),
        Failure.FORBIDDEN: (_D.STOP, _D.STOP, _D.REFRESH_URL, _D.STOP),
        Failure.MOVED: (_D.STOP, _D.AGAIN, _D.REFRESH_URL, _D.STOP),
        Failure.REDIRECTED: (_D.HELD_AND_STOP, _D.AGAIN, _D.REFRESH_URL, _D.STOP),
        Failure.PROXY: (_D.STOP, _D.STOP, _D.STOP, _D.STOP),
        Failure.LOCAL: (_D.STOP, _D.PAUSE, _D.STOP, _D.PAUSE),
    }.items()
}


def decide(failure: Failure, call: Call) -> RetryDecision:
    """Return what to do about `failure` of `call`."""
    return TABLE[failure][call]


def backoff(tries: int, retries: Retries, random: random.Random) -> float:
    """Return the seconds to wait after the `tries`-th failure (from 1): full jitter, capped."""
    longest = min(retries.cap, retries.base * 2.0 ** min(tries, 30))
    return random.uniform(0, longest)


class RetryBudget:
    """Limits the retries of a run: each costs 1, and each successful call gives back 0.1."""

    def __init__(self, size: float) -> None:
        self._size = size
        self._left = float(size)

    def take(self) -> bool:
        """Pay for one retry; return False if nothing is left."""
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def succeeded(self) -> None:
        """Give back 0.1, up to the size."""
        self._left = min(self._size, self._left + 0.1)
