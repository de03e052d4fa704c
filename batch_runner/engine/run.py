"""One run, from the first submission to the summary; read it from top to bottom.

    pending items → Producer → [service] → Poller × N → Downloader → files
                       │ rate limiter         │ poll scheduler  │ verify
                       └────────── every step is written to the journal ┘

First, items that another job has submitted are taken over (`reuse`). Submissions that got no
response are settled where the service lets it (`settling`). Then three stages work at the
same time. The **producer** submits each pending item and gives the new task to the poll scheduler.
The **pollers** ask the service for the status of the task that is due next. For each completed task
the **downloader** has a coroutine of its own, which stores the files. A failure is handled where it
happens; whatever must end the run goes through `Control`.

The run takes values, prints nothing, and returns a summary.
"""

from __future__ import annotations

import functools
import logging
import os
import socket
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio

from batch_runner.engine.build import build_run
from batch_runner.engine.context import Run
from batch_runner.engine.downloader import Downloader
from batch_runner.engine.ended_tasks import EndedTasks
from batch_runner.engine.events import (
    OnEvent,
    Progress,
    RunFinished,
    RunStarted,
    deliver,
)
from batch_runner.engine.poller import Poller
from batch_runner.engine.producer import Producer
from batch_runner.engine.request_ids import sender_of
from batch_runner.engine.reuse import ResultReuse
from batch_runner.engine.selection import SelectedItems, count_selected
from batch_runner.engine.summary import ExitCode, RunSummary, StopReason, exit_code
from batch_runner.errors import JournalError
from batch_runner.jobdir.identity import service_host
from batch_runner.jobdir.open import OpenJob
from batch_runner.lifecycle import ItemStatus
from batch_runner.models import InFlight
from batch_runner.providers import open_provider
from batch_runner.ratelimit.shared_rate import open_shared_rate, shared_rate_path
from batch_runner.settings import Service, Settings
from batch_runner.units import Prices
from batch_runner.util.paths import plain_path
from batch_runner.util.text import duration

log = logging.getLogger(__name__)

#: A coroutine that runs until the run ends: signals, a display, metrics.
BackgroundTask = Callable[[Run], Coroutine[Any, Any, None]]
#: The work of a run, given its number in the journal.
Stages = Callable[[Run, int], Coroutine[Any, Any, None]]

#: Seconds between two writes of a run's figures to the journal.
SAVE_EVERY = 60.0
#: Seconds between two copies of what has changed to the registry.
SYNC_EVERY = 5.0
#: Seconds between two `Progress` events.
PROGRESS_EVERY = 1.0
#: Seconds between two looks whether the computer slept; a shorter sleep is not reported.
SLEEP_CHECK_EVERY, SHORTEST_SLEEP = 10.0, 10.0
#: Tasks of earlier runs read from the journal at a time.
PAGE = 500


async def run_job(
    job: OpenJob,
    settings: Settings,
    service: Service,
    *,
    deadline: float | None = None,
    background_tasks: Sequence[BackgroundTask] = (),
    closing_tasks: Sequence[BackgroundTask] = (),
    on_event: OnEvent | None = None,
    selected: SelectedItems | None = None,
    stages: Stages | None = None,
) -> RunSummary:
    """Process the job as far as one run can; `deadline` is in seconds from now.

    The closing tasks follow on the last item, while the background tasks still run. `stages`
    replaces `run_stages`.
    """
    path = _shared_rate_path(job, settings, service)
    async with open_provider(service, settings) as provider:
        with open_shared_rate(path, settings.limits.rate) as shared_rate:
            run = build_run(
                job,
                settings,
                provider,
                deadline=deadline,
                on_event=on_event,
                shared_rate=shared_rate,
                selected=selected,
                sender=sender_of(service.base_url, service.key.get_secret_value()),
            )
            work = functools.partial(execute, run, closing_tasks=closing_tasks, stages=stages)
            return await _report(run, work, background_tasks, on_event)


def _shared_rate_path(job: OpenJob, settings: Settings, service: Service) -> Path | None:
    """Return the file by which runs with this service and key share a rate, None if not at all."""
    if job.state is None or not settings.limits.share_rate:
        return None
    host, key = service_host(service.base_url), service.key.get_secret_value()
    return shared_rate_path(job.state, host, key)


async def _report(
    run: Run,
    work: Callable[..., Coroutine[Any, Any, RunSummary]],
    background_tasks: Sequence[BackgroundTask],
    on_event: OnEvent | None,
) -> RunSummary:
    if on_event is None:
        return await work(background_tasks=background_tasks)
    folder, counts = plain_path(run.context.folder.root), dict(run.state.stats.counts)
    deliver(on_event, RunStarted(folder=folder, counts=counts))
    progress = functools.partial(report_progress, on_event=on_event)
    summary = await work(background_tasks=[*background_tasks, progress])
    deliver(on_event, RunFinished(summary=summary))
    return summary


async def execute(
    run: Run,
    *,
    background_tasks: Sequence[BackgroundTask] = (),
    closing_tasks: Sequence[BackgroundTask] = (),
    start_journal: Callable[[], None] | None = None,
    stages: Stages | None = None,
) -> RunSummary:
    """Run the stages, then the closing tasks, and beside them the background tasks.

    `start_journal` replaces the journal's own `start`, `stages` replaces `run_stages`.
    """
    journal = run.context.journal
    number = journal.begin_run(pid=os.getpid(), host=socket.gethostname())
    (start_journal or journal.start)()
    try:
        async with anyio.create_task_group() as task_group:
            for task in (*background_tasks, shut_down_at_deadline, report_sleep):
                task_group.start_soon(task, run)
            task_group.start_soon(save_figures, run, number)
            task_group.start_soon(sync_registry, run)
            task_group.start_soon(write_sidecars, run)
            await (run_stages(run) if stages is None else stages(run, number))
            for task in closing_tasks:
                await task(run)
            task_group.cancel_scope.cancel()
    finally:
        journal.stop()
    if run.context.sidecars is not None:
        run.context.sidecars.sync()
    return finish(run, number)


