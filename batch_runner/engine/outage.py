"""How long the service has not responded."""

from __future__ import annotations


class OutageMonitor:
    """Tells when a run has waited long enough for a service that does not respond."""

    def __init__(self, now: float, *, first_contact: float, outage: float) -> None:
        """`first_contact` is the patience in seconds before the first response, `outage` after."""
        self._last_response = now
        self._patience = first_contact
        self._outage = outage

    def record_response(self, now: float) -> None:
        """Record a response, whatever it said."""
        self._last_response = now
        self._patience = self._outage

    def expired(self, now: float) -> bool:
        """Return whether the last response is too long ago."""
        return now - self._last_response > self._patience
