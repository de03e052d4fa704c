"""Soak: 100,000 items with the complete command, killed half-way and resumed.

    python -m tests.bench.soak
    python -m tests.bench.soak --items 5000

Only on request, because it takes long. Prints for each tenth of the items the CPU milliseconds per
item, and memory. The machine may be shared, so the CPU time is also given in *loops*: multiples of
the time of a fixed Python loop, measured at the same time. At the end an audit: every file exists,
nothing was submitted twice, and only what was being sent at the kill is held.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import open_reader
from batch_runner.lifecycle import ItemStatus
from batch_runner.settings import Limits, Settings
from batch_runner.units import Rate
from tests.bench import _rows

ITEMS, PARTS = 100_000, 10
MAX_HELD = Settings(
    limits=Limits(rate=Rate(100_000, 1))
).concurrent_submissions  # of `_rows.UNBOUND`
BYTES = 1000  # of a file
MEANS = (
    "A long job costs at its end what it cost at its beginning, and a power cut in the middle "
    "loses no file and pays for nothing twice."
)
FLAT = 1.15
MEANS = (
    "Whether a very long job slows down or grows, and what is left after a kill in its middle: "
    "nothing may be lost or paid for twice."
)
LIMIT = 3600.0  # seconds that one run may take


class Stretch(NamedTuple):
    """A tenth of the items: CPU milliseconds per item, the same in loops, MB at its end."""

    done: int
    cost: float
    loops: float
    size: float


class RunMonitor:
    """Measures a run from outside."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, every: int) -> None:
        self._process, self._out, self._every = process, out, every

    def until(self, enough: int) -> list[Stretch]:
        """Measure until `enough` files exist or the process has ended; print each stretch."""
        stretches: list[Stretch] = []
        begin: tuple[int, float] | None = None
        loops: list[float] = []
        size = 0.0
        first, end = files(self._out), time.monotonic() + LIMIT
        while (done := files(self._out)) < enough and self._process.poll() is None:
            used = cpu_seconds(self._process.pid)
            loops.append(loop_time())
            if begin is None:
                # Not before the first new file: the start is another benchmark.
                begin = (done, used) if done > first else None
            elif done >= begin[0] + self._every:
                cost = 1000 * (used - begin[1]) / (done - begin[0])
                stretches.append(Stretch(done, cost, cost / statistics.median(loops), size))
                show(stretches[-1])
                begin, loops = (done, used), []
            size = _rows.memory(self._process.pid)  # not later: the report has its own row
            if time.monotonic() > end:
                self._process.kill()
            time.sleep(0.5)
        return stretches


def files(out: Path) -> int:
    """Return the number of PNG files in a folder."""
    try:
        with os.scandir(out) as entries:
            return sum(entry.name.endswith(".png") for entry in entries)
    except FileNotFoundError:
        return 0


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def loop_time() -> float:
    """Return the CPU milliseconds of a fixed loop."""
    begun = time.process_time()
    seen = {}
    for number in range(40_000):
        seen[str(number)] = number
    return 1000 * (time.process_time() - begun)


def show(stretch: Stretch) -> None:
    """Print one row."""
    cells = (f"{stretch.cost:.2f}", f"{stretch.loops:.3f}", f"{stretch.size:.0f}")
    _rows.print_row(f"up to {stretch.done:,}", *cells)


def thirds(stretches: list[Stretch]) -> tuple[list[Stretch], list[Stretch]]:
    """Return the first and the last third of the stretches."""
    part = max(1, len(stretches) // 3)
    return stretches[:part], stretches[-part:]


def show_growth(runs: Sequence[list[Stretch]]) -> None:
    """Print how much CPU time grew over both runs, and memory within one of them at most."""
    early, late = (
        statistics.median(stretch.loops for stretch in some)
        for some in thirds([stretch for run in runs for stretch in run])
    )
    sizes = (run[-1].size / run[0].size for run in runs)
    rows = {
        "growth of CPU in loops, last third over first": late / early,
        "growth of memory within a run": max(sizes),
    }
    for name, growth in rows.items():
        _rows.print_row(name, f"{growth:.2f}", goal=f"≤ {FLAT}", ok=growth <= FLAT)


def start(path: Path, server: _rows.Server) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*_rows.FAST, "run", str(path), "--quiet", "--yes"], env=os.environ | server.environment
    )


def play(path: Path, items: int) -> tuple[list[list[Stretch]], int, dict[str, float]]:
    """Kill a run half-way and resume it; return the stretches, exit status and server's counts."""
    out = path.parent / "out" / "cards"
    every = items // PARTS
    with _rows.Server("--bytes", BYTES) as server:
        first = start(path, server)
        try:
            runs = [RunMonitor(first, out, every).until(items // 2)]
        finally:
            first.kill()
            first.wait()
        print(f"killed at {files(out):,} files", flush=True)
        second = start(path, server)
        try:
            runs.append(RunMonitor(second, out, every).until(items + 1))
            code = second.wait(LIMIT)
        finally:
            second.kill()
            second.wait()
    return runs, code, server.seen


def audit(
    path: Path, items: int, code: int, seen: dict[str, float], claim: Callable[..., None]
) -> None:
    """Compare the journal with the server's counts and the files on disk."""
    out = path.parent / "out" / "cards"
    with open_reader(JobFolder(out).journal) as reader:
        counts = reader.counts()
    done, held = counts.get(ItemStatus.DONE, 0), counts.get(ItemStatus.HELD, 0)
    verify = [*_rows.FAST, "verify", str(path)]
    verified = subprocess.run(verify, stdout=subprocess.DEVNULL, timeout=LIMIT).returncode
    claim(f"the resumed run exited with {code}", ok=code == (1 if held else 0))
    claim(f"{done:,} done and {held} held of {items:,}", ok=done + held == items)
    claim(
        f"held: {held}, at most {MAX_HELD} were being sent",
        ok=held <= MAX_HELD,
    )
    claim(f"{files(out):,} files", ok=files(out) == done)
    claim(f"verify exited with {verified}", ok=verified in (0, code))
    claim(
        f"{seen['submissions']:,.0f} submissions, {seen['repeats']:.0f} of them twice",
        ok=seen["repeats"] == 0 and done <= seen["submissions"] <= items,
    )


def main(arguments: list[str]) -> None:
    """Run and audit; exit with 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(prog="tests.bench.soak")
    parser.add_argument("--items", type=int, default=ITEMS)
    items = parser.parse_args(arguments).items
    broken = False

    def claim(what: str, *, ok: bool) -> None:
        nonlocal broken
        broken = broken or not ok
        _rows.print_row(what, ok=ok)

    _rows.print_head(f"soak, {items:,} items", "ms/item", "loops", "MB", means=MEANS)
    path = _rows.manifest(items)
    begun = time.monotonic()
    runs, code, seen = play(path, items)
    print(f"{time.monotonic() - begun:.0f} s in total", flush=True)
    audit(path, items, code, seen, claim)
    show_growth(runs)
    if broken:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
