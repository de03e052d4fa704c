"""Ranks of unfinished tasks, and the estimate of how many the service works on at once."""

from __future__ import annotations

import random

from batch_runner.polling.concurrency import Completion, ConcurrencyEstimator, RankedTasks


def test_ranks_and_numbers_agree_with_a_plain_list() -> None:
    rng, tasks, unfinished = random.Random(3), RankedTasks[int](), list[int]()
    for step in range(6000):
        if rng.random() < 0.52 or not unfinished:
            number = tasks.append(step)
            unfinished.append(number)
        else:
            rank = min(len(unfinished) - 1, int(rng.expovariate(0.1)))
            assert tasks.number_at(rank) == unfinished[rank]
            assert tasks.remove(unfinished.pop(rank)) == rank
        assert len(tasks) == len(unfinished)

    assert len(list(tasks.between(0, 10_000))) == len(unfinished)
    assert tasks.number_at(len(unfinished)) > unfinished[-1]


def test_estimate_finds_number_of_workers_of_a_queue() -> None:
    """Eight workers, oldest task first, each about 30 seconds; polls find the end to the second."""
    rng, estimator, tasks = random.Random(4), ConcurrencyEstimator(), RankedTasks[int]()
    busy: list[tuple[float, int]] = []
    for number in range(400):
        tasks.append(number)
    waiting = iter(range(400))
    for _ in range(8):
        busy.append((rng.gauss(30, 5), next(waiting)))
    for _ in range(300):
        now, number = min(busy)
        busy.remove((now, number))
        rank = tasks.remove(number)
        estimator.record_departure(now)
        completion = Completion(number, 0.0, now - 1, now + 1)
        estimator.record_completion(completion, rank, len(tasks))
        busy.append((now + rng.gauss(30, 5), next(waiting)))

    assert estimator.value is not None
    assert 7 <= estimator.value <= 12


def test_first_seven_completions_give_no_estimate() -> None:
    estimator = ConcurrencyEstimator()

    changed = [
        estimator.record_completion(Completion(n, 0.0, float(n), n + 1.0), 0, 50) for n in range(7)
    ]

    assert not any(changed)
    assert estimator.value is None
