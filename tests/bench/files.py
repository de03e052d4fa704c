"""Downloads from hosts that answer late: how soon all files are there, over an easier job.

    python -m tests.bench.files

The time ends when the last file has been sent. `one of four hosts is slow`: it is 20 times slower
than the others, and has more files than are downloaded at the same time; those of the other three
hosts count, beside the same job with four equal hosts. `eight files a task`: they are on one host;
beside one file a task.
"""

from __future__ import annotations

import functools
import statistics
from typing import NamedTuple

from tests.bench import _rows

GOAL, ROUNDS = 1.1, 2
LATENCY = 0.25  # seconds of a file
MEANS = (
    "A service may store its files on hosts of others, and one of them may be slow. 1.00: the "
    "files of the other hosts come as soon as if all were equal, and a task with eight files is "
    "done as soon as one with a single file."
)


class Job(NamedTuple):
    """A job, its options for the server, those of the easier job, and the figure that counts."""

    name: str
    items: int
    rate: int
    options: tuple[object, ...]
    easier: tuple[object, ...]
    counts: str


JOBS = (
    Job(
        "one of four hosts is slow",
        200,
        50,
        ("--slower", 20, "--hosts", 4),
        ("--hosts", 4),
        "others",
    ),
    Job("eight files a task", 20, 4, ("--files", 8), (), "slow"),
)


def seconds(job: Job, options: tuple[object, ...]) -> float:
    """Run the job and return the seconds from the first submission to the last file."""
    limits = f"{{rate: {job.rate}/s, in_flight: 200, poll_rate: 1000/s}}"
    settings = f"limits: {limits}\npolling: {{first: 0.1s, shortest: 0.05s}}\n"
    with _rows.Server("--latency", LATENCY, *options, module="_file_hosts") as server:
        _rows.run(_rows.FAST, _rows.manifest(job.items, settings), server, limit=300)
    return server.seen[job.counts]


def show(job: Job) -> None:
    """Measure a job beside the easier one and print its row."""
    both = {"run": job.options, "easier": job.easier}
    runs = {name: functools.partial(seconds, job, options) for name, options in both.items()}
    times = _rows.interleave(runs, ROUNDS)
    ratio = _rows.ratio(times["run"], times["easier"])
    cells = [f"{statistics.median(times[name]):.2f}" for name in both]
    _rows.print_row(job.name, *cells, f"{ratio:.2f}", goal=f"≤ {GOAL}", ok=ratio <= GOAL)


def main() -> None:
    """Print every row."""
    _rows.print_head("seconds until the last file", "run", "easier", "× easier", means=MEANS)
    for job in JOBS:
        show(job)


if __name__ == "__main__":
    main()
