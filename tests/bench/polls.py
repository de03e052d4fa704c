"""Polls per task × delay: what the poll model costs on services of many kinds, in virtual time.

    python -m tests.bench.polls            every row
    python -m tests.bench.polls backlog    the rows whose name contains a word

The delay is the time from the end of a task at the service to the poll that found it. The product
of both does not depend on how one is traded for the other, so it compares policies. Each row is a
kind of service, measured from the second hundred tasks on; a row about two runs counts every task
of the second, and a row about a first night each of its 300 tasks. Beside the product: a poll every
10 s, and a back-off of ×1.5 up to 30 s.
"""

from __future__ import annotations

import math
import random
import sys
from dataclasses import replace

from tests.bench import _rows
from tests.harness.poll_model import (
    MEAN,
    FixedPolicy,
    PollCount,
    Row,
    Work,
    a_queue,
    honest,
    lognormal,
    noise,
    play,
    stuck,
)

SEEDS = 5
FIRST_NIGHT = 300  # tasks
CHANGE_AT = 500.0  # seconds after the first submission
MEANS = (
    "Status requests per task, times the seconds until a poll finds its end. Less means that your "
    "pictures are there sooner, for fewer requests to the service."
)


def quick(rng: random.Random, number: int) -> float:
    """Return a tenth of the usual run time."""
    return lognormal(rng, number) / 10


def slow(rng: random.Random, number: int) -> float:
    """Return three times the usual run time."""
    return lognormal(rng, number) * 3


def alike(_: random.Random, __: int) -> float:
    """Return the same run time for every task."""
    return 33.0


def two_lengths(rng: random.Random, _: int) -> float:
    """Return exactly 23 or exactly 61 seconds."""
    return rng.choice((23.0, 61.0))


def two_peaks(rng: random.Random, _: int) -> float:
    """Return about 30 seconds for half of the tasks, about 150 for the others."""
    return rng.lognormvariate(math.log(30 if rng.random() < 0.5 else 150), 0.2)


def always_99(_: Work, __: float, ___: random.Random) -> float | None:
    """Return a progress of 99 % at any age."""
    return 0.99


def creeping(work: Work, now: float, _: random.Random) -> float | None:
    """Return a progress that approaches 100 % with age, whenever the task ends."""
    return math.floor(100 * (1 - math.exp(-(now - work.task.since) / 20))) / 100


PROGRESS = (
    ("", lambda *_: None, 12.5),
    (", honest progress", honest, 5.0),
    (", random progress", noise, 13.0),
    (", stuck progress", stuck, 13.0),
    (", progress always 99", always_99, 13.0),
    (", creeping progress", creeping, 13.0),
)

NO_QUEUE = Row("no queue")
BUSY = Row("16 slots, 85 % busy", slots=16, every=MEAN / 16 / 0.85)
BACKLOG = Row("backlog, twice the capacity", slots=16, every=MEAN / 32)
CAPPED = replace(BACKLOG, name="backlog, at most 48 in flight", in_flight=48)


def the_rows() -> dict[str, list[Row]]:
    """Return every row, by what the rows are about."""
    return {
        "usual services, with every kind of progress report": usual_rows(),
        "first night of 300 tasks with honest progress, nothing learned before": night_rows(),
        "how long tasks take": duration_rows(),
        "order of the queue, and poll limits": order_rows(),
        "a service whose speed changes in a run or between runs": speed_rows(),
    }


def usual_rows() -> list[Row]:
    """Return rows about four kinds of service, with honest, false and no progress."""
    return [
        replace(kind, name=kind.name + name, goal=goal, progress=progress)
        for name, progress, goal in PROGRESS
        for kind in (NO_QUEUE, BUSY, BACKLOG, CAPPED)
    ]


def night_rows() -> list[Row]:
    """Return rows about a first run: how soon its tasks gain from an honest progress."""
    kinds = [
        *(NO_QUEUE, BUSY, BACKLOG, CAPPED),
        Row("two peaks, no queue", 5.0, draw=two_peaks),
    ]
    return [
        replace(
            kind,
            name=f"first night, {kind.name}",
            goal=kind.goal or 2.5,
            progress=honest,
            warm_up=0,
            items=FIRST_NIGHT,
        )
        for kind in kinds
    ]


