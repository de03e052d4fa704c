"""Decide how long a run waits for a service that does not respond."""

from __future__ import annotations


class OutageMonitor:
    """Measures the time since the last response."""

    def __init__(self, now: float, *, first_contact: float, outage: float) -> None:
        """`first_contact`: longest wait in seconds for the first response; `outage`: for others."""
        self._last_response = now
        self._longest_wait = first_contact
        self._outage = outage

    def record_response(self, now: float) -> None:
        """Record a response, with any status."""
        self._last_response = now
        self._longest_wait = self._outage

    def expired(self, now: float) -> bool:
        """Return whether the wait has been too long."""
        return now - self._last_response > self._longest_wait
