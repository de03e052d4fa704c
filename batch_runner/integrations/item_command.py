"""Runs the command of `on_item` for each item that has ended, beside the run.

The journal is the queue: a page of ended items is read when there is room for another command, so
a slow command costs no memory and never delays a submission. The end of a command is recorded,
whatever its exit status; after a crash the next run finds those that were not recorded.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup, TaskStatus

from batch_runner.engine.context import Run, RunContext
from batch_runner.errors import JournalError
from batch_runner.integrations.user_commands import EndedCommand, UserCommands
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import results_of
from batch_runner.journal.delivery_log import DeliveryLog, EndedItem
from batch_runner.lifecycle import ItemStatus
from batch_runner.manifest import OnItem
from batch_runner.util.locale import tr, tr_n
from batch_runner.util.paths import utf8_text
from batch_runner.util.text import error_reason, json_text, printable

log = logging.getLogger(__name__)

#: Ended items read from the journal at a time.
PAGE = 100
#: Seconds between two looks whether an item has ended.
TICK = 0.5
#: Seconds that commands get after the last item, and after the run is told to stop.
END_SECONDS, STOP_SECONDS = 600.0, 5.0


class ItemCommands:
    """The commands of one run: `deliver` is a background task, `finish` ends it."""

    def __init__(
        self,
        on_item: OnItem,
        environment: Mapping[bytes, bytes],
        *,
        job: str,
        manifest: Path,
        rehearsal: bool,
        say: Callable[[str], None] = lambda text: None,
        end_seconds: float = END_SECONDS,
    ) -> None:
        """`manifest` is absolute; `say` prints a line for the user."""
        self.ended = self.failed = 0
        self.left = 0  #: ended items that are left to the next run
        self._on_item = on_item
        self._command = on_item.command or ""
        self._about = {"job": job, "manifest": utf8_text(manifest), "rehearsal": rehearsal}
        self._commands = UserCommands(manifest.parent, environment)
        self._say = say
        self._end_seconds = end_seconds
        self._running = 0
        self._unrecorded: set[int] = set()  # events whose command was started, or was to be
        self._cursor = 0  # the last event that was looked at
        self._seen: dict[ItemStatus, int] | None = None  # counts when nothing more had ended
        self._broken = False

    async def deliver(self, run: Run) -> None:
        """Run the command for each ended item until cancelled; then end those that run."""
        journal = run.context.journal
        try:
            self._cursor = await journal.start_deliveries()
            threads = anyio.CapacityLimiter(self._on_item.concurrency)
            async with anyio.create_task_group() as commands:
                try:
                    await self._feed(run, commands, threads)
                finally:
                    self._commands.stop()
        except JournalError as error:
            self._broken = True
            log.warning("on_item: the journal cannot be used: %s", error)
        finally:
            self._commands.close()

    async def finish(self, run: Run) -> None:
        """Wait for the commands of what has ended, as long as `END_SECONDS` allow."""
        self._seen = None  # look once more
        control, waited, said = run.state.control, 0.0, False
        while not self._idle and waited < self._end_seconds:
            if control.shutting_down and (not self._running or waited >= STOP_SECONDS):
                break
            if waited >= 2 * TICK and not said:
                said = True
                self._say(tr("waiting for the commands of on_item; Ctrl-C leaves them to later"))
            await anyio.sleep(TICK / 5)
            waited += TICK / 5
        if not self._idle and not self._broken:
            await self._count_left(run.context.journal)

    @property
    def _idle(self) -> bool:
        return self._broken or (self._seen is not None and not self._running)

    @property
    def _up_to(self) -> int:
        """Return the number of the event up to which nothing is left to be recorded."""
        return min(self._unrecorded, default=self._cursor + 1) - 1

    def figures(self) -> dict[str, int]:
        """Return the counts for programs."""
        return {"commands": self.ended, "failed": self.failed, "left": self.left}

    def text(self) -> str | None:
        """Return what the summary says, None if there was nothing to do."""
        if not self.ended and not self.left:
            return None
        text = tr_n("on_item: {count} command", "on_item: {count} commands", self.ended)
        if self.failed:
            text += tr(", {count} failed", count=self.failed)
        if self.left:
            text += tr(", {count} left to the next run", count=self.left)
        return text

    async def _feed(self, run: Run, commands: TaskGroup, threads: anyio.CapacityLimiter) -> None:
        journal, counts = run.context.journal, run.state.stats.counts
        while True:
            if self._seen != counts and not run.state.control.shutting_down:
                seen = dict(counts)
                page = await journal.ended_items(self._cursor, PAGE)
                for ended in page:
                    if ended.item.status.value in self._on_item.when:
                        self._running += 1
                        self._unrecorded.add(ended.event)
                        await commands.start(self._run_command, run, ended, threads)
                    self._cursor = ended.event
                    if run.state.control.shutting_down:
                        break
                if page:
                    continue
                # What has ended beyond an event that is being committed comes later.
                if not await journal.undelivered(self._cursor):
                    self._seen = seen
            await anyio.sleep(TICK)

    async def _run_command(
        self,
        run: Run,
        ended: EndedItem,
        threads: anyio.CapacityLimiter,
        *,
        task_status: TaskStatus[None],
    ) -> None:
        """Run the command for an item, when fewer than `concurrency` are running."""
        try:
            async with threads:
                task_status.started()
                with anyio.CancelScope(shield=True):  # `stop` ends the command
                    done = await self._run_in_thread(run.context, ended)
            if done is not None:  # another command runs meanwhile: the record is not urgent
                with anyio.CancelScope(shield=True):
                    await self._record(run.context.journal, ended, done)
        finally:
            self._running -= 1

    async def _run_in_thread(self, context: RunContext, ended: EndedItem) -> EndedCommand | None:
        """Run the command; return how it ended, None if it is left to the next run."""
        stdin, seconds = self._message(context.folder, ended), self._on_item.timeout
        run, own = functools.partial(self._commands.run, self._command), anyio.CapacityLimiter(1)
        try:
            done = await anyio.to_thread.run_sync(run, stdin, seconds, limiter=own)
        except (OSError, ValueError) as error:
            self._report(ended, f"it cannot be started: {error_reason(error)}", "")
            return None
        return None if done.stopped else done

    async def _record(self, journal: DeliveryLog, ended: EndedItem, done: EndedCommand) -> None:
        self.ended += 1
        if done.problem is not None or done.output.strip():
            self._report(ended, done.problem, done.output)
        self._unrecorded.discard(ended.event)
        status = None if done.timed_out else done.exit_status
        try:
            await journal.record_delivery(ended.event, status, up_to=self._up_to)
        except JournalError:
            self._broken = True

    def _report(self, ended: EndedItem, problem: str | None, output: str) -> None:
        """Log a problem, the first one as a warning, or what a command wrote."""
        written = f": {printable(output)}" if output.strip() else ""
        if problem is None:
            log.info("on_item.command for %s%s", ended.item.id, written)
            return
        self.failed += 1
        level = logging.WARNING if self.failed == 1 else logging.INFO
        more = "; further ones are in the log file" if self.failed == 1 else ""
        text = "on_item.command failed for %s: %s%s%s"
        log.log(level, text, ended.item.id, problem, written, more)

    async def _count_left(self, journal: DeliveryLog) -> None:
        try:
            counts = await journal.undelivered(self._up_to)
        except JournalError:
            return
        self.left = sum(counts.get(status, 0) for status in self._on_item.when)

    def _message(self, folder: JobFolder, ended: EndedItem) -> bytes:
        """Return what the command reads: one line of JSON."""
        item, results = ended.item, results_of(folder)
        files = item.files if item.status is ItemStatus.DONE else ()
        message: dict[str, Any] = {
            "id": item.id,
            "name": item.name,
            "status": item.status.value,
            "prompt": item.prompt,
            "workflow": item.workflow,
            "params": item.params,
            "variables": item.variables,
            "task_id": item.task_id,
            "attempt": item.attempt,
            "reason": item.reason,
            "message": item.message,
            "files": [results.address(file.name) for file in files],
            "folder": utf8_text(folder.root),
            "key": item.key,
            "at": round(ended.at, 3),
            **self._about,
        }
        return f"{json_text(message)}\n".encode("utf-8", "replace")