async def run_stages(run: Run) -> None:
    """Connect the producer, the pool of pollers and the downloads, and wait for them."""
    ended = EndedTasks(run)
    producer, poller, downloader = Producer(run), Poller(run, ended), Downloader(run, ended)
    async with anyio.create_task_group() as stages:
        await ResultReuse(run).take_over()
        await resume_in_flight(run)
        stages.start_soon(producer.submit_items)
        with run.state.control.cancel_on_shutdown():
            async with anyio.create_task_group() as pool:

                def download(task: InFlight) -> None:
                    pool.start_soon(downloader.download, task)

                for _ in range(run.context.settings.pollers):
                    pool.start_soon(poller.poll_tasks, download)


async def resume_in_flight(run: Run) -> None:
    """Give the tasks that earlier runs left in flight to the scheduler."""
    context, after = run.context, ""
    while page := await run.recorder.read(context.journal.in_flight(after, PAGE)):
        for task in page:
            task.since, task.inherited = context.clock.monotonic(), True
            run.state.in_flight_slots.force_acquire()
            context.scheduler.add(task, seen_before=True)
        after = page[-1].key


async def shut_down_at_deadline(run: Run) -> None:
    """Shut the run down at its deadline, if it has one."""
    if (deadline := run.context.deadline) is not None:
        while (left := deadline.left) > 0:  # noqa: ASYNC110  the computer may sleep
            await anyio.sleep(min(left, SLEEP_CHECK_EVERY))
        stop = StopReason("deadline", "the deadline is reached", ExitCode.STOPPED)
        run.state.control.shut_down(stop)


async def report_sleep(run: Run) -> None:
    """Say how long the computer slept, when it did: the run goes on.

    Timeouts are unaffected, since the event loop's clock stands still meanwhile. Requests that are
    interrupted by it fail as by a broken connection.
    """
    suspended = run.context.clock.suspended
    before = suspended()
    while True:
        await anyio.sleep(SLEEP_CHECK_EVERY)
        if (slept := suspended() - before) >= SHORTEST_SLEEP:
            before += slept
            log.warning("this computer slept for %s; the run goes on", duration(slept))


async def report_progress(run: Run, *, on_event: OnEvent) -> None:
    """Deliver the figures of the run every second."""
    stats = run.state.stats
    while True:
        await anyio.sleep(PROGRESS_EVERY)
        progress = Progress(
            counts=dict(stats.counts),
            submissions=stats.paid,
            polls=stats.polls,
            limited=stats.limited,
            seconds=run.context.clock.monotonic() - stats.started_at,
        )
        deliver(on_event, progress)


async def save_figures(run: Run, number: int) -> None:
    """Write the figures of the run to the journal every minute; a failure is ignored."""
    while True:
        await anyio.sleep(SAVE_EVERY)
        run.state.stats.sample(run.context.clock.monotonic())
        future = run.context.journal.keep_figures(number, run.state.stats.figures())
        future.add_done_callback(lambda done: done.cancelled() or done.exception())


async def sync_registry(run: Run) -> None:
    """Copy the outcomes of items to the registry every few seconds."""
    while True:
        await anyio.sleep(SYNC_EVERY)
        await run.context.offload(run.context.claims.sync)


async def write_sidecars(run: Run) -> None:
    """Write the sidecars of the files that were placed, every few seconds, if they are wanted."""
    while run.context.sidecars is not None:
        await run.context.offload(run.context.sidecars.sync)
        await anyio.sleep(SYNC_EVERY)


def finish(run: Run, number: int) -> RunSummary:
    """Write the learned durations and the run's figures to the journal; return the summary."""
    stats, control, journal = run.state.stats, run.state.control, run.context.journal
    now, prices = run.context.clock.monotonic(), run.context.settings.limits.price
    stats.sample(now)
    counts, spent, by_workflow = stats.counts, stats.spent, stats.spent_before
    selected: dict[ItemStatus, int] | None = None
    try:
        counts, by_workflow = journal.counts_now(), journal.spent_by_workflow_now()
        spent = sum(by_workflow.values())
        if run.context.selected is not None:
            selected = count_selected(journal, run.context.selected)
        if not run.recorder.journal_lost:
            code = exit_code(selected or counts, control.stop)
            message = control.stop.message if control.stop else ""
            journal.keep_learned(run.context.scheduler.learned())
            journal.end_run(number, stats.figures(), exit_code=code, message=message)
            journal.report_last_event()
    except (JournalError, OSError) as error:
        run.recorder.journal_failed(error)
    return RunSummary(
        counts=counts,
        submissions=stats.submissions,
        paid=stats.paid,
        reused=stats.reused,
        spent=spent,
        cost=_cost_text(prices, Counter(by_workflow) - Counter(stats.spent_before)),
        cost_of_job=_cost_text(prices, by_workflow),
        polls=stats.polls,
        limited=stats.limited,
        seconds=now - stats.started_at,
        exit_code=exit_code(selected or counts, control.stop),
        selected=selected,
        stop=control.stop,
    )


def _cost_text(prices: Prices | None, submissions: Mapping[str, int]) -> str | None:
    """Return the cost of submissions by workflow as text, None if a price is not known."""
    cost = None if prices is None else prices.cost(submissions)
    return None if cost is None else cost.rounded
