"""Third stage: download the files of completed tasks, verify them and store them.

In the journal: `downloading` (for a moment still `submitted`) until every file of the item is
verified and synced under its final name; only then `done`. After a crash in between the next run
downloads again, which is free, and finds the files that were placed. What cannot be downloaded in
this run becomes `download_pending` and keeps its task id: it is paid, and every later run tries
again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from batch_runner.engine.context import Run
from batch_runner.engine.retry_policy import Call, RetryDecision
from batch_runner.engine.summary import ExitCode, StopReason
from batch_runner.errors import ApiError, DiskFailed, Failure, FileRejected, JournalError
from batch_runner.journal.base import Change
from batch_runner.lifecycle import Event
from batch_runner.models import InFlight, PlacedFile

log = logging.getLogger(__name__)


class Downloader:
    """Downloads results; every coroutine of the pool runs `download_tasks` of one object."""

    def __init__(self, run: Run) -> None:
        context, state = run.context, run.state
        self._retries = context.settings.retries
        self._longest_pauses = context.settings.timeouts.task
        self._provider = context.provider
        self._gate = context.gate
        self._files = context.files
        self._clock = context.clock
        self._stats = state.stats
        self._control = state.control
        self._breaker = state.breaker
        self._recorder = run.recorder
        self._failures = run.failures
        self._paused_since: float | None = None  # loop time; None: the last download worked

    async def download_tasks(self, completed: MemoryObjectReceiveStream[InFlight]) -> None:
        """Download one completed task after the other until no more will come."""
        async with completed:
            async for task in completed:
                try:
                    await self._download_with_retries(task)
                except JournalError as error:
                    self._recorder.journal_failed(error)

    async def _download_with_retries(self, task: InFlight) -> None:
        urls: list[str] = []
        problem: Exception | None = None
        tries = pauses = 0
        while tries < self._retries.max_tries:
            tries += 1
            try:
                urls = urls or await self._result_urls(task)
                await self._download_and_save(task, urls)
            except (ApiError, FileRejected) as error:
                problem = error
                decision, delay = self._decide_retry(error, tries + pauses)
                if decision is RetryDecision.STOP:  # the run shuts down, the next one downloads
                    return
                if decision is RetryDecision.FAIL_ITEM:
                    break
                if decision is RetryDecision.PAUSE:  # does not count as a try
                    if self._paused_too_long():
                        break
                    tries, pauses = tries - 1, pauses + 1
                # The same URL is used again only if a download was cut off or has to wait.
                same_url = decision in (RetryDecision.AGAIN, RetryDecision.PAUSE)
                urls = urls if same_url else []
                if tries < self._retries.max_tries:
                    await anyio.sleep(delay)
            except DiskFailed as error:
                self._control.stop_submitting(StopReason("disk", str(error), ExitCode.STOPPED))
                await self._record_failure(task, "disk", str(error))
                return
            else:
                return
        reason = problem.reason if isinstance(problem, ApiError) else "bad-file"
        await self._record_failure(task, reason, str(problem))

    async def _result_urls(self, task: InFlight) -> list[str]:
        await self._gate.wait()
        try:
            urls = await self._provider.result(task.task_id)
        except ApiError as error:
            error.add_note("result")
            raise
        self._failures.call_succeeded()
        return urls

    async def _download_and_save(self, task: InFlight, urls: list[str]) -> None:
        """Download and store every file of a task, then record it as done."""
        files = [self._files.new_file() for _ in urls]
        try:
            for url, file in zip(urls, files, strict=True):
                file.length_known = await self._provider.download(url, file.write)
                self._paused_since = None
            with anyio.CancelScope(shield=True):  # what is stored is recorded
                names = output_names(task.name, len(urls))
                placed = [await file.place(name) for file, name in zip(files, names, strict=True)]
                await self._record_done(task, placed)
        finally:
            for file in files:
                file.discard()

    async def _record_done(self, task: InFlight, placed: Sequence[PlacedFile]) -> None:
        await self._recorder.record(Change(key=task.key, event=Event.PLACED, files=tuple(placed)))
        if not task.inherited:
            self._breaker.downloaded()

    def _decide_retry(
        self, error: ApiError | FileRejected, tries: int
    ) -> tuple[RetryDecision, float]:
        """Return what to do after a failed try, and after how many seconds."""
        if isinstance(error, FileRejected):
            log.info("%s", error)
            self._stats.last_problem = str(error)
            return RetryDecision.REFRESH_URL, self._failures.retry_delay(str(error), tries)
        call = Call.QUERY if "result" in getattr(error, "__notes__", ()) else Call.DOWNLOAD
        decision, delay = self._failures.handle(error, call, tries)
        if decision is RetryDecision.STOP and error.failure is Failure.LOCAL:
            return RetryDecision.FAIL_ITEM, 0.0
        if decision is RetryDecision.PAUSE and call is Call.DOWNLOAD:
            return decision, min(self._retries.longest_pause, max(delay, error.retry_after or 0.0))
        return decision, delay

    def _paused_too_long(self) -> bool:
        """Return whether all downloads have been limited for longer than a task may take."""
        now = self._clock.monotonic()
        if self._paused_since is None:
            self._paused_since = now
        return now - self._paused_since > self._longest_pauses

    async def _record_failure(self, task: InFlight, reason: str, message: str) -> None:
        if not task.inherited:  # an earlier run's task does not show how the service works now
            self._breaker.download_failed()
            self._failures.check_breaker(message)
        change = Change(key=task.key, event=Event.DOWNLOAD_FAILED, reason=reason, message=message)
        await self._recorder.record(change)


def output_names(name: str, count: int) -> list[str]:
    """Return the names of `count` files of one item: `name`, or `name`-1, `name`-2 and so on."""
    return [name] if count == 1 else [f"{name}-{number}" for number in range(1, count + 1)]
