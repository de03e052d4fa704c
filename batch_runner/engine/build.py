"""Assemble a run from its job, its settings and the service it talks to."""

from __future__ import annotations

import asyncio
import functools
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import anyio.to_thread

from batch_runner.engine.circuit_breaker import CircuitBreaker
from batch_runner.engine.clock import Clock
from batch_runner.engine.context import ReadInput, Run, RunContext
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
from batch_runner.jobdir.fallback_log import FallbackLog
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.sidecars import Sidecars
from batch_runner.journal.base import JobStore, OpenJournal
from batch_runner.lifecycle import ItemStatus
from batch_runner.polling.scheduler import PollScheduler
from batch_runner.providers.base import Capabilities, Provider
from batch_runner.ratelimit.base import RateLimiter, SharedTokens
from batch_runner.ratelimit.limiter import LocalRateLimiter
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.registry.base import ClaimStore
from batch_runner.settings import Settings
from batch_runner.storage.base import FileStore
from batch_runner.storage.folder_store import FolderStore
from batch_runner.storage.object_store import ObjectStore
from batch_runner.util.object_store import ObjectPrefix
from batch_runner.util.system import suspended_seconds


class RunnableJob(Protocol):
    """What a run needs of a job: `OpenJob` has it, and what a worker opens for a shard."""

    @property
    def folder(self) -> JobFolder: ...
    @property
    def journal(self) -> OpenJournal: ...
    @property
    def fallback_log(self) -> FallbackLog: ...
    @property
    def claims(self) -> ClaimStore: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedParts:
    """The parts that runs in one process share if they use the same service and key."""

    gate: PauseGate
    limiter: RateLimiter  #: of submissions
    poll_limiter: RateLimiter
    breaker: CircuitBreaker
    in_flight_slots: Slots
    submission_slots: Slots


def build_parts(
    settings: Settings,
    clock: Clock,
    *,
    shared_rate: SharedTokens | None = None,
    shared_poll_rate: SharedTokens | None = None,
    many_hosts: bool = False,
) -> SharedParts:
    """Return the parts of one run, or of several.

    The rates are shared with other processes; `many_hosts`: also with those of other hosts.
    """
    limits, gate = settings.limits, PauseGate(clock.monotonic, shared_rate)
    limiter = functools.partial(
        LocalRateLimiter, gate=gate, clock=clock.monotonic, random=clock.random
    )
    return SharedParts(
        gate=gate,
        limiter=limiter(limits.rate, what="submissions", shared=shared_rate, renew_late=many_hosts),
        poll_limiter=limiter(limits.poll_rate, what="polls", shared=shared_poll_rate),
        breaker=CircuitBreaker(limits.in_flight),
        in_flight_slots=Slots(
            limits.in_flight, downloads=max(limits.in_flight, settings.downloaders)
        ),
        submission_slots=Slots(settings.concurrent_submissions),
    )


def build_clock(
    seed: int | None = None,
    *,
    wall_clock: Callable[[], float] = time.time,
    suspended: Callable[[], float] = suspended_seconds,
) -> Clock:
    """Return the clock of a run, inside the running event loop."""
    return Clock(
        monotonic=asyncio.get_running_loop().time,
        wall=wall_clock,
        suspended=suspended,
        random=random.Random(seed),  # noqa: S311  jitter, not secrecy
    )


def build_run(
    job: RunnableJob,
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
    parts: SharedParts | None = None,
    may_send: Callable[[], bool] = lambda: True,
    read_input: ReadInput | None = None,
    selected: SelectedItems | None = None,
    sender: str = "",
    new_id: Callable[[], str] = new_id,
) -> Run:
    """Assemble a run, inside the running event loop; `deadline` is in seconds from now.

    `shared_rate`: of submissions, with the other runs that use the service and key. `parts` are
    shared with other runs in this process; None: it has its own. `may_send` is asked before each
    submission is sent. `read_input` None: input files are read by their paths. `selected` are the
    items that it may submit, None: all. `sender` identifies the service's address and key.
    """
    clock = build_clock(seed, wall_clock=wall_clock, suspended=suspended)
    capabilities = provider.capabilities
    free = capabilities.free and settings.limits.price is None
    settings = within_capacity(settings, capabilities)
    shared = parts is not None
    parts = parts or build_parts(settings, clock, shared_rate=shared_rate)
    state = _build_state(job.journal, settings, clock, selected, parts, shared=shared)
    limits = settings.limits
    context = RunContext(
        settings=settings,
        folder=job.folder,
        journal=job.journal,
        provider=provider,
        limiter=parts.limiter,
        gate=parts.gate,
        scheduler=PollScheduler(
            settings.polling,
            parts.poll_limiter,
            clock=clock.monotonic,
            random=clock.random,
            learned=job.journal.learned(),
            queue_pressure=functools.partial(
                queue_pressure, state, parts.in_flight_slots, limits.max_submissions
            ),
        ),
        files=_file_store(job, settings, offload, clock),
        claims=job.claims,
        sidecars=Sidecars(job.folder) if settings.output.sidecar == "json" else None,
        clock=clock,
        offload=offload,
        read_input=read_input or (lambda file: offload(file.path.read_bytes)),
        deadline=None if deadline is None else Deadline(deadline, clock),
        new_id=new_id,
        may_send=may_send,
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
            on_change=None if on_event is None else change_listener(on_event, job.folder),
        ),
        failures=FailureHandler(
            state,
            retries=settings.retries,
            clock=clock,
            gate=parts.gate,
            scheduler=context.scheduler,
        ),
    )


def _file_store(
    job: RunnableJob, settings: Settings, offload: Callable[..., Awaitable[Any]], clock: Clock
) -> FileStore:
    make: Callable[..., FileStore] = FolderStore
    if (address := job.folder.objects) is not None:
        make = functools.partial(ObjectStore, ObjectPrefix(address))
    return make(
        job.folder,
        max_bytes=settings.downloads.max_bytes,
        kinds=settings.output.kinds,
        offload=offload,
        clock=clock.monotonic,
    )


def within_capacity(settings: Settings, capabilities: Capabilities) -> Settings:
    """Return the settings with no more tasks in flight than make sense for the service."""
    most = capabilities.max_in_flight
    if most is None or most >= settings.limits.in_flight:
        return settings
    limits = settings.limits.model_copy(update={"in_flight": most})
    return settings.model_copy(update={"limits": limits})


def _build_state(
    journal: JobStore,
    settings: Settings,
    clock: Clock,
    selected: SelectedItems | None,
    parts: SharedParts,
    *,
    shared: bool,
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
        breaker=parts.breaker,
        budget=RetryBudget(settings.retries.budget),
        outage=OutageMonitor(now, first_contact=timeouts.first_contact, outage=timeouts.outage),
        in_flight_slots=_own(parts.in_flight_slots) if shared else parts.in_flight_slots,
        submission_slots=_own(parts.submission_slots) if shared else parts.submission_slots,
    )


def _own(shared: Slots) -> Slots:
    """Return slots whose releases are those of one run, within those that several runs share."""
    return Slots(sys.maxsize, downloads=shared.downloads, within=shared)


def queue_pressure(state: RunState, slots: Slots, cap: int | None) -> float:
    """Return how many items wait for each in-flight slot, 0 while slots are free.

    `cap` is the spend cap: items beyond it do not wait.
    """
    stats = state.stats
    if slots.in_use < slots.size or not state.control.submitting:
        return 0.0
    waiting = stats.to_submit
    if cap is not None:
        waiting = min(waiting, cap - stats.spent)
    return max(0, waiting) / max(1, slots.size)
