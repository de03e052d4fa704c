"""An event loop in virtual time: when nothing is ready, the clock jumps to the next timer.

Unlike the loop of `tests.clock` it has no sockets and no threads to wait for, and several loops,
one per simulated process, share one clock. So an hour takes as long as what happens in it, and a
loop with nothing left to wait for is an error instead of an endless test.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

#: Virtual seconds after which a run counts as one that never ends.
ENDLESS = 7 * 86400.0
#: Virtual seconds that one round of the loop takes: a clock that stands still shows defects that no
#: real one has.
TURN = 1e-6


class Stuck(Exception):
    """The run waits for something that never happens, or never ends."""


class SharedTime:
    """The time that all simulated processes share, in seconds."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now


class _NoWaiting(selectors.DefaultSelector):
    def __init__(self, shared: SharedTime) -> None:
        super().__init__()
        self._shared = shared
        self._until = shared.now + ENDLESS

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck("every coroutine waits, and nothing will wake any of them")
        self._shared.now += max(timeout, TURN)
        if self._shared.now > self._until:
            raise Stuck(f"the run has not ended after {ENDLESS:.0f} s")
        return []


class _Task(asyncio.Task[Any]):
    """A task whose hash does not depend on its address: sets of tasks have one order."""

    def __init__(self, *arguments: Any, number: int, **options: Any) -> None:
        self._number = number
        super().__init__(*arguments, **options)

    def __hash__(self) -> int:
        return self._number


class SimulationLoop(asyncio.SelectorEventLoop):
    """The event loop of one simulated process; several share one `SharedTime`."""

    def __init__(self, shared: SharedTime) -> None:
        self._shared = shared
        self._tasks_made = 0
        super().__init__(_NoWaiting(shared))
        self.set_task_factory(self._make_task)  # type: ignore[arg-type]

    def time(self) -> float:
        """Return the shared time."""
        return self._shared.now

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
    ) -> _Task:
        self._tasks_made += 1
        return _Task(work, loop=loop, number=self._tasks_made, **options)

    def discard(self) -> None:
        """End the coroutines of a killed process; nothing that they still do has an effect."""
        self.set_exception_handler(lambda loop, context: None)
        for _ in range(20):
            if not (left := asyncio.all_tasks(self)):
                break
            for task in left:
                task.cancel()
            try:
                self.run_until_complete(asyncio.wait(left))
            except Stuck:
                continue
        self.run_until_complete(self.shutdown_asyncgens())
        self.close()


def in_a_loop() -> bool:
    """Return whether an event loop is running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
