"""A process is killed at one chosen step, as by kill -9."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Killed(SystemExit):
    """The process was killed. A `SystemExit`, because only that leaves an event loop at once."""


class CrashPoint:
    """Counts the steps of one run and kills it at the step `at`; None: it is not killed."""

    def __init__(self, at: int | None, note: Callable[[str], None]) -> None:
        self._at = at
        self._note = note
        self.steps = 0
        self.killed = False

    def step(self, where: str) -> None:
        """Pass a step of synchronous code.

        Raises:
            Killed: this was the chosen step.
        """
        if self._reached(where):
            raise Killed

    async def arrive(self, where: str) -> None:
        """Pass a step of a coroutine; at the chosen one the coroutine never continues."""
        if self._reached(where):
            asyncio.get_running_loop().call_soon(self._kill)
        if self.killed:
            await asyncio.get_running_loop().create_future()

    def _reached(self, where: str) -> bool:
        self.steps += 1
        if self.steps == self._at:
            self.killed = True
            self._note(f"CRASH {where}")
            return True
        return False

    def _kill(self) -> None:
        raise Killed
