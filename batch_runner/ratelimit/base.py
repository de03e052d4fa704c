"""The protocol between the engine, the poll scheduler and a rate limiter."""

from __future__ import annotations

from typing import Protocol


class SharedTokens(Protocol):
    """One process's part in a rate that several processes share. No call waits."""

    @property
    def rate_now(self) -> float:
        """Return the requests per second that this process may send beside the others; inf: all."""
        ...

    def take(self, now: float) -> float:
        """Take a token and return 0, or return the seconds after which to call this again."""
        ...

    def pause(self, now: float, seconds: float) -> None:
        """Pause all processes for `seconds`, because this one was answered 429."""

    def paused_for(self, now: float) -> float:
        """Return the seconds until the pause ends, 0 if there is none."""
        ...


class RateLimiter(Protocol):
    """Hands out tokens, each the right to send one request, at no more than a rate."""

    @property
    def rate_now(self) -> float:
        """Return the present rate in requests per second: the limit, or less after many 429s."""
        ...

    async def acquire(self) -> float:
        """Wait for a token and return the time it was given at.

        Callers are served in the order they came; a cancelled caller takes no token.
        """
        ...

    async def align(self, acquired_at: float) -> None:
        """Wait until the request whose token was given at `acquired_at` should be sent.

        Work between the token and the request (a shared commit) would make requests leave
        together that had tokens at even distances.
        """
        ...

    def accepted(self) -> None:
        """Record that a request was not limited."""
        ...

    def limited(self, retry_after: float | None, *, acquired_at: float | None = None) -> None:
        """Record a 429: all callers pause, and the rate is reduced if there are many.

        `retry_after` is in seconds; None: the service named no time. `acquired_at` belongs to
        the request that was limited; None: to the one with the latest token.
        """
        ...
