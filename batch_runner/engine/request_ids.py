"""The id that an attempt is sent with, and the request that belongs to it."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from typing import Any

from batch_runner.engine.clock import Clock

_MAY_BE = "; it may be task "


@dataclass(frozen=True, slots=True)
class RequestId:
    """The id of one attempt, and the digest of the request that is sent with it."""

    id: str
    digest: str


def new_id() -> str:
    """Return a new UUID, lower-case with hyphens."""
    return str(uuid.uuid4())


def request_digest(sender: str, version: str, workflow: str, params: dict[str, Any]) -> str:
    """Return what identifies a request: who sends it, what builds it, and what it is made of."""
    text = json.dumps([sender, version, workflow, params], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def sender_of(base_url: str, key: str) -> str:
    """Return a hash of a service's address and key: with another account it is another request."""
    return hashlib.sha256(json.dumps([base_url, key]).encode()).hexdigest()


def with_candidate(message: str, candidate: str | None, before: str | None = None) -> str:
    """Return why an item is held, with the task id that an error named: it may have been paid for.

    `before` is the message so far, which may name one.
    """
    known = candidate or (before or "").partition(_MAY_BE)[2]
    return f"{message}{_MAY_BE}{known}" if known else message


class Age:
    """Seconds since an attempt's first request, in doubt more.

    The wall clock may be set while a run goes on, and a computer's sleep is not in its event loop's
    time: the larger of both counts.
    """

    def __init__(self, clock: Clock, started_at: float | None = None) -> None:
        """`started_at` is wall clock, in an earlier run; None: now."""
        self._clock = clock
        now = clock.wall()
        self._started_at = now if started_at is None else started_at
        self._before = now - self._started_at
        self._since = self._awake()

    @property
    def started_later(self) -> bool:
        """Return whether the attempt started after now, as if the clock had been set back."""
        return self._before < 0

    @property
    def seconds(self) -> float:
        elapsed = self._awake() - self._since
        return max(self._before + elapsed, self._clock.wall() - self._started_at)

    def _awake(self) -> float:
        return self._clock.monotonic() + self._clock.suspended()
