"""The parts of a run that change."""

from __future__ import annotations

from dataclasses import dataclass, field

from batch_runner.engine.circuit_breaker import CircuitBreaker
from batch_runner.engine.control import Control
from batch_runner.engine.outage import OutageMonitor
from batch_runner.engine.retry_policy import RetryBudget
from batch_runner.engine.retry_queue import RetryQueue
from batch_runner.engine.slots import Slots
from batch_runner.engine.stats import RunStats


@dataclass(slots=True, kw_only=True)
class RunState:
    """The mutable parts of a run, each with one purpose."""

    stats: RunStats
    control: Control
    breaker: CircuitBreaker
    budget: RetryBudget
    outage: OutageMonitor
    in_flight_slots: Slots  #: of tasks submitted and not finished
    submission_slots: Slots  #: of submissions being sent
    #: Items that get another attempt by policy, or were not submitted after all.
    retry_queue: RetryQueue = field(default_factory=RetryQueue)
