"""The poll model with many tasks and many seeds, which takes too long for the unit tests."""

from __future__ import annotations

import json

import pytest

from tests.harness.poll_model import Row, a_queue, lognormal, play


def test_sample_of_very_many_tasks_is_enough_to_learn() -> None:
    queue = a_queue()
    many = Row("very many", draw=lambda *drawn: lognormal(*drawn) / 10, every=0.001, limit=1e5)

    count = play(many, queue, 1, items=9000)

    assert json.loads(queue.learned()["cards"])["service_time"]["completions"] < 1000
    assert count.product < 2.5


@pytest.mark.parametrize("seed", [*range(5), 9, 10])
@pytest.mark.parametrize(("seconds", "a_second"), [(2.0, 300), (30.0, 20), (20.0, 5)])
def test_tasks_of_equal_duration_are_not_taken_for_a_queue(
    seconds: float, a_second: int, seed: int
) -> None:
    """They complete in order, as from a queue; only polls of waiting tasks tell the difference."""
    row = Row("all alike", draw=lambda *_: seconds, every=1 / a_second, limit=1e5)

    count = play(row, a_queue(seed), seed, items=2500)

    assert max(count.delays) < seconds / 2
    assert count.delay < seconds / 8
