"""Virtual time: an event loop whose clock jumps to the next timer when nothing else is ready.

The idea is that of trio's ``MockClock(autojump_threshold=...)``: a test that waits ten minutes of
loop time takes a second, and its result does not depend on the speed of the machine. Loopback
sockets are safe if this loop serves both ends: what one end has sent is readable when the loop next
polls the selector. The selector does not see threads, so the clock never jumps while one is busy.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")

# Real seconds to wait for socket events before the clock may jump.
IDLE_THRESHOLD = 0.001
# Virtual seconds per iteration of the loop, so that a timeout smaller than a rounding error ends.
ITERATION_SECONDS = 1e-6


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0
        self.busy: Callable[[], bool] = lambda: False
        self.running_calls = 0  # in the loop's threads, such as the resolution of a host name

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.skipped += ITERATION_SECONDS
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(min(timeout, IDLE_THRESHOLD))
        if not ready and not self.running_calls and not self.busy():
            self.skipped += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The loop for anyio's ``loop_factory``."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._began = super().time()

    def time(self) -> float:
        """Return the real time at which the loop was made, plus the virtual seconds since then."""
        return self._began + self._jumping.skipped

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run a call in a thread, during which the clock stands still."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.running_calls += 1
        future.add_done_callback(self._call_done)
        return future

    def _call_done(self, _: object) -> None:
        self._jumping.running_calls -= 1

    async def shutdown_default_executor(self, *_: Any) -> None:
        """End the threads without a jump of the clock, which would trigger the timeout."""
        self._jumping.running_calls += 1
        await super().shutdown_default_executor()

    def skip(self, seconds: float) -> None:
        """Move the clock forward at once."""
        self._jumping.skipped += seconds

    def never_jump_while(self, busy: Callable[[], bool]) -> None:
        """Stop the clock whenever `busy` returns true."""
        self._jumping.busy = busy
