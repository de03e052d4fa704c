"""The poll model against long lists and many seeds: too much for the unit tests."""

from __future__ import annotations

import json
import random

import pytest

from batch_runner.polling.queue import PollQueue
from batch_runner.settings import Polling
from tests.harness.poll_model import Row, lognormal, play


def an_agenda(seed: int = 1) -> PollQueue:
    return PollQueue(Polling(), random=random.Random(seed), learned={})


def test_of_very_many_tasks_some_are_learned_from_and_that_is_enough() -> None:
    agenda = an_agenda()
    many = Row("very many", draw=lambda *drawn: lognormal(*drawn) / 10, every=0.001, limit=1e5)

    count = play(many, agenda, 1, items=9000)

    assert json.loads(agenda.learned()["cards"])["turn"]["seen"] < 1000
    assert count.product < 2.5


@pytest.mark.parametrize("seed", [*range(5), 9, 10])
@pytest.mark.parametrize(("seconds", "a_second"), [(2.0, 300), (30.0, 20), (20.0, 5)])
def test_tasks_that_all_take_the_same_are_not_taken_for_a_queue(
    seconds: float, a_second: int, seed: int
) -> None:
    """They end in order, as behind few workers; only looks at who waits tell the difference."""
    row = Row("all alike", draw=lambda *_: seconds, every=1 / a_second, limit=1e5)

    count = play(row, an_agenda(seed), seed, items=2500)

    assert max(count.delays) < seconds / 2
    assert count.delay < seconds / 8