def duration_rows() -> list[Row]:
    """Return rows about how long the tasks of a service take."""
    return [
        Row("ten times as quick, no queue", 1.25, draw=quick, every=0.1),
        replace(
            CAPPED, name="ten times as quick, at most 48", goal=1.25, draw=quick, every=MEAN / 320
        ),
        Row("all alike, no queue", draw=alike),
        Row("all alike, no queue, 20 a second", draw=alike, every=0.05),
        Row("two lengths, no queue", draw=two_lengths),
        Row("two peaks, no queue", draw=two_peaks),
        Row("two peaks, backlog", draw=two_peaks, slots=16, every=90 / 32),
    ]


def order_rows() -> list[Row]:
    """Return rows about queues that are not simply first in, first out, and about poll limits."""
    return [
        replace(BUSY, name="newest first, 85 % busy", order="newest"),
        replace(BUSY, name="any order, 85 % busy", order="any"),
        replace(BACKLOG, name="newest first, backlog", order="newest"),
        # Memoryless run times: no policy can gain anything; this one should not lose much.
        replace(BACKLOG, name="any order, backlog", share=1.1, order="any"),
        replace(BACKLOG, name="order reverses, backlog", order="reversing"),
        replace(BACKLOG, name="a tenth fail at once, backlog", failing=0.1),
        Row("poll limit 2.5/s, no queue", limit=2.5),
        replace(BACKLOG, name="poll limit 1.2/s, backlog", limit=1.2),
    ]


def speed_rows() -> list[Row]:
    """Return rows about a service that becomes three times as slow, or as fast."""
    rows = []
    for kind, where in ((NO_QUEUE, "no queue"), (BACKLOG, "backlog")):
        slow_kind = replace(kind, draw=slow, every=3 * kind.every)
        slower = replace(kind, change_at=CHANGE_AT, slowdown=3.0)
        faster = replace(slow_kind, change_at=3 * CHANGE_AT, slowdown=1 / 3)
        slower_run = replace(kind, draw=slow, warm_up=0, earlier_run=kind)
        faster_run = replace(kind, warm_up=0, earlier_run=slow_kind)
        rows += [
            replace(slower, name=f"three times slower during the run, {where}"),
            replace(faster, name=f"three times faster during the run, {where}"),
            replace(slower_run, name=f"three times slower than last run, {where}"),
            replace(faster_run, name=f"three times faster than last run, {where}"),
        ]
    return rows


def learned_state(row: Row | None, seed: int) -> dict[str, str]:
    """Return what a run of that kind learned; nothing if None."""
    if row is None:
        return {}
    queue = a_queue(seed)
    play(row, queue, seed)
    return queue.learned()


def play_seed(row: Row, seed: int) -> PollCount:
    """Count the polls of the poll model on that row with one seed."""
    learned = learned_state(row.earlier_run, seed + 1000)
    return play(row, a_queue(seed, learned), seed)


def measure(row: Row) -> tuple[PollCount, float, float, float]:
    """Return the model's median count and worst product, and the product of both fixed policies."""
    counts = [play_seed(row, seed) for seed in range(SEEDS)]
    counts.sort(key=lambda count: count.product)
    interval = play(row, FixedPolicy(10, 1, 10), 0).product
    backoff = play(row, FixedPolicy(2, 1.5, 30), 0).product
    return counts[len(counts) // 2], counts[-1].product, interval, backoff


def main(words: list[str]) -> None:
    """Print every row whose name contains one of the words."""
    heads = ("median", "worst", "polls", "delay", "10 s", "×1.5")
    means = MEANS
    for title, rows in the_rows().items():
        wanted = [row for row in rows if not words or any(word in row.name for word in words)]
        if wanted:
            _rows.print_head(f"polls × delay, s: {title}", *heads, means=means)
            means = ""
        for row in wanted:
            show(row)


def show(row: Row) -> None:
    """Measure and print one row."""
    count, worst, interval, backoff = measure(row)
    products = {"batch-runner": count.product, "every 10 s": interval, "back-off × 1.5": backoff}
    for bar, product in products.items():
        _rows.store_figure(row.name, bar, product)
    goal = row.share * min(interval, backoff) if row.goal is None else row.goal
    figures = (count.product, worst, count.polls_each, count.delay, interval, backoff)
    cells = (f"{figure:.1f}" for figure in figures)
    _rows.print_row(row.name, *cells, goal=f"≤ {goal:.1f}", ok=count.product <= goal)


if __name__ == "__main__":
    main(sys.argv[1:])
