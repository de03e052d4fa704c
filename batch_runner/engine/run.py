"""One run, wired together: the whole flow on one screen.

    waiting items ─→ produce ─→ [service] ─→ poll × N ─→ fetch × M ─→ files
                        │ pacer                │ schedule    │ verify
                        └──────────── every step writes the journal ┘

Takes values, prints nothing, returns a summary.
"""

from __future__ import annotations

import asyncio
import functools
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread

from batch_runner.engine.circuit_breaker import Breaker
from batch_runner.engine.context import OutageMonitor, Shift, Slots
from batch_runner.engine.control import Control, ExitCode, StopReason
from batch_runner.engine.downloader import fetch
from batch_runner.engine.poller import poll
from batch_runner.engine.producer import produce
from batch_runner.engine.retry_policy import Budget
from batch_runner.engine.stats import RunStats
from batch_runner.errors import JournalError
from batch_runner.jobdir.open import OpenJob
from batch_runner.journal.sqlite.group_commit import Committer, GroupCommit
from batch_runner.lifecycle import UNFINISHED, ItemStatus
from batch_runner.models import InFlight
from batch_runner.polling.scheduler import PollScheduler
from batch_runner.providers import Provider, open_provider
from batch_runner.ratelimit.limiter import LocalRateLimiter
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.settings import Service, Settings
from batch_runner.storage.folder_store import FolderStore

#: Something that runs beside the stages until they end.
Beside = Callable[[Shift], Coroutine[Any, Any, None]]

#: Seconds between two entries of a run's figures in the journal.
FIGURES_EVERY = 60.0
#: Tasks of earlier runs read from the journal at a time.
PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """How a run ended. `seconds` is its wall time, `stop` why it ended early, if it did."""

    counts: dict[ItemStatus, int]
    submissions: int  # requests of this run, with those that were refused or answered 429
    paid: int  # of them, those that must be assumed paid
    spent: int  # the same, of the whole job
    polls: int
    limited: int
    seconds: float
    exit_code: ExitCode
    stop: StopReason | None


async def run(
    job: OpenJob,
    settings: Settings,
    service: Service,
    *,
    deadline: float | None = None,
    beside: Sequence[Beside] = (),
) -> RunSummary:
    """Carry the job as far as it goes in one run.

    `deadline` is in seconds from now. Each of `beside` runs until the stages have ended.
    """
    async with open_provider(service, settings) as provider:
        shift = make_shift(job, settings, provider, deadline=deadline)
        return await work(shift, beside=beside)


async def work(
    shift: Shift,
    *,
    beside: Sequence[Beside] = (),
    committer: Callable[..., Committer] = GroupCommit,
) -> RunSummary:
    """Let the stages run to their end, keep the figures, and say how it went."""
    number = shift.journal.begin_run(pid=os.getpid(), host=socket.gethostname())
    shift.journal.start(committer)
    try:
        async with anyio.create_task_group() as company:
            for companion in (*beside, _until_deadline):
                company.start_soon(companion, shift)
            company.start_soon(_keep_figures, shift, number)
            await carry(shift)
            company.cancel_scope.cancel()
    finally:
        shift.journal.stop()
    return _close(shift, number)


async def carry(shift: Shift) -> None:
    """The flow: producer, pool of pollers, fetchers, joined by one stream."""
    settings = shift.settings
    send, receive = anyio.create_memory_object_stream[InFlight](settings.downloaders)
    async with anyio.create_task_group() as stages:
        await _take_over(shift)
        stages.start_soon(produce, shift)
        with shift.control.while_collecting():
            async with anyio.create_task_group() as pool, send, receive:
                for _ in range(settings.pollers):
                    pool.start_soon(poll, shift, send.clone())
                for _ in range(settings.downloaders):
                    pool.start_soon(fetch, shift, receive.clone())
                send.close()


async def _take_over(shift: Shift) -> None:
    """Give the schedule the tasks that earlier runs paid for."""
    after = ""
    while page := await shift.read(shift.journal.in_flight(after, PAGE)):
        for task in page:
            task.since, task.inherited = shift.clock(), True
            shift.slots.take_anyway()
            shift.schedule.add(task, seen_before=True)
        after = page[-1].key


async def _until_deadline(shift: Shift) -> None:
    if shift.deadline is not None:
        await anyio.sleep(shift.deadline - shift.clock())
        shift.control.leave(StopReason("deadline", "the deadline has come", ExitCode.STOPPED))


