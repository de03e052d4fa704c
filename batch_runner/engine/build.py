"""Assemble a run from its job, its settings and the service it talks to."""

from __future__ import annotations

import asyncio
import functools
import random
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import anyio.to_thread

from batch_runner.engine.circuit_breaker import CircuitBreaker
from batch_runner.engine.clock import Clock
from batch_runner.engine.context import Run, RunContext
from batch_runner.engine.control import Control
from batch_runner.engine.deadline import Deadline
from batch_runner.engine.events import OnEvent, change_listener
from batch_runner.engine.failures import FailureHandler
from batch_runner.engine.outage import OutageMonitor
from batch_runner.engine.recorder import Recorder
from batch_runner.engine.request_ids import new_id
from batch_runner.engine.retry_policy import RetryBudget
from batch_runner.engine.selection import SelectedItems, count_selected
from batch_runner.engine.slots import Slots
from batch_runner.engine.state import RunState
from batch_runner.engine.stats import RunStats
from batch_runner.jobdir.open import OpenJob
from batch_runner.jobdir.sidecars import Sidecars
from batch_runner.journal.base import JobStore
from batch_runner.lifecycle import ItemStatus
from batch_runner.polling.scheduler import PollScheduler
from batch_runner.providers.base import Capabilities, Provider
from batch_runner.ratelimit.base import SharedTokens
from batch_runner.ratelimit.limiter import LocalRateLimiter
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.settings import Settings
from batch_runner.storage.folder_store import FolderStore
from batch_runner.util.system import suspended_seconds


def build_run(
    job: OpenJob,
    settings: Settings,
    provider: Provider,
    *,
    deadline: float | None = None,
    seed: int | None = None,
    wall_clock: Callable[[], float] = time.time,
    suspended: Callable[[], float] = suspended_seconds,
    offload: Callable[..., Awaitable[Any]] = anyio.to_thread.run_sync,
    on_event: OnEvent | None = None,
    shared_rate: SharedTokens | None = None,
    selected: SelectedItems | None = None,
    sender: str = "",
    new_id: Callable[[], str] = new_id,
) -> Run:
    """Assemble a run, inside the running event loop; `deadline` is in seconds from now.

    `shared_rate`: of submissions, with the other runs that use the service and key. `selected` are
    the items that it may submit, None: all. `sender` identifies the service's address and key.
    """
    clock = Clock(
        monotonic=asyncio.get_running_loop().time,
        wall=wall_clock,
        suspended=suspended,
        random=random.Random(seed),  # noqa: S311  jitter, not secrecy
    )
    capabilities = provider.capabilities
    free = capabilities.free and settings.limits.price is None
    settings = within_capacity(settings, capabilities)
    state = _build_state(job.journal, settings, clock, selected)
    gate = PauseGate(clock.monotonic, shared_rate)
    limits = settings.limits
    context = RunContext(
        settings=settings,
        folder=job.folder,
        journal=job.journal,
        provider=provider,
        limiter=LocalRateLimiter(
            limits.rate,
            gate=gate,
            clock=clock.monotonic,
            random=clock.random,
            what="submissions",
            shared=shared_rate,
        ),
        gate=gate,
        scheduler=PollScheduler(
            settings.polling,
            LocalRateLimiter(
                limits.poll_rate,
                gate=gate,
                clock=clock.monotonic,
                random=clock.random,
                what="polls",
            ),
            clock=clock.monotonic,
            random=clock.random,
            learned=job.journal.learned(),
            queue_pressure=functools.partial(queue_pressure, state, limits.max_submissions),
        ),
        files=FolderStore(
            job.folder,
            max_bytes=settings.downloads.max_bytes,
            kinds=settings.output.kinds,
            offload=offload,
            clock=clock.monotonic,
        ),
        claims=job.claims,
        sidecars=Sidecars(job.folder) if settings.output.sidecar == "json" else None,
        clock=clock,
        offload=offload,
        deadline=None if deadline is None else Deadline(deadline, clock),
        new_id=new_id,
        sender=sender,
        free=free,
        requeues=free or job.journal.most_attempts() > 1,
        selected=selected,
    )
    return Run(
        context=context,
        state=state,
        recorder=Recorder(
            job.journal,
            job.fallback_log,
            state.stats,
            state.control,
            on_change=None if on_event is None else change_listener(on_event, job.folder.root),
        ),
        failures=FailureHandler(
            state,
            retries=settings.retries,
            clock=clock,
            gate=gate,
            scheduler=context.scheduler,
        ),
    )


def within_capacity(settings: Settings, capabilities: Capabilities) -> Settings:
    """Return the settings with no more tasks in flight than make sense for the service."""
    most = capabilities.max_in_flight
    if most is None or most >= settings.limits.in_flight:
        return settings
    limits = settings.limits.model_copy(update={"in_flight": most})
    return settings.model_copy(update={"limits": limits})


def _build_state(
    journal: JobStore, settings: Settings, clock: Clock, selected: SelectedItems | None
) -> RunState:
    now, limits, timeouts = clock.monotonic(), settings.limits, settings.timeouts
    spent = journal.spent_by_workflow_now()
    cost = None if limits.price is None else limits.price.cost(spent)
    stats = RunStats(
        counts=journal.counts_now(),
        spent=sum(spent.values()),
        spent_before=spent,
        committed=Decimal(0) if cost is None else cost.amount,
        started_at=now,
    )
    if selected is not None:
        pending = count_selected(journal, selected)[ItemStatus.PENDING]
        stats.not_selected = stats.counts[ItemStatus.PENDING] - pending
    return RunState(
        stats=stats,
        control=Control(),
        breaker=CircuitBreaker(limits.in_flight),
        budget=RetryBudget(settings.retries.budget),
        outage=OutageMonitor(now, first_contact=timeouts.first_contact, outage=timeouts.outage),
        in_flight_slots=Slots(
            limits.in_flight, downloads=max(limits.in_flight, settings.downloaders)
        ),
        submission_slots=Slots(settings.concurrent_submissions),
    )


def queue_pressure(state: RunState, cap: int | None) -> float:
    """Return how many items wait for each in-flight slot, 0 while slots are free.

    `cap` is the spend cap: items beyond it do not wait.
    """
    slots, stats = state.in_flight_slots, state.stats
    if slots.in_use < slots.size or not state.control.submitting:
        return 0.0
    waiting = stats.to_submit
    if cap is not None:
        waiting = min(waiting, cap - stats.spent)
    return max(0, waiting) / slots.size
