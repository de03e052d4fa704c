"""Simulate many jobs: `python -m tests.crash --seeds N --from S`, or `--seconds T`."""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.crash.service import Kind
from tests.crash.shared_items import SharedItems
from tests.crash.simulated_job import SimulatedJob, Trace

#: A file system in memory, where there is one: a simulated crash needs no real disk.
_MEMORY = Path("/dev/shm")  # noqa: S108  every job has a folder of its own in it

#: Every fifth seed has two jobs that share items.
SHARED_EVERY = 5


def simulate(seed: int, kind: Kind | None = None) -> Trace:
    """Simulate one job, or two that share items, in a folder that is removed afterwards.

    `kind` of service; None: as the seed decides.
    """
    home = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="simulated-job-", dir=home) as folder:
        if seed % SHARED_EVERY == SHARED_EVERY - 1:
            return SharedItems(seed, Path(folder), kind=kind).simulate()
        return SimulatedJob(seed, Path(folder, "out"), kind=kind).simulate()


def main() -> int:
    """Simulate the requested jobs; return 1 if any broke a promise."""
    arguments = _arguments()
    logging.disable()
    sums: Counter[str] = Counter()
    for seed in _seeds(arguments):
        with contextlib.redirect_stderr(io.StringIO()):  # a full disk is reported to standard error
            trace = simulate(seed, arguments.kind)
        sums.update(
            jobs=1,
            runs=trace.runs,
            crashes=trace.crashes,
            faults=trace.faults,
            submissions=trace.submissions,
            settled=trace.settled,
            held=trace.held,
            violations=len(trace.violations),
        )
        if trace.violations or arguments.trace:
            _show(trace)
    print(
        f"{sums['jobs']} jobs, {sums['runs']} runs, {sums['crashes']} crashes, "
        f"{sums['faults']} faults, {sums['submissions']} submissions audited, "
        f"{sums['settled']} of held ones settled, {sums['held']} held at the end, "
        f"{sums['violations']} violations"
    )
    return 1 if sums["violations"] else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many jobs")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument("--seconds", type=float, help="as many jobs as fit in this time instead")
    parser.add_argument("--kind", type=Kind, choices=list(Kind), help="of service; by default all")
    parser.add_argument("--trace", action="store_true", help="print the trace of every job")
    return parser.parse_args()


def _seeds(arguments: argparse.Namespace) -> Iterator[int]:
    if arguments.seconds is None:
        yield from range(arguments.first, arguments.first + arguments.seeds)
        return
    end = time.monotonic() + arguments.seconds
    yield from itertools.takewhile(
        lambda seed: time.monotonic() < end, itertools.count(arguments.first)
    )


def _show(trace: Trace) -> None:
    print(f"--- seed {trace.seed}")
    for line in trace.lines:
        print(line)
    for violation in trace.violations:
        print(f"VIOLATION: {violation}")
    print(f"again: python -m tests.crash --from {trace.seed} --seeds 1 --trace")


if __name__ == "__main__":
    sys.exit(main())
