"""Stop a run, and keep the reason.

A run is stopped in two steps. *Stop submitting*: nothing new is paid for, what has been paid is
still polled and downloaded (spend cap, rejected API key, empty account, full disk, failing
service). *Shut down*: when the submissions that were sent have been answered and journaled, the run
ends; what is in flight is left to the next run (signal, deadline).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import anyio

from batch_runner.engine.summary import ExitCode, StopReason
from batch_runner.errors import RegistryError


class Control:
    """The stop switch of one run."""

    def __init__(self) -> None:
        self.stop: StopReason | None = None  #: the first reason is kept
        self.shutting_down = False
        self._submitting_scopes: set[anyio.CancelScope] = set()
        self._settling_scopes: set[anyio.CancelScope] = set()
        self._shutdown_scope: anyio.CancelScope | None = None
        self._submissions_finished = False
        self.on_last_page: Callable[[], None] = lambda: None  #: few items are left to submit

    @property
    def repeating(self) -> bool:
        """Return whether a submission that counts as paid may be sent again with its key."""
        return self.stop is None or (self.stop.reason == "cap" and not self.shutting_down)

    @property
    def submitting(self) -> bool:
        """Return whether new submissions may be sent."""
        return self.stop is None

    def stop_submitting(self, stop: StopReason) -> None:
        """Send no new submission; those that were sent are waited for."""
        if self.stop is None:
            self.stop = stop
        for scope in self._submitting_scopes:
            scope.cancel()

    def stop_for_retry_after(self, seconds: float) -> None:
        """Stop submitting: the service wants a longer pause than a run makes."""
        message = f"the service asks to wait {seconds:.0f} s; the rest is left to the next run"
        self.stop_submitting(StopReason("limited", message, ExitCode.STOPPED))

    def stop_without_registry(self, error: RegistryError) -> None:
        """Stop submitting: what other jobs have paid for cannot be known any more."""
        message = f"{error}; the rest is left to the next run"
        self.stop_submitting(StopReason("registry", message, ExitCode.STOPPED))

    def shut_down(self, stop: StopReason) -> None:
        """End the run as soon as the submissions that were sent are journaled."""
        self.stop_submitting(stop)
        self.shutting_down = True
        for scope in self._settling_scopes:
            scope.cancel()
        self._cancel_if_due()

    def submissions_finished(self) -> None:
        """Record that every submission has been answered, and that no more will be sent."""
        self._submissions_finished = True
        self._cancel_if_due()

    def _cancel_if_due(self) -> None:
        if self.shutting_down and self._submissions_finished and self._shutdown_scope is not None:
            self._shutdown_scope.cancel()

    def cancel_on_stop(self) -> AbstractContextManager[None]:
        """Cancel the block when submitting stops."""
        return _cancelled_by(self._submitting_scopes, at_once=not self.submitting)

    def cancel_settling(self) -> AbstractContextManager[None]:
        """Cancel the block as soon as the run shuts down: held items are not settled any more."""
        return _cancelled_by(self._settling_scopes, at_once=self.shutting_down)

    @contextmanager
    def cancel_on_shutdown(self) -> Iterator[None]:
        """Cancel the block when the run shuts down and no submission is unanswered."""
        with anyio.CancelScope() as scope:
            self._shutdown_scope = scope
            self._cancel_if_due()
            yield


@contextmanager
def _cancelled_by(scopes: set[anyio.CancelScope], *, at_once: bool) -> Iterator[None]:
    """Run the block in a cancel scope that is one of `scopes` meanwhile."""
    with anyio.CancelScope() as scope:
        scopes.add(scope)
        if at_once:
            scope.cancel()
        try:
            yield
        finally:
            scopes.discard(scope)
