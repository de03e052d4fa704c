"""An event loop whose clock stands still, and jumps to the next timer when nothing else goes on.

The idea is that of trio's ``MockClock(autojump_threshold=...)``: a test that waits ten minutes
of loop time takes a second, and what it sees does not depend on how fast the machine is. Loopback
sockets are safe, both ends being served by this loop: what one end has sent is already readable
when the loop next looks. Threads are not visible to the selector, so the clock never jumps while
one is at work (`busy`).
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")

# Real seconds to look for socket events before the clock may jump.
IDLE_THRESHOLD = 0.001
# Seconds that a round of the loop takes: a wait too short for the clock's last digit ends, too.
A_ROUND = 1e-6


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0
        self.busy: Callable[[], bool] = lambda: False
        self.at_work = 0  # calls in the loop's own threads, such as a look-up of a host

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.skipped += A_ROUND
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(min(timeout, IDLE_THRESHOLD))
        if not ready and not self.at_work and not self.busy():
            self.skipped += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The loop to pass as anyio's ``loop_factory``."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._began = super().time()

    def time(self) -> float:
        """Return the moment it was made plus all that was jumped over: however fast the machine."""
        return self._began + self._jumping.skipped

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run a call in a thread; the clock stands still meanwhile."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.at_work += 1
        future.add_done_callback(self._back)
        return future

    def _back(self, _: object) -> None:
        self._jumping.at_work -= 1

    async def shutdown_default_executor(self, *_: Any) -> None:
        """End the threads, however much of an hour of this clock that would take."""
        self._jumping.at_work += 1
        await super().shutdown_default_executor()

    def skip(self, seconds: float) -> None:
        """Let time pass although something is at work."""
        self._jumping.skipped += seconds

    def never_jump_while(self, busy: Callable[[], bool]) -> None:
        """Let the clock stand still as long as `busy` says so."""
        self._jumping.busy = busy
