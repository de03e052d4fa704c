"""Third stage: bring the files of completed tasks home, verify and place them.

On the disk: `downloading` (for a moment still `submitted`) until every file of the item stands
verified and synced under its final name; only then `done`. A crash in between fetches again, which
is free, and finds its own files.
What cannot be had in this run stays `download_pending` with its id: it is paid, and every later
run tries.
"""

from __future__ import annotations

import logging

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from batch_runner.engine.context import Shift
from batch_runner.engine.control import ExitCode, StopReason
from batch_runner.engine.retry_policy import Call, RetryDecision
from batch_runner.errors import (
    ApiError,
    DiskFailed,
    Failure,
    FileRejected,
    JournalError,
)
from batch_runner.journal import Change
from batch_runner.lifecycle import Event
from batch_runner.models import InFlight, PlacedFile

log = logging.getLogger(__name__)


async def fetch(shift: Shift, finished: MemoryObjectReceiveStream[InFlight]) -> None:
    """Carry each completed task to its files until no more will come."""
    async with finished:
        async for task in finished:
            try:
                await _carry(shift, task)
            except JournalError as error:
                shift.journal_failed(error)


async def _carry(shift: Shift, task: InFlight) -> None:
    urls: list[str] = []
    problem: Exception | None = None
    tries = pauses = 0
    while tries < shift.settings.retries.max_tries:
        tries += 1
        try:
            urls = urls or await _result(shift, task)
            await _bring(shift, task, urls)
        except (ApiError, FileRejected) as error:
            problem = error
            verdict, wait = _after(shift, error, tries + pauses)
            if verdict is RetryDecision.STOP:  # the run leaves, and the next one fetches
                return
            if verdict is RetryDecision.FAIL_ITEM:
                break
            if verdict is RetryDecision.PAUSE:  # waiting our turn uses nothing up but time
                if shift.fetches_paused_too_long():
                    break
                tries, pauses = tries - 1, pauses + 1
            # Only a file that was cut off, or must wait, is asked for at the same address again.
            urls = urls if verdict in (RetryDecision.AGAIN, RetryDecision.PAUSE) else []
            if tries < shift.settings.retries.max_tries:
                await anyio.sleep(wait)
        except DiskFailed as error:
            shift.control.stop_creating(StopReason("disk", str(error), ExitCode.STOPPED))
            await _unfetched(shift, task, "disk", str(error))
            return
        else:
            return
    await _unfetched(shift, task, _reason(problem), str(problem))


async def _result(shift: Shift, task: InFlight) -> list[str]:
    await shift.gate.wait()
    try:
        urls = await shift.provider.result(task.task_id)
    except ApiError as error:
        error.add_note("result")
        raise
    shift.heard()
    return urls


async def _bring(shift: Shift, task: InFlight, urls: list[str]) -> None:
    """Fetch and place every file of a task, then journal it as done."""
    files = [shift.files.new_file() for _ in urls]
    try:
        for url, file in zip(urls, files, strict=True):
            file.length_known = await shift.provider.download(url, file.write)
            shift.fetches_paused_since = None
        with anyio.CancelScope(shield=True):
            names = output_names(task.name, len(urls))
            placed = [await file.place(name) for file, name in zip(files, names, strict=True)]
            await _done(shift, task, placed)
    finally:
        for file in files:
            file.discard()


def output_names(name: str, count: int) -> list[str]:
    """Return the names of `count` files of one item: `name`, or `name`-1, `name`-2 and so on."""
    return [name] if count == 1 else [f"{name}-{number}" for number in range(1, count + 1)]


async def _done(shift: Shift, task: InFlight, placed: list[PlacedFile]) -> None:
    await shift.commit(Change(key=task.key, event=Event.PLACED, files=tuple(placed)))
    if not task.inherited:
        shift.breaker.fetched()


def _after(shift: Shift, error: ApiError | FileRejected, tries: int) -> tuple[RetryDecision, float]:
    """Return what a failed try means and the seconds to wait."""
    if isinstance(error, FileRejected):
        log.info("%s", error)
        shift.tally.last_problem = str(error)
        return RetryDecision.REFRESH_URL, shift.wait(str(error), tries)
    call = Call.QUERY if "result" in getattr(error, "__notes__", ()) else Call.DOWNLOAD
    verdict, wait = shift.failed_call(error, call, tries)
    if verdict is RetryDecision.STOP and error.failure is Failure.LOCAL:
        shift.control.stop_creating(StopReason("local", str(error), ExitCode.STOPPED))
        return RetryDecision.FAIL_ITEM, 0.0
    if verdict is RetryDecision.PAUSE and call is Call.QUERY:
        shift.limited_query(error)
    elif verdict is RetryDecision.PAUSE:
        longest = shift.settings.retries.longest_pause
        return verdict, min(longest, max(wait, error.retry_after or 0.0))
    return verdict, wait


def _reason(problem: Exception | None) -> str:
    if isinstance(problem, ApiError):
        return f"http-{problem.status}" if problem.status else problem.failure.value
    return "bad-file"


async def _unfetched(shift: Shift, task: InFlight, reason: str, message: str) -> None:
    if not task.inherited:  # what was lost long ago says nothing of what is paid for now
        shift.breaker.unfetched()
        shift.heed_breaker(message)
    change = Change(key=task.key, event=Event.DOWNLOAD_FAILED, reason=reason, message=message)
    await shift.commit(change)
