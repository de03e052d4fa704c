"""The parts of the simulator that need no server."""

from __future__ import annotations

import random
import statistics

import pytest

from batch_runner.simulator import SimulatorSettings, parse_fault
from batch_runner.simulator.limiter import Limiter
from batch_runner.simulator.parsing import parse_distribution, parse_duration, parse_rate
from batch_runner.simulator.personalities.baicai import timestamp
from batch_runner.simulator.tasks import Outcome, Task, WorkQueue


def a_task(n: int) -> Task:
    return Task(
        n=n,
        id=f"{n:032x}",
        submitted_at=0.0,
        seconds=10.0,
        outcome=Outcome.COMPLETED,
        workflow="w",
        params={},
        body="",
        seed="0",
    )


@pytest.mark.parametrize(
    ("text", "seconds"), [("2s", 2.0), ("500ms", 0.5), ("1.5h", 5400.0), ("3", 3.0), (4, 4.0)]
)
def test_duration_is_read_with_its_unit(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "median"),
    [("7s", 7.0), ("uniform:2,4", 3.0), ("exp:10", 6.93), ("lognormal:30,0.4", 30.0)],
)
def test_service_time_has_the_given_median(text: str, median: float) -> None:
    distribution, rng = parse_distribution(text), random.Random(1)

    drawn = [distribution.sample(rng) for _ in range(4000)]

    assert statistics.median(drawn) == pytest.approx(median, rel=0.06)


def test_mix_has_two_separate_peaks() -> None:
    distribution, rng = parse_distribution("mix:5,60"), random.Random(1)

    drawn = [distribution.sample(rng) for _ in range(1000)]

    assert 400 < sum(value < 10 for value in drawn) < 600
    assert not [value for value in drawn if 10 <= value <= 30]


@pytest.mark.parametrize(
    "settings",
    [
        {"service_time": "soon"},
        {"service_time": "uniform:3,1"},
        {"submit_limit": "0/s"},
        {"submit_limit": "fast"},
        {"progress": "true"},
        {"variants": ("sideways",)},
        {"outputs": 0},
        {"url_life": 0},
        {"image_size": (1, 800)},
        {"faults": ("no_such_fault",)},
    ],
    ids=str,
)
def test_invalid_setting_is_rejected_with_advice(settings: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=r"write one such as|must be|choose one of"):
        SimulatorSettings(**settings)


def test_rule_has_calls_options_and_conditions() -> None:
    rule = parse_fault("http:submit+status:status=502:every=3:match=a:b")

    assert rule.kind.name == "http"
    assert rule.calls == ("submit", "status")
    assert rule.options == {"status": 502}
    assert (rule.every, rule.match) == (3, "a:b")


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("htp", "choose one of"),
        ("cut:submit", "choose from download"),
        ("http:create", "call 'create' was renamed to submit"),
        ("http:submit:sttus=1", "choose from match"),
        ("http:submit:status=x", "status must be a whole number"),
        ("http:submit:every=0", "every must be at least 1"),
        ("http:rate=often", "rate must be a number"),
    ],
)
def test_invalid_rule_is_rejected_with_advice(text: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        parse_fault(text)


def test_limiter_admits_a_burst_and_then_the_rate() -> None:
    limiter = Limiter(parse_rate("10/s:burst=3"))

    waits = [limiter.admit(now) for now in (0.0, 0.0, 0.0, 0.0, 0.1, 0.1)]

    assert waits == pytest.approx([0.0, 0.0, 0.0, 0.1, 0.0, 0.1])


def test_two_workers_take_tasks_in_order() -> None:
    queue = WorkQueue(workers=2)
    tasks = [a_task(n) for n in range(1, 6)]

    for task in tasks:
        queue.submit(task)
    queue.advance(100)

    assert [task.finished_at for task in tasks] == [10, 10, 20, 20, 30]


def test_random_order_finishes_every_task() -> None:
    queue = WorkQueue(workers=1, order="random", seed=3)
    tasks = [a_task(n) for n in range(1, 9)]

    for task in tasks:
        queue.submit(task)
    queue.advance(100)

    ends = [task.finished_at for task in tasks]
    assert sorted(ends, key=lambda end: end or 0) == [10, 20, 30, 40, 50, 60, 70, 80]
    assert ends != [10, 20, 30, 40, 50, 60, 70, 80]


def test_timestamp_is_printed_as_java_prints_it() -> None:
    nanoseconds = 1_769_767_415_903_668_047

    assert timestamp(nanoseconds) == "2026-01-30T18:03:35.903668047+08:00[Asia/Shanghai]"
