"""How many items wait for the place of each task in flight: what makes an end seen late dear."""

from __future__ import annotations

import pytest

from batch_runner.engine.context import Slots
from batch_runner.engine.control import Control, ExitCode, StopReason
from batch_runner.engine.run import _behind
from batch_runner.engine.stats import RunStats
from batch_runner.lifecycle import ItemStatus


@pytest.fixture
def slots() -> Slots:
    """Return ten places, all taken."""
    made = Slots(10)
    for _ in range(10):
        made.take_anyway()
    return made


@pytest.fixture
def tally() -> RunStats:
    """Return the counts of a job of which fifty items wait and thirty are paid for."""
    made = RunStats(spent=30)
    made.counts[ItemStatus.PENDING] = 50
    return made


def test_all_that_wait_are_behind_those_who_have_a_place(slots: Slots, tally: RunStats) -> None:
    assert _behind(slots, tally, Control(), None) == 5.0


def test_nobody_is_behind_while_there_are_places(slots: Slots, tally: RunStats) -> None:
    slots.give_back()

    assert _behind(slots, tally, Control(), None) == 0.0


@pytest.mark.parametrize(("cap", "behind"), [(30, 0.0), (40, 1.0), (1000, 5.0), (20, 0.0)])
def test_what_the_spend_cap_keeps_out_is_not_behind(
    slots: Slots, tally: RunStats, cap: int, behind: float
) -> None:
    assert _behind(slots, tally, Control(), cap) == behind


def test_nobody_is_behind_once_creating_has_stopped(slots: Slots, tally: RunStats) -> None:
    control = Control()
    control.stop_creating(StopReason("cap", "enough", ExitCode.STOPPED))

    assert _behind(slots, tally, control, None) == 0.0
