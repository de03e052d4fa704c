"""Play many nights: `python -m tests.crash --seeds N --from S`, or `--seconds T`."""

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

from tests.crash.simulated_job import Trace, night

#: A disk in memory, where there is one: a simulated crash needs no real one.
_MEMORY = Path("/dev/shm")  # noqa: S108  every night makes a folder of its own in it


def play(seed: int) -> Trace:
    """Play one night in a folder that is gone afterwards."""
    home = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="night-", dir=home) as folder:
        return night(seed, Path(folder, "out"))


def main() -> int:
    """Play the nights that were asked for; return 1 when any broke a promise."""
    arguments = _arguments()
    logging.disable()
    sums: Counter[str] = Counter()
    for seed in _seeds(arguments):
        with contextlib.redirect_stderr(io.StringIO()):  # a full disk is told to standard error
            trace = play(seed)
        sums.update(
            nights=1,
            runs=trace.runs,
            crashes=trace.crashes,
            faults=trace.faults,
            submissions=trace.submissions,
            violations=len(trace.violations),
        )
        if trace.violations or arguments.trace:
            _show(trace)
    print(
        f"{sums['nights']} nights, {sums['runs']} runs, {sums['crashes']} crashes, "
        f"{sums['faults']} faults, {sums['submissions']} creates audited, "
        f"{sums['violations']} violations"
    )
    return 1 if sums["violations"] else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many nights")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument("--seconds", type=float, help="as many nights as fit in this time instead")
    parser.add_argument("--trace", action="store_true", help="print the trace of every night")
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
    print(f"--- night {trace.seed}")
    for line in trace.lines:
        print(line)
    for violation in trace.violations:
        print(f"VIOLATION: {violation}")
    print(f"again: python -m tests.crash --from {trace.seed} --seeds 1 --trace")


if __name__ == "__main__":
    sys.exit(main())
