"""Third stage: download the files of completed tasks, verify them and store them.

In the journal: `downloading` (for a moment still `submitted`) until every file of the item is
verified and synced under its final name; only then `done`. After a crash in between the next run
downloads again, which is free, and finds the files that were placed. An item of which a file cannot
be downloaded in this run becomes `download_pending` and keeps its task id and its other files: it
is paid, and every later run tries again. Bytes that are not accepted are set aside until then.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import anyio

from batch_runner.engine.context import Run
from batch_runner.engine.download_slots import DownloadSlots, host_of
from batch_runner.engine.ended_tasks import EndedTasks
from batch_runner.engine.result_files import (
    Problem,
    ResultFile,
    describe,
    files_of,
    next_problem,
)
from batch_runner.engine.retry_policy import Call, RetryDecision
from batch_runner.engine.summary import ExitCode, StopReason
from batch_runner.errors import ApiError, DiskFailed, Failure, FileRejected, JournalError
from batch_runner.journal.base import Change
from batch_runner.lifecycle import Event, ItemStatus
from batch_runner.models import InFlight, PlacedFile
from batch_runner.storage.base import IncomingFile

log = logging.getLogger(__name__)

#: Failures after which no other file of the task is begun: it would fail, too.
_FOR_ALL = (Failure.LIMITED, Failure.LOCAL)
#: The host that slots for something other than a download count for.
_SERVICE = ""


class Downloader:
    """Downloads results; each completed task runs `download` of one object.

    A task that waits, for a slot or for its next try, keeps no other from being downloaded.
    """

    def __init__(self, run: Run, ended: EndedTasks) -> None:
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
        self._ended = ended
        self._in_flight = state.in_flight_slots
        self._slots = DownloadSlots(context.settings.downloaders)
        self._journal = context.journal
        self._paused_since: float | None = None  # loop time; None: the last download worked

    async def download(self, task: InFlight) -> None:
        """Download and store the files of a completed task, and record what became of them."""
        try:
            await self._download_with_retries(task)
        except JournalError as error:
            self._recorder.journal_failed(error)
        finally:
            self._in_flight.downloaded()

    async def _download_with_retries(self, task: InFlight) -> None:
        results: list[ResultFile] = []
        try:
            problem = await self._download_until_settled(task, results)
            if problem is None:
                return
            if _says_failed(problem):
                with anyio.CancelScope(shield=True):
                    await self._task_failed(task, str(problem))
                return
            if await self._place_kept(task, results):
                return
        except DiskFailed as error:
            self._control.stop_submitting(StopReason("disk", str(error), ExitCode.STOPPED))
            await self._record_failure(task, "disk", str(error), results)
            return
        first = next((one.problem for one in results if one.problem), problem)
        await self._record_failure(task, first.reason, describe(results) or str(problem), results)

    async def _download_until_settled(
        self, task: InFlight, results: list[ResultFile]
    ) -> Problem | None:
        """Download until every file is stored, or no further try in this run would get it.

        Returns the last problem; None if the task is recorded as done, or the run shuts down.
        """
        urls: Sequence[str] = ()
        problem: Problem | None = None
        known = task.has_result  # the next try uses the URLs that came with the task id
        tries = pauses = 0
        while tries < self._retries.max_tries:
            tries += 1
            try:
                if not urls:
                    urls = await self._result_urls(task, known=known)
                    known = False
                if len(urls) != len(results):
                    results[:] = files_of(task.name, len(urls))
                await self._download_missing(task, urls, results)
            except ApiError as error:
                problem = error
                known = task.has_result and _of_result(error)
            else:
                problem = next_problem(results)
            if problem is None:
                return next((one.problem for one in results if one.problem), None)
            decision, delay = self._decide_retry(problem, tries + pauses)
            if decision is RetryDecision.STOP:  # the run shuts down, the next one downloads
                return None
            if decision in (RetryDecision.FAIL_ITEM, RetryDecision.TASK_FAILED):
                break
            if decision is RetryDecision.PAUSE:  # does not count as a try
                if self._paused_too_long():
                    break
                tries, pauses = tries - 1, pauses + 1
            # The same URL is used again only if a download was cut off or has to wait.
            same_url = decision in (RetryDecision.AGAIN, RetryDecision.PAUSE)
            urls = urls if same_url else ()
            if tries < self._retries.max_tries:
                await anyio.sleep(delay)
        return problem

    async def _result_urls(self, task: InFlight, *, known: bool) -> Sequence[str]:
        """Return the URLs of the task's files; `known`: those that came with its id."""
        if known and (stored := await self._journal.result_urls(task.key)):
            return stored
        await self._gate.wait()
        await self._slots.acquire(_SERVICE)
        try:
            urls = await self._provider.result(task.task_id)
        except ApiError as error:
            error.add_note("result")
            raise
        finally:
            self._slots.release(_SERVICE)
        self._failures.call_succeeded()
        return urls

    async def _download_missing(
        self, task: InFlight, urls: Sequence[str], results: Sequence[ResultFile]
    ) -> None:
        """Download and store the files that are missing; the last one records the task."""
        missing = [
            (url, result)
            for url, result in zip(urls, results, strict=True)
            if not result.settled and not await self._was_refused(task, result)
        ]
        stopped: dict[str, ApiError] = {}
        if len(missing) == 1:
            await self._download_file(task, *missing[0], results, stopped)
        else:
            await self._download_files(task, missing, results, stopped)
        for host, error in stopped.items():
            if error.failure is Failure.LIMITED:
                wanted = error.retry_after or self._retries.base
                self._slots.pause(host, min(wanted, self._retries.longest_pause))

    async def _download_files(
        self,
        task: InFlight,
        missing: Sequence[tuple[str, ResultFile]],
        results: Sequence[ResultFile],
        stopped: dict[str, ApiError],
    ) -> None:
        """Download several files at the same time."""
        try:
            async with anyio.create_task_group() as group:
                for url, result in missing:
                    group.start_soon(self._download_file, task, url, result, results, stopped)
        except ExceptionGroup as failed:
            disk_failed = failed.subgroup(DiskFailed)
            raise (disk_failed or failed).exceptions[0] from None

    async def _download_file(
        self,
        task: InFlight,
        url: str,
        result: ResultFile,
        results: Sequence[ResultFile],
        stopped: dict[str, ApiError],
    ) -> None:
        """Download and store one file; record the task if it was the last one.

        `stopped` gets the error for which no other file of the task is begun, by host.
        """
        host = host_of(url)
        await self._slots.acquire(host)
        file = self._files.new_file()
        try:
            if stopped:
                return
            await self._receive(url, file, result)
            if result.problem is None:
                with anyio.CancelScope(shield=True):  # what is stored is recorded
                    await self._place(task, file, result)
                    await self._record_if_done(task, results)
            elif isinstance(result.problem, ApiError) and result.problem.failure in _FOR_ALL:
                stopped[host] = result.problem
        finally:
            file.discard()
            self._slots.release(host)

    async def _was_refused(self, task: InFlight, result: ResultFile) -> bool:
        """Return whether an earlier run got the file, and its kind is not accepted even now."""
        if not task.inherited or result.problem is not None:
            return False
        found = await self._files.still_refused(task.task_id, result.name)
        if found is None or not found[0].certain:  # it may have been an error page
            return False
        result.problem, result.aside = found
        return True

    async def _receive(self, url: str, file: IncomingFile, result: ResultFile) -> None:
        result.problem = None
        try:
            file.received = await self._provider.download(url, file.write)
            self._paused_since = None
        except (ApiError, FileRejected) as error:
            result.problem = error

    async def _place(self, task: InFlight, file: IncomingFile, result: ResultFile) -> None:
        """Store a file, or set its bytes aside if they are not accepted."""
        try:
            result.placed = await file.place(result.name)
        except FileRejected as error:
            result.problem = file.received.cut_off or error
            if file.received.cut_off is None:  # half a file is not worth keeping
                result.aside = await file.set_aside(task.task_id, result.name)

    async def _place_kept(self, task: InFlight, results: Sequence[ResultFile]) -> bool:
        """Use bytes of an earlier run for files that cannot be had; return if that completes them.

        They are the result, for example, if the settings accept more kinds than then.
        """
        await self._slots.acquire(_SERVICE)
        try:
            with anyio.CancelScope(shield=True):  # what is stored is recorded
                for result in results:
                    if result.placed is None:
                        result.placed = await self._files.place_kept(task.task_id, result.name)
                done = await self._record_if_done(task, results)
        finally:
            self._slots.release(_SERVICE)
        return done

    async def _record_if_done(self, task: InFlight, results: Sequence[ResultFile]) -> bool:
        """Record a task whose files are all stored as done; return whether it is."""
        placed = [one.placed for one in results if one.placed is not None]
        if not placed or len(placed) < len(results):
            return False
        await self._record_done(task, placed)
        await self._files.clear_aside(task.task_id)
        return True

    async def _record_done(self, task: InFlight, placed: Sequence[PlacedFile]) -> None:
        await self._recorder.record(Change(key=task.key, event=Event.PLACED, files=tuple(placed)))
        if not task.inherited:
            self._breaker.downloaded()

    async def _task_failed(self, task: InFlight, message: str) -> None:
        await self._ended.failed(task, "service-failed", message, origin=ItemStatus.DOWNLOADING)

    def _decide_retry(self, error: Problem, tries: int) -> tuple[RetryDecision, float]:
        """Return what to do after a failed try, and after how many seconds."""
        if isinstance(error, FileRejected):
            log.info("%s", error)
            self._stats.last_problem = str(error)
            return RetryDecision.REFRESH_URL, self._failures.retry_delay(str(error), tries)
        call = Call.QUERY if _of_result(error) else Call.DOWNLOAD
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

    async def _record_failure(
        self, task: InFlight, reason: str, message: str, results: Sequence[ResultFile]
    ) -> None:
        if not task.inherited:  # an earlier run's task does not show how the service works now
            self._breaker.download_failed()
            self._failures.check_breaker(message)
        change = Change(
            key=task.key,
            event=Event.DOWNLOAD_FAILED,
            reason=reason,
            message=message,
            files=tuple(one.placed for one in results if one.placed is not None),
        )
        await self._recorder.record(change)


def _of_result(error: Problem) -> bool:
    """Return whether an error is that of the request for the result's URLs."""
    return "result" in getattr(error, "__notes__", ())


def _says_failed(error: Problem) -> bool:
    """Return whether the service says of a completed task that it has failed."""
    return (
        isinstance(error, ApiError) and error.failure is Failure.TASK_FAILED and _of_result(error)
    )
