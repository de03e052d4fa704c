"""How many items wait for each in-flight slot: the more, the more a late poll costs."""

from __future__ import annotations

import pytest

from batch_runner.engine.build import queue_pressure
from batch_runner.engine.circuit_breaker import CircuitBreaker
from batch_runner.engine.control import Control
from batch_runner.engine.outage import OutageMonitor
from batch_runner.engine.retry_policy import RetryBudget
from batch_runner.engine.slots import Slots
from batch_runner.engine.state import RunState
from batch_runner.engine.stats import RunStats
from batch_runner.engine.summary import ExitCode, StopReason
from batch_runner.lifecycle import ItemStatus


@pytest.fixture
def state() -> RunState:
    """Return a run with ten slots, all in use; fifty items are pending, thirty are paid for."""
    made = RunState(
        stats=RunStats(spent=30),
        control=Control(),
        breaker=CircuitBreaker(),
        budget=RetryBudget(1),
        outage=OutageMonitor(0.0, first_contact=1.0, outage=1.0),
        in_flight_slots=Slots(10),
        submission_slots=Slots(1),
    )
    made.stats.counts[ItemStatus.PENDING] = 50
    for _ in range(10):
        made.in_flight_slots.force_acquire()
    return made


def test_full_slots_share_all_pending_items(state: RunState) -> None:
    assert queue_pressure(state, state.in_flight_slots, None) == 5.0


def test_free_slot_means_no_pressure(state: RunState) -> None:
    state.in_flight_slots.release()

    assert queue_pressure(state, state.in_flight_slots, None) == 0.0


def test_items_wait_while_there_are_no_slots_yet(state: RunState) -> None:
    assert queue_pressure(state, Slots(0), None) == 50.0


@pytest.mark.parametrize(("cap", "pressure"), [(30, 0.0), (40, 1.0), (1000, 5.0), (20, 0.0)])
def test_items_beyond_the_spend_cap_do_not_count(
    state: RunState, cap: int, pressure: float
) -> None:
    assert queue_pressure(state, state.in_flight_slots, cap) == pressure


def test_stopped_submitting_means_no_pressure(state: RunState) -> None:
    state.control.stop_submitting(StopReason("cap", "enough", ExitCode.STOPPED))

    assert queue_pressure(state, state.in_flight_slots, None) == 0.0
