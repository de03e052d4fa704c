"""React to failed calls: retry after some seconds, pause, or stop the run."""

from __future__ import annotations

import logging

from batch_runner.engine.clock import Clock
from batch_runner.engine.retry_policy import Call, RetryDecision, backoff, decide
from batch_runner.engine.state import RunState
from batch_runner.engine.summary import ExitCode, StopReason
from batch_runner.errors import ApiError, Failure
from batch_runner.polling.scheduler import PollScheduler
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.settings import Retries

log = logging.getLogger(__name__)

#: A login page or a gateway redirects; the service itself has not been reached.
_NOT_REACHED = (
    Failure.UNSENT,
    Failure.LOCAL,
    Failure.PROXY,
    Failure.MOVED,
    Failure.REDIRECTED,
)
_STOP_REASONS = {
    Failure.PROXY: "proxy",
    Failure.MOVED: "redirected",
    Failure.REDIRECTED: "redirected",
}


class FailureHandler:
    """Turns each failed call into a decision, and slows down or stops the run where it must."""

    def __init__(
        self,
        state: RunState,
        *,
        retries: Retries,
        clock: Clock,
        gate: PauseGate,
        scheduler: PollScheduler,
    ) -> None:
        self._retries = retries
        self._clock = clock
        self._gate = gate
        self._scheduler = scheduler
        self._stats = state.stats
        self._control = state.control
        self._breaker = state.breaker
        self._budget = state.budget
        self._outage = state.outage

    def call_succeeded(self) -> None:
        """Record that the service answered a call."""
        self._outage.record_response(self._clock.monotonic())
        self._budget.succeeded()

    def handle(self, error: ApiError, call: Call, tries: int) -> tuple[RetryDecision, float]:
        """Record a failed call; return what to do, and the seconds before it is sent again."""
        decision = decide(error.failure, call)
        self._stats.last_problem = str(error)
        log.info("%s", error)
        self._watch_for_outage(error, call)
        if decision.stops:
            self._stop(error, call)
        if not decision.sends_again:
            return decision, 0.0
        delay = self.retry_delay(str(error), tries, free=decision is RetryDecision.PAUSE)
        if decision is RetryDecision.PAUSE:
            self._pause(error, call, delay)
        return decision, delay

    def retry_delay(self, problem: str, tries: int, *, free: bool = False) -> float:
        """Return the seconds before a request is sent again because of `problem`.

        Unless `free`, the retry is charged to the retry budget; without budget it waits longest.
        """
        self._stats.retries += 1
        self._stats.last_retried = problem
        quick = free or self._budget.take()
        return backoff(tries, self._retries, self._clock.random) if quick else self._retries.cap

    def check_breaker(self, last: str) -> None:
        """Stop submitting if the circuit breaker has tripped; `last` is the last problem."""
        if (reason := self._breaker.tripped) is not None:
            message = f"{reason}; the last: {last}"
            self._control.stop_submitting(StopReason("breaker", message, ExitCode.UNAVAILABLE))

    def _watch_for_outage(self, error: ApiError, call: Call) -> None:
        if call is Call.DOWNLOAD:  # often another host
            return
        now = self._clock.monotonic()
        if error.status is not None and error.failure not in _NOT_REACHED:
            self._outage.record_response(now)
        elif self._outage.expired(now):
            message = f"the service cannot be reached: {error}"
            self._control.shut_down(StopReason("outage", message, ExitCode.UNAVAILABLE))

    def _stop(self, error: ApiError, call: Call) -> None:
        if error.failure is Failure.LOCAL:
            self._control.stop_submitting(StopReason("local", str(error), ExitCode.STOPPED))
            return
        reason = _STOP_REASONS.get(error.failure, "forbidden")
        stop = StopReason(reason, str(error), ExitCode.UNAVAILABLE)
        if call is Call.QUERY or error.failure is Failure.PROXY:
            self._control.shut_down(stop)
        else:
            self._control.stop_submitting(stop)

    def _pause(self, error: ApiError, call: Call, delay: float) -> None:
        """Pause all calls. Submissions pause through the rate limiter, each download on its own."""
        if call is Call.QUERY:
            self._pause_queries(error)
        elif call is Call.UPLOAD:
            self._pause_uploads(error, delay)

    def _pause_queries(self, error: ApiError) -> None:
        if error.failure is not Failure.LIMITED:  # out of descriptors on this machine
            self._gate.close(self._retries.base, local=True)
            return
        self._stats.limited += 1
        self._scheduler.limited(min(error.retry_after or 0.0, self._retries.longest_pause) or None)

    def _pause_uploads(self, error: ApiError, delay: float) -> None:
        """Pause all calls, without reducing the rate of submissions."""
        limited = error.failure is Failure.LIMITED
        self._stats.limited += limited
        longest = self._retries.longest_pause
        if error.retry_after is not None and error.retry_after > longest:
            self._control.stop_for_retry_after(error.retry_after)
        pause = max(delay, min(error.retry_after or 0.0, longest))
        self._gate.close(pause, local=not limited)
