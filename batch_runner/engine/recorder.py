"""Every write of a run to the journal, and what happens when one fails.

The outcome of a submission is the one thing that must never be lost, so `record_outcome` tries in
this order: record it in the journal; if the service gave the task id to another item before, hold
this item; if another run has changed the item meanwhile, attach the task id to it; if the journal
cannot be written, append to the fallback log, which the next run reads first.

Without a journal nothing may be paid for: every failure shuts the run down.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from batch_runner.engine.control import Control
from batch_runner.engine.stats import RunStats
from batch_runner.engine.summary import ExitCode, StopReason
from batch_runner.errors import IllegalTransition, JournalConflict, JournalError
from batch_runner.jobdir.fallback_log import FallbackLog
from batch_runner.journal.base import Change, LeaseLost, RunJournal, TaskIdTaken, held_instead
from batch_runner.lifecycle import Event

T = TypeVar("T")

log = logging.getLogger(__name__)


class Recorder:
    """Writes events to the journal and counts them."""

    def __init__(
        self,
        journal: RunJournal,
        fallback: FallbackLog,
        stats: RunStats,
        control: Control,
        *,
        on_change: Callable[[Change], None] | None = None,
    ) -> None:
        """`on_change` must not raise; it is called with each change that `record` has committed."""
        self._journal = journal
        self._fallback = fallback
        self._stats = stats
        self._control = control
        self._on_change = on_change

    async def record(self, *changes: Change) -> None:
        """Commit the changes, all or none; when this returns, they survive a power cut.

        They are queued before anything is awaited, so a cancelled caller loses nothing.

        Raises:
            JournalConflict: another run has changed the item; nothing was committed.
            JournalError: nothing was committed.
        """
        try:
            await self._journal.record(*changes)
        except IllegalTransition as error:
            raise JournalConflict(
                f"{error}: another run is working on this journal, so this run stops"
            ) from error
        for change in changes:
            self._stats.apply(change.event, change.origin)
        if self._on_change is not None:
            for change in changes:
                self._on_change(change)

    async def try_record(self, *changes: Change) -> bool:
        """Commit the changes, or shut the run down and return False."""
        try:
            await self.record(*changes)
        except JournalError as error:
            self.journal_failed(error)
            return False
        return True

    def record_later(self, change: Change) -> None:
        """Queue a change without waiting: if a crash loses it, the next run repeats a free step."""
        self._stats.apply(change.event)
        self._journal.record(change, deferrable=True).add_done_callback(self._check)

    def _check(self, future: asyncio.Future[None]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            self.journal_failed(error)

    async def record_outcome(self, change: Change) -> bool:
        """Store the outcome of a submission; return whether the journal took it unchanged."""
        try:
            await self.record(change)
        except TaskIdTaken as error:
            await self.record_outcome(held_instead(change, error))
            return False
        except LeaseLost as error:
            # Without a task id nothing was accepted, and the next holder holds the item.
            self.journal_failed(error)
            await self._attach(change)
            return False
        except JournalConflict as error:
            self.journal_failed(error)
            await self._attach(change)
            return False
        except JournalError as error:
            self.write_fallback(change, error)
            return False
        return True

    async def _attach(self, change: Change) -> None:
        """Attach the task id to an item that another run has made held meanwhile."""
        if change.task_id is not None:
            try:
                await self.record(replace(change, event=Event.ATTACHED))
            except JournalError as error:
                self.write_fallback(change, error)

    def write_fallback(self, change: Change, error: JournalError) -> None:
        """Append an outcome to the fallback log, and shut the run down because of `error`."""
        entry = {
            "key": change.key,
            "event": change.event.value,
            "task_id": change.task_id,
            "reason": change.reason,
            "message": change.message,
        }
        # Standard error first: it needs no disk, unless it is a file on the same one.
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(
                f"journal failed; outcome of a submission for the fallback log: {entry}\n"
            )
            sys.stderr.flush()
        try:
            self._fallback.append(entry | {"urls": list(change.urls)} if change.urls else entry)
        except OSError as problem:
            log.error("the fallback log cannot be written either: %s", problem)
        self.journal_failed(error)

    async def read(self, rows: Awaitable[list[T]]) -> list[T]:
        """Return rows of the journal; if it cannot be read, shut the run down and return none."""
        try:
            return await rows
        except JournalError as error:
            self.journal_failed(error)
            return []

    @property
    def journal_lost(self) -> bool:
        """Return whether the run stopped because the journal failed."""
        return self._control.stop is not None and self._control.stop.reason == "journal"

    def journal_failed(self, error: BaseException) -> None:
        """Shut the run down: without a journal nothing may be paid for."""
        log.error("%s", error)
        self._stats.last_problem = str(error)
        reason = "lease" if isinstance(error, LeaseLost) else "journal"
        self._control.shut_down(StopReason(reason, str(error), ExitCode.STOPPED))