async def _keep_figures(shift: Shift, number: int) -> None:
    while True:
        await anyio.sleep(FIGURES_EVERY)
        shift.tally.sample(shift.clock())
        future = shift.journal.note_run(number, shift.tally.figures())
        future.add_done_callback(lambda done: done.cancelled() or done.exception())


def make_shift(
    job: OpenJob,
    settings: Settings,
    provider: Provider,
    *,
    deadline: float | None = None,
    seed: int | None = None,
    wall_clock: Callable[[], float] = time.time,
    offload: Callable[..., Awaitable[Any]] = anyio.to_thread.run_sync,
) -> Shift:
    """Build what the stages share, inside the running event loop."""
    clock = asyncio.get_running_loop().time
    now = clock()
    chance = random.Random(seed)  # noqa: S311  jitter, not secrecy
    gate = PauseGate(clock)
    limits, timeouts = settings.limits, settings.timeouts
    journal = job.journal
    slots, control = Slots(limits.in_flight), Control()
    tally = RunStats(counts=journal.counts_now(), spent=journal.spent_now(), started_at=now)
    return Shift(
        settings=settings,
        journal=journal,
        folder=job.folder,
        emergency=job.fallback_log,
        provider=provider,
        gate=gate,
        limiter=LocalRateLimiter(limits.rate, gate=gate, clock=clock, random=chance),
        schedule=PollScheduler(
            settings.polling,
            limits.poll_rate,
            gate=gate,
            clock=clock,
            random=chance,
            learned=journal.learned(),
            behind=functools.partial(_behind, slots, tally, control, limits.max_submissions),
        ),
        random=chance,
        clock=clock,
        wall_clock=wall_clock,
        contact=OutageMonitor(now, first=timeouts.first_contact, outage=timeouts.outage),
        slots=slots,
        submission_slots=Slots(settings.concurrent_submissions),
        offload=offload,
        files=FolderStore(
            job.folder, max_bytes=settings.downloads.max_bytes, offload=offload, clock=clock
        ),
        deadline=None if deadline is None else now + deadline,
        control=control,
        breaker=Breaker(limits.in_flight),
        budget=Budget(settings.retries.budget),
        tally=tally,
        second_attempts=journal.most_attempts() > 1,
    )


def _behind(slots: Slots, tally: RunStats, control: Control, cap: int | None) -> float:
    """Return how many items wait for the place of each task in flight; 0 while there are places."""
    if slots.in_use < slots.size or not control.creating:
        return 0.0
    waiting = tally.counts[ItemStatus.PENDING]
    if cap is not None:
        waiting = min(waiting, cap - tally.spent)
    return max(0, waiting) / slots.size


def _close(shift: Shift, number: int) -> RunSummary:
    """Keep what was learned, close the run's row, and sum up."""
    tally, journal = shift.tally, shift.journal
    tally.sample(shift.clock())
    counts, spent = tally.counts, tally.spent
    try:
        counts, spent = journal.counts_now(), journal.spent_now()
        if not shift.journal_lost:
            _end_run(shift, number, exit_code(counts, shift.control.stop))
    except (JournalError, OSError) as error:
        shift.journal_failed(error)
    stop = shift.control.stop
    return RunSummary(
        counts=counts,
        submissions=tally.submissions,
        paid=tally.paid,
        spent=spent,
        polls=tally.polls,
        limited=tally.limited,
        seconds=shift.clock() - tally.started_at,
        exit_code=exit_code(counts, stop),
        stop=stop,
    )


def _end_run(shift: Shift, number: int, code: ExitCode) -> None:
    stop = shift.control.stop
    shift.journal.keep_learned(shift.schedule.learned())
    shift.journal.end_run(
        number, shift.tally.figures(), exit_code=code, message=stop.message if stop else ""
    )
    shift.journal.tell_high_water()


def exit_code(counts: dict[ItemStatus, int], stop: StopReason | None) -> ExitCode:
    """Return how a run that left the items like this should exit."""
    total = sum(counts.values())
    if counts[ItemStatus.DONE] == total:
        return ExitCode.DONE
    if stop is not None:
        return stop.exit_code
    return ExitCode.STOPPED if any(counts[status] for status in UNFINISHED) else ExitCode.INCOMPLETE
