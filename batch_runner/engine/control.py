"""Whether a run goes on: who stopped it, why, and what may still be finished.

Two steps. *Stop creating*: nothing new is paid for, what is paid is still collected (the spend
cap, a refused key, an empty account, a full disk, a service in trouble). *Leave*: after the
creates on the wire have been answered and journalled, the run ends; what is in flight is collected
by the next one (a signal, the deadline).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

import anyio


class ExitCode(IntEnum):
    """Exit codes of the command, as the help texts explain them."""

    DONE = 0  #: every item is done
    INCOMPLETE = 1  #: nothing more to do by itself; some items failed, were refused, or are held
    USAGE = 2  #: the command or the manifest is wrong; nothing was sent
    STOPPED = 3  #: stopped early; the next run goes on
    UNAVAILABLE = 4  #: the service will not work for us: key, balance, outage
    LOCKED = 5  #: another run holds the job
    BUG = 70  #: a mistake of this program
    INTERRUPTED = 130  #: aborted by SIGINT
    TERMINATED = 143  #: aborted by SIGTERM


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why a run stopped early: a short word, a sentence, and the exit code it asks for."""

    reason: str
    message: str
    exit_code: ExitCode


class Control:
    """The switch of one run."""

    def __init__(self) -> None:
        self.stop: StopReason | None = None  #: the first reason wins
        self.leaving = False
        self._creating: set[anyio.CancelScope] = set()
        self._collecting: anyio.CancelScope | None = None
        self._creates_over = False

    @property
    def creating(self) -> bool:
        """Say whether new creates may leave."""
        return self.stop is None

    def stop_creating(self, stop: StopReason) -> None:
        """Let nothing new be paid for; creates on the wire are waited for."""
        if self.stop is None:
            self.stop = stop
        for scope in self._creating:
            scope.cancel()

    def leave(self, stop: StopReason) -> None:
        """End the run as soon as the creates on the wire are journalled."""
        self.stop_creating(stop)
        self.leaving = True
        self._release()

    def submissions_finished(self) -> None:
        """Note that no create is on the wire any more, nor ever will be."""
        self._creates_over = True
        self._release()

    def _release(self) -> None:
        if self.leaving and self._creates_over and self._collecting is not None:
            self._collecting.cancel()

    @contextmanager
    def while_creating(self) -> Iterator[None]:
        """Cut a wait short when creating stops."""
        with anyio.CancelScope() as scope:
            self._creating.add(scope)
            if not self.creating:
                scope.cancel()
            try:
                yield
            finally:
                self._creating.discard(scope)

    @contextmanager
    def while_collecting(self) -> Iterator[None]:
        """Cut the collecting short when the run leaves."""
        with anyio.CancelScope() as scope:
            self._collecting = scope
            self._release()
            yield
