"""Which task is polled when. Every moment is an argument, so nothing waits here."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import pytest

from batch_runner.models import InFlight
from batch_runner.polling.queue import PollQueue
from batch_runner.settings import Polling
from tests.harness.poll_model import Row, a_queue, a_task, play


def take_next(queue: PollQueue) -> tuple[InFlight, float]:
    """Return the next task and when it is due."""
    due = queue.due_at()
    assert due is not None
    task = queue.take(due)
    assert task is not None
    return task, due


def test_empty_queue_has_nothing_due() -> None:
    queue = a_queue()

    assert queue.due_at() is None
    assert queue.take(1e9) is None


def test_new_task_is_first_polled_after_first_delay() -> None:
    queue = a_queue(first=7.0)
    queue.add(a_task(0, 100.0), 100.0)

    assert queue.take(106.9) is None
    assert (queue.due_at() or 0) >= 107.0


def test_learned_short_duration_overrides_first_poll_delay() -> None:
    queue = a_queue(first=20.0, shortest=0.5)
    play(Row("quick", draw=lambda *_: 0.05), queue, 1, items=100)
    queue.add(a_task(100, 5000.0), 5000.0)

    assert 5000.5 <= (queue.due_at() or 0) < 5002.0


def test_duration_of_earlier_runs_task_is_not_learned() -> None:
    """It had been running for an unknown time when this run took it over."""
    queue = a_queue()
    for number in range(30):
        queue.add(a_task(number, 100.0), 100.0, seen_before=True)
    for _ in range(30):
        task, now = take_next(queue)
        queue.report_running(task, now, None)
    before = queue.learned()

    for _ in range(30):
        task, now = take_next(queue)
        queue.report_completed(task, now)

    assert queue.typical("cards", 0.5) is None
    assert queue.learned() == before


def test_task_of_earlier_run_is_polled_at_once() -> None:
    queue = a_queue()
    task = a_task(0, -5000.0)
    queue.add(task, 100.0, seen_before=True)

    assert queue.take(100.0) is task


def test_poll_intervals_stay_within_shortest_and_longest() -> None:
    queue = a_queue(shortest=1.5, longest=20.0)
    queue.add(a_task(0, 0.0), 0.0)
    polls = []
    for _ in range(60):
        task, due = take_next(queue)
        polls.append(due)
        queue.report_running(task, due, None)

    intervals = [later - sooner for sooner, later in pairwise(polls)]
    assert min(intervals) >= 1.5
    assert max(intervals) <= 20.0 + 1e-6


def test_failed_poll_is_repeated_after_given_wait() -> None:
    queue = a_queue()
    queue.add(a_task(0, 0.0), 0.0)
    task, due = take_next(queue)

    queue.report_poll_failed(task, due, 45.0)

    assert queue.due_at() == due + 45.0


@pytest.mark.parametrize("removal", ["report_completed", "forget"])
def test_removed_task_is_never_polled_again(removal: str) -> None:
    queue = a_queue()
    queue.add(a_task(0, 0.0), 0.0)
    task, due = take_next(queue)

    getattr(queue, removal)(task, due)

    assert len(queue) == 0
    assert queue.due_at() is None


def test_task_can_be_forgotten_before_its_poll_is_due() -> None:
    queue = a_queue()
    forgotten, kept = a_task(0, 0.0), a_task(1, 0.0)
    queue.add(forgotten, 0.0)
    queue.add(kept, 0.0)

    queue.forget(forgotten, 1.0)

    assert len(queue) == 1
    assert take_next(queue)[0] is kept
    assert queue.due_at() is None


def trained(queue: PollQueue) -> PollQueue:
    """Let a queue observe a hundred tasks of half a minute, and return it."""
    play(Row("training"), queue, 1, items=100)
    return queue


def count_polls(queue: PollQueue, start: float, seconds: float) -> int:
    """Return the number of polls in that time if no task completes."""
    polls = 0
    while (due := queue.due_at()) is not None and due < start + seconds:
        task = queue.take(due)
        assert task is not None
        polls += 1
        queue.report_running(task, due, None)
    return polls


@pytest.mark.parametrize(
    ("pressure", "least", "most"), [(0.0, 1, 1), (1.0, 1.2, 1.7), (99.0, 2.2, 4)]
)
def test_polls_are_more_frequent_while_items_wait_for_slots(
    pressure: float, least: float, most: float
) -> None:
    """The interval goes with the root of the cost, which falls to a half, and to a tenth."""
    current = [0.0]
    usual = trained(a_queue())
    pressed = trained(
        PollQueue(Polling(), random=random.Random(1), learned={}, queue_pressure=lambda: current[0])
    )
    current[0] = pressure
    for queue in (usual, pressed):
        for number in range(200, 220):
            queue.add(a_task(number, 5000.0), 5000.0)

    more = count_polls(pressed, 5000.0, 60.0) / count_polls(usual, 5000.0, 60.0)

    assert least <= more <= most


def test_remaining_tasks_share_the_poll_budget() -> None:
    one_of_forty, last_of_forty = trained(a_queue()), trained(a_queue())
    for queue in (one_of_forty, last_of_forty):
        for number in range(200, 240):
            queue.add(a_task(number, 5000.0), 5000.0)
    last_of_forty.close()
    for number in range(200, 239):
        last_of_forty.forget(a_task(number, 5000.0), 5001.0)

    all_polls = count_polls(one_of_forty, 5000.0, 60.0)
    last_polls = count_polls(last_of_forty, 5001.0, 59.0)

    assert 2 < last_polls / (all_polls / 40) < 5
    assert last_polls < all_polls


def test_most_overdue_poll_for_its_interval_goes_first() -> None:
    queue = a_queue(shortest=1.0)
    slow, urgent = a_task(0, 0.0), a_task(1, 0.0)
    for task in (slow, urgent):
        queue.add(task, 0.0)
        take_next(queue)
    queue.report_poll_failed(slow, 100.0, 100.0)  # due at 200
    queue.report_poll_failed(urgent, 200.0, 2.0)  # due at 202, with an interval of 2 s

    assert queue.take(210.0) is urgent


def test_same_seed_gives_same_polls() -> None:
    def polls() -> list[float]:
        queue, seen = a_queue(seed=5), []
        for number in range(20):
            queue.add(a_task(number, 0.0), 0.0)
        for _ in range(200):
            task, due = take_next(queue)
            seen.append(due)
            queue.report_running(task, due, 0.1)
        return seen

    assert polls() == polls()


def test_eta_is_unfinished_tasks_by_completion_rate() -> None:
    queue = a_queue()
    assert queue.eta(0.0) == 0.0
    for number in range(30):
        queue.add(a_task(number, 0.0), 0.0)
    assert queue.eta(1.0) is None
    for second in range(1, 11):
        task = queue.take(1000.0 + second)
        assert task is not None
        queue.report_completed(task, 1000.0 + second)

    assert queue.eta(1010.0) == pytest.approx(20, rel=0.15)


def test_typical_duration_is_known_per_workflow() -> None:
    queue = a_queue()
    assert queue.typical("cards", 0.5) is None
    play(Row("no queue"), queue, 1, items=200)

    assert queue.typical("cards", 0.5) == pytest.approx(30, rel=0.2)
    assert queue.typical("other", 0.5) is None


def test_learned_state_is_used_for_first_task_of_next_run() -> None:
    first = a_queue()
    play(Row("no queue"), first, 1, items=400)

    again = a_queue(learned=first.learned())
    task = a_task(0, 0.0)
    again.add(task, 0.0)

    assert (again.due_at() or 0) > 8
    assert again.typical("cards", 0.5) == pytest.approx(30, rel=0.2)


def test_learned_state_of_other_workflows_is_kept() -> None:
    assert a_queue(learned={"other": "{}"}).learned() == {"other": "{}"}


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"version":1}',
        '{"version":99}',
        "{" * 2000,
        '{"version":2,"turn":{"seen":9,"ends":{"1":9.0},"at_risk":{}}}',
        '{"version":3}',
        '{"version":3,"service_time":3}',
    ],
)
def test_invalid_or_outdated_learned_state_is_ignored(garbage: str) -> None:
    queue = a_queue(learned={"cards": garbage})
    queue.add(a_task(0, 0.0), 0.0)

    assert queue.due_at() == pytest.approx(2.0, abs=0.5)
    assert json.loads(queue.learned()["cards"])["version"] == 3
