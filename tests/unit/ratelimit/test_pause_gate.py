from __future__ import annotations

import pytest

from batch_runner.ratelimit.pause_gate import PauseGate


@pytest.mark.parametrize(
    ("closings", "now", "left"),
    [
        ([], 0.0, 0.0),
        ([(0.0, 5.0)], 0.0, 5.0),
        ([(0.0, 5.0)], 6.0, 0.0),
        ([(0.0, 5.0), (1.0, 1.0)], 2.0, 3.0),
        ([(0.0, 5.0), (1.0, 10.0)], 2.0, 9.0),
    ],
)
def test_gate_opens_at_the_latest_time_it_was_closed_until(
    closings: list[tuple[float, float]], now: float, left: float
) -> None:
    moment = 0.0
    gate = PauseGate(lambda: moment)
    for moment, seconds in closings:  # noqa: B007  read by the gate's clock
        gate.close(seconds)

    assert gate.closed_for(now) == left
