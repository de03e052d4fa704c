"""The parts of a run. A stage takes those it needs from here when it is constructed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from batch_runner.engine.clock import Clock
from batch_runner.engine.deadline import Deadline
from batch_runner.engine.failures import FailureHandler
from batch_runner.engine.recorder import Recorder
from batch_runner.engine.request_ids import new_id
from batch_runner.engine.selection import SelectedItems
from batch_runner.engine.state import RunState
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.sidecars import Sidecars
from batch_runner.journal.base import OpenJournal
from batch_runner.models import InputFile
from batch_runner.polling.scheduler import PollScheduler
from batch_runner.providers.base import Provider
from batch_runner.ratelimit.base import RateLimiter
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.registry.base import ClaimStore
from batch_runner.settings import Settings
from batch_runner.storage.base import FileStore

#: Returns the content of an input file. Raises OSError if it cannot be read.
ReadInput = Callable[[InputFile], Awaitable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """The parts that do not change during a run."""

    settings: Settings
    folder: JobFolder
    journal: OpenJournal
    provider: Provider
    limiter: RateLimiter  #: of submissions
    gate: PauseGate  #: closed by every 429
    scheduler: PollScheduler
    files: FileStore
    claims: ClaimStore  #: of this job in the registry
    sidecars: Sidecars | None  #: None: no sidecars are wanted
    clock: Clock
    offload: Callable[..., Awaitable[Any]]  #: runs blocking work outside the event loop
    read_input: ReadInput  #: not checked
    deadline: Deadline | None = None  #: None: there is none
    new_id: Callable[[], str] = new_id  #: of an attempt
    may_send: Callable[[], bool] = lambda: True  #: asked before each submission is sent
    sender: str = ""  #: identifies the service's address and key in digests of requests
    free: bool = False  #: a submission costs nothing, so it may be made again once it is lost
    requeues: bool = False  #: some item may be submitted again by policy
    selected: SelectedItems | None = None  #: items that may be submitted; None: all


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: fixed parts, changing parts, and the two objects that every stage uses."""

    context: RunContext
    state: RunState
    recorder: Recorder
    failures: FailureHandler
