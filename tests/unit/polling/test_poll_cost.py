"""What a complete run costs, in polls × seconds of delay. Bounds are wide; the bench measures."""

from __future__ import annotations

import json
import random
import statistics
from typing import Any

import pytest

from batch_runner.models import InFlight
from batch_runner.polling.hazard import HazardModel
from tests.harness.poll_model import Row, a_queue, honest, lognormal, noise, play, stuck


def test_learned_polls_beat_every_fixed_interval() -> None:
    assert play(Row("no queue"), a_queue(), 1, items=600).product < 14


def test_tasks_far_back_in_a_queue_are_rarely_polled() -> None:
    count = play(Row("backlog", slots=16, every=1.0), a_queue(), 1, items=600)

    assert count.polls_each < 8
    assert count.delay < 4


def test_honest_progress_is_used() -> None:
    assert play(Row("honest", progress=honest), a_queue(), 1, items=600).product < 5


@pytest.mark.parametrize("slots", [None, 16])
def test_honest_progress_is_used_from_the_first_tasks(slots: int | None) -> None:
    row = Row("first night", slots=slots, progress=honest, warm_up=0)
    products = [play(row, a_queue(seed), seed, items=300).product for seed in range(5)]

    assert statistics.median(products) < 2.5


@pytest.mark.parametrize("progress", [noise, stuck])
def test_lying_progress_is_not_used(progress: Any) -> None:
    assert play(Row("lying", progress=progress), a_queue(), 1, items=600).product < 14


def test_queue_that_reverses_its_order_is_detected() -> None:
    row = Row("reversing", slots=16, every=1.0, order="reversing")

    assert play(row, a_queue(), 1).delay < 30


def test_service_that_becomes_slow_is_relearned() -> None:
    row = Row("slower", draw=lambda rng, n: lognormal(rng, n) * (1 if n < 300 else 4))

    assert play(row, a_queue(), 1, items=800).polls_each < 14


def test_poll_limit_is_spent_on_the_most_valuable_polls() -> None:
    row = Row("limited", slots=16, every=1.0, limit=1.2)

    assert play(row, a_queue(), 1, items=600).product < 60


def test_quick_tasks_get_as_many_polls_as_slow_ones() -> None:
    slow = play(Row("slow"), a_queue(), 1, items=400)
    quick_ones = Row("quick", draw=lambda *drawn: lognormal(*drawn) / 10, every=0.1)
    quick = play(quick_ones, a_queue(), 1, items=400)

    assert quick.polls_each == pytest.approx(slow.polls_each, rel=0.2)
    assert quick.delay == pytest.approx(slow.delay / 10, rel=0.2)


def test_sampled_tasks_include_every_kind_listed_in_turn() -> None:
    """Nine kinds of task take a second, the tenth three."""
    many = Row("in turn", draw=lambda _, n: 3.0 if n % 10 == 9 else 1.0, every=0.001, limit=1e5)
    queue = a_queue()

    play(many, queue, 1, items=5000)

    state = json.loads(queue.learned()["cards"])
    service_time = HazardModel()
    service_time.restore(state["service_time"])
    assert len(state["durations"]) == 200
    assert 0.8 < service_time.quantile(0.5) < 1.3
    assert 2.5 < service_time.quantile(0.97) < 3.6


def test_probes_of_waiting_tasks_keep_the_shortest_interval() -> None:
    """Three hundred tasks complete a second, and the same task is often the next to be probed."""
    queue, last_poll = a_queue(0, shortest=0.2), dict[str, float]()
    intervals = []
    take = queue.take

    def recorded(now: float) -> InFlight | None:
        task = take(now)
        if task is not None:
            intervals.append(now - last_poll.get(task.task_id, task.since))
            last_poll[task.task_id] = now
        return task

    queue.take = recorded  # type: ignore[method-assign]
    row = Row("all alike", draw=lambda *_: 2.0, every=1 / 300, limit=1e5)
    play(row, queue, 0, items=2500)

    assert min(intervals) >= 0.2 - 1e-6


def test_learned_concurrency_is_dropped_where_nothing_queues() -> None:
    def two_seconds(_: random.Random, __: int) -> float:
        return 2.0

    busy = a_queue()
    play(Row("queue", draw=two_seconds, slots=8, every=1 / 8), busy, 1, items=400)
    free = a_queue(learned=busy.learned())
    concurrency = json.loads(free.learned()["cards"])["concurrency"]

    count = play(Row("no queue", draw=two_seconds, every=1 / 300, limit=1e5), free, 1, items=2500)

    assert concurrency is not None
    assert concurrency < 30
    assert max(count.delays[-1000:]) < 2
