"""What the schedule decides: every moment is an argument, so nothing waits here."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import pytest

from batch_runner.models import InFlight
from batch_runner.polling.concurrency import Completion, ConcurrencyEstimator, RankedTasks
from batch_runner.polling.hazard import HazardModel
from batch_runner.polling.progress_model import sight
from batch_runner.polling.queue import PollQueue
from batch_runner.settings import Polling
from tests.harness.poll_model import Row, a_task, honest, lognormal, noise, play, stuck


def an_agenda(seed: int = 1, learned: dict[str, str] | None = None, **polling: Any) -> PollQueue:
    return PollQueue(Polling(**polling), random=random.Random(seed), learned=learned or {})


def take_next(agenda: PollQueue) -> tuple[InFlight, float]:
    """Return the next task and when it is due."""
    due = agenda.due_at()
    assert due is not None
    task = agenda.take(due)
    assert task is not None
    return task, due


def test_nothing_is_due_when_nothing_was_added() -> None:
    agenda = an_agenda()

    assert agenda.due_at() is None
    assert agenda.take(1e9) is None


def test_a_new_task_is_not_looked_at_before_the_first_interval() -> None:
    agenda = an_agenda(first=7.0)
    agenda.add(a_task(0, 100.0), 100.0)

    assert agenda.take(106.9) is None
    assert (agenda.due_at() or 0) >= 107.0


def test_who_is_known_to_finish_sooner_is_looked_at_before_the_first_interval() -> None:
    agenda = an_agenda(first=20.0, shortest=0.5)
    play(Row("quick", draw=lambda *_: 0.05), agenda, 1, items=100)
    agenda.add(a_task(100, 5000.0), 5000.0)

    assert 5000.5 <= (agenda.due_at() or 0) < 5002.0


def test_how_long_a_task_of_an_earlier_run_took_is_not_known_and_not_learned() -> None:
    """It had been going for an unknown time when this run took it over."""
    agenda = an_agenda()
    for number in range(30):
        agenda.add(a_task(number, 100.0), 100.0, seen_before=True)
    for _ in range(30):
        task, now = take_next(agenda)
        agenda.running(task, now, None)
    before = agenda.learned()

    for _ in range(30):
        task, now = take_next(agenda)
        agenda.finished(task, now)

    assert agenda.typical("cards", 0.5) is None
    assert agenda.learned() == before


def test_a_progress_of_next_to_nothing_is_no_progress() -> None:
    assert sight(None, 1e-309, age=10.0, now=10.0) is None
    assert sight(None, 0.01, age=10.0, now=10.0) is not None


def test_a_task_of_an_earlier_run_is_looked_at_at_once() -> None:
    agenda = an_agenda()
    task = a_task(0, -5000.0)
    agenda.add(task, 100.0, seen_before=True)

    assert agenda.take(100.0) is task


def test_looks_at_a_running_task_keep_to_the_bounds() -> None:
    agenda = an_agenda(shortest=1.5, longest=20.0)
    agenda.add(a_task(0, 0.0), 0.0)
    looks = []
    for _ in range(60):
        task, due = take_next(agenda)
        looks.append(due)
        agenda.running(task, due, None)

    spacings = [later - sooner for sooner, later in pairwise(looks)]
    assert min(spacings) >= 1.5
    assert max(spacings) <= 20.0 + 1e-6


def test_a_missed_look_is_repeated_after_the_time_asked_for() -> None:
    agenda = an_agenda()
    agenda.add(a_task(0, 0.0), 0.0)
    task, due = take_next(agenda)

    agenda.missed(task, due, 45.0)

    assert agenda.due_at() == due + 45.0


@pytest.mark.parametrize("end", ["finished", "forget"])
def test_a_task_that_has_ended_is_never_looked_at_again(end: str) -> None:
    agenda = an_agenda()
    agenda.add(a_task(0, 0.0), 0.0)
    task, due = take_next(agenda)

    getattr(agenda, end)(task, due)

    assert len(agenda) == 0
    assert agenda.due_at() is None


def test_a_task_can_be_given_up_while_it_waits_for_its_look() -> None:
    agenda = an_agenda()
    given_up, kept = a_task(0, 0.0), a_task(1, 0.0)
    agenda.add(given_up, 0.0)
    agenda.add(kept, 0.0)

    agenda.forget(given_up, 1.0)

    assert len(agenda) == 1
    assert take_next(agenda)[0] is kept
    assert agenda.due_at() is None


def taught(agenda: PollQueue) -> PollQueue:
    """Let an agenda see a hundred tasks of half a minute end."""
    play(Row("teaching"), agenda, 1, items=100)
    return agenda


def looks_at(agenda: PollQueue, start: float, seconds: float) -> int:
    """Return how many looks are made for so long when nothing ends."""
    looks = 0
    while (due := agenda.due_at()) is not None and due < start + seconds:
        task = agenda.take(due)
        assert task is not None
        looks += 1
        agenda.running(task, due, None)
    return looks


@pytest.mark.parametrize(
    ("behind", "least", "most"), [(0.0, 1, 1), (1.0, 1.2, 1.7), (99.0, 2.2, 4)]
)
def test_looks_come_sooner_the_more_wait_for_the_place_of_a_task(
    behind: float, least: float, most: float
) -> None:
    """The spacing goes with the root of the price, which falls to a half, and to a tenth."""
    line = [0.0]
    usual = taught(an_agenda())
    pressed = taught(
        PollQueue(Polling(), random=random.Random(1), learned={}, behind=lambda: line[0])
    )
    line[0] = behind
    for agenda in (usual, pressed):
        for number in range(200, 220):
            agenda.add(a_task(number, 5000.0), 5000.0)

    more = looks_at(pressed, 5000.0, 60.0) / looks_at(usual, 5000.0, 60.0)

    assert least <= more <= most


def test_quick_tasks_get_as_many_looks_as_slow_ones() -> None:
    """What a look may cost follows how long tasks take, so that only the scale differs."""
    slow = play(Row("slow"), an_agenda(), 1, items=400)
    quick_ones = Row("quick", draw=lambda *drawn: lognormal(*drawn) / 10, every=0.1)
    quick = play(quick_ones, an_agenda(), 1, items=400)

    assert quick.polls_each == pytest.approx(slow.polls_each, rel=0.2)
    assert quick.delay == pytest.approx(slow.delay / 10, rel=0.2)


def test_what_is_learned_from_is_not_one_kind_of_ten_that_come_in_turn() -> None:
    """Nine kinds take a second, the tenth three: all ten are learned of."""
    many = Row("in turn", draw=lambda _, n: 3.0 if n % 10 == 9 else 1.0, every=0.001, limit=1e5)
    agenda = an_agenda()

    play(many, agenda, 1, items=5000)

    ends = json.loads(agenda.learned()["cards"])["seconds"]
    turn = HazardModel()
    turn.restore(json.loads(agenda.learned()["cards"])["turn"])
    assert len(ends) == 200
    assert 0.8 < turn.quantile(0.5) < 1.3
    assert 2.5 < turn.quantile(0.97) < 3.6


def test_who_waits_is_not_asked_sooner_again_than_the_operator_allows() -> None:
    """Three hundred tasks a second end, and it is often the same one that is next."""
    agenda, looks = an_agenda(0, shortest=0.2), dict[str, float]()
    spacings = []
    take = agenda.take

    def noted(now: float) -> InFlight | None:
        task = take(now)
        if task is not None:
            spacings.append(now - looks.get(task.task_id, task.since))
            looks[task.task_id] = now
        return task

    agenda.take = noted  # type: ignore[method-assign]
    row = Row("all alike", draw=lambda *_: 2.0, every=1 / 300, limit=1e5)
    play(row, agenda, 0, items=2500)

    assert min(spacings) >= 0.2 - 1e-6


def test_a_width_that_a_queue_has_taught_is_given_up_where_there_is_none() -> None:
    def take_two(rng: random.Random, _: int) -> float:
        return 2.0

    busy = an_agenda()
    play(Row("queue", draw=take_two, slots=8, every=1 / 8), busy, 1, items=400)
    free = an_agenda(learned=busy.learned())
    width = json.loads(free.learned()["cards"])["width"]

    count = play(Row("no queue", draw=take_two, every=1 / 300, limit=1e5), free, 1, items=2500)

    assert width is not None
    assert width < 30
    assert max(count.delays[-1000:]) < 2


def test_the_last_ones_are_looked_at_more_often_and_all_of_them_no_more_than_before() -> None:
    one_of_forty, last_of_forty = taught(an_agenda()), taught(an_agenda())
    for agenda in (one_of_forty, last_of_forty):
        for number in range(200, 240):
            agenda.add(a_task(number, 5000.0), 5000.0)
    last_of_forty.close()
    for number in range(200, 239):
        last_of_forty.forget(a_task(number, 5000.0), 5001.0)

    all_looks = looks_at(one_of_forty, 5000.0, 60.0)
    last_looks = looks_at(last_of_forty, 5001.0, 59.0)

    assert 2 < last_looks / (all_looks / 40) < 5
    assert last_looks < all_looks


def test_when_looks_are_late_the_one_most_overdue_for_its_spacing_goes_first() -> None:
    agenda = an_agenda(shortest=1.0)
    patient, urgent = a_task(0, 0.0), a_task(1, 0.0)
    for task in (patient, urgent):
        agenda.add(task, 0.0)
        take_next(agenda)
    agenda.missed(patient, 100.0, 100.0)  # due at 200
    agenda.missed(urgent, 200.0, 2.0)  # due at 202, and one in two seconds

    assert agenda.take(210.0) is urgent


def test_the_same_seed_makes_the_same_looks() -> None:
    def looks() -> list[float]:
        agenda, seen = an_agenda(seed=5), []
        for number in range(20):
            agenda.add(a_task(number, 0.0), 0.0)
        for _ in range(200):
            task, due = take_next(agenda)
            seen.append(due)
            agenda.running(task, due, 0.1)
        return seen

    assert looks() == looks()


def test_the_time_left_is_what_is_held_by_the_rate_of_ends() -> None:
    agenda = an_agenda()
    assert agenda.eta(0.0) == 0.0
    for number in range(30):
        agenda.add(a_task(number, 0.0), 0.0)
    assert agenda.eta(1.0) is None
    for second in range(1, 11):
        task = agenda.take(1000.0 + second)
        assert task is not None
        agenda.finished(task, 1000.0 + second)

    assert agenda.eta(1010.0) == pytest.approx(20, rel=0.15)


def test_typical_durations_are_told_per_workflow() -> None:
    agenda = an_agenda()
    assert agenda.typical("cards", 0.5) is None
    play(Row("no queue"), agenda, 1, items=200)

    assert agenda.typical("cards", 0.5) == pytest.approx(30, rel=0.2)
    assert agenda.typical("other", 0.5) is None


# What a whole night costs, in polls × seconds of delay. Bounds are wide: the bench has the figures.


def test_learned_looks_beat_every_fixed_interval() -> None:
    assert play(Row("no queue"), an_agenda(), 1, items=600).product < 14


def test_tasks_far_behind_in_a_queue_are_left_in_peace() -> None:
    count = play(Row("backlog", slots=16, every=1.0), an_agenda(), 1, items=600)

    assert count.polls_each < 8
    assert count.delay < 4


def test_honest_progress_is_used() -> None:
    assert play(Row("honest", progress=honest), an_agenda(), 1, items=600).product < 5


@pytest.mark.parametrize("progress", [noise, stuck])
def test_lying_progress_does_no_harm(progress: Any) -> None:
    assert play(Row("lying", progress=progress), an_agenda(), 1, items=600).product < 14


def test_a_queue_that_turns_round_is_noticed() -> None:
    row = Row("turning", slots=16, every=1.0, order="reversing")

    assert play(row, an_agenda(), 1).delay < 30


def test_a_service_that_grows_slow_is_learned_anew() -> None:
    row = Row("slower", draw=lambda rng, n: lognormal(rng, n) * (1 if n < 300 else 4))

    assert play(row, an_agenda(), 1, items=800).polls_each < 14


def test_a_poll_limit_is_spent_on_the_most_valuable_looks() -> None:
    row = Row("limited", slots=16, every=1.0, limit=1.2)

    assert play(row, an_agenda(), 1, items=600).product < 60


def test_what_was_learned_helps_the_next_run_from_its_first_task() -> None:
    first = an_agenda()
    play(Row("no queue"), first, 1, items=400)

    again = an_agenda(learned=first.learned())
    task = a_task(0, 0.0)
    again.add(task, 0.0)

    assert (again.due_at() or 0) > 8
    assert again.typical("cards", 0.5) == pytest.approx(30, rel=0.2)


def test_what_is_learned_of_other_workflows_is_kept() -> None:
    assert an_agenda(learned={"other": "{}"}).learned() == {"other": "{}"}


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
        '{"version":2,"turn":3}',
    ],
)
def test_garbage_from_an_earlier_run_counts_as_nothing(garbage: str) -> None:
    agenda = an_agenda(learned={"cards": garbage})
    agenda.add(a_task(0, 0.0), 0.0)

    assert agenda.due_at() == pytest.approx(2.0, abs=0.5)
    assert json.loads(agenda.learned()["cards"])["version"] == 2


def test_ranks_and_numbers_agree_with_counting() -> None:
    chance, line, unfinished = random.Random(3), RankedTasks[int](), list[int]()
    for step in range(6000):
        if chance.random() < 0.52 or not unfinished:
            number = line.append(step)
            unfinished.append(number)
        else:
            rank = min(len(unfinished) - 1, int(chance.expovariate(0.1)))
            assert line.number_at(rank) == unfinished[rank]
            assert line.remove(unfinished.pop(rank)) == rank
        assert len(line) == len(unfinished)

    assert len(list(line.between(0, 10_000))) == len(unfinished)
    assert line.number_at(len(unfinished)) > unfinished[-1]


def test_the_width_of_a_queue_is_found_from_who_ends_when() -> None:
    """Eight workers, oldest first, each task 30 seconds give or take: seen to the second."""
    chance, width, line = random.Random(4), ConcurrencyEstimator(), RankedTasks[int]()
    busy: list[tuple[float, int]] = []
    for number in range(400):
        line.append(number)
    waiting = iter(range(400))
    for _ in range(8):
        busy.append((chance.gauss(30, 5), next(waiting)))
    for _ in range(300):
        now, number = min(busy)
        busy.remove((now, number))
        rank = line.remove(number)
        width.left(now)
        width.note(Completion(number, 0.0, now - 1, now + 1), rank, len(line))
        busy.append((now + chance.gauss(30, 5), next(waiting)))

    assert width.value is not None
    assert 7 <= width.value <= 12


def test_the_width_says_nothing_before_a_few_have_ended() -> None:
    width = ConcurrencyEstimator()

    moved = [width.note(Completion(n, 0.0, float(n), n + 1.0), 0, 50) for n in range(7)]

    assert not any(moved)
    assert width.value is None
