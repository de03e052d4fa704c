"""Soak: 100,000 items through the real stack, killed half-way and resumed.

    python -m tests.bench.soak
    python -m tests.bench.soak --items 5000

Not among the rows of a plain `make bench`, for it takes long. A row for each tenth: milliseconds
of processor an item, and memory. The machine may be shared, so each is also counted in *yards*: the
time of one fixed loop of Python, timed again and again beside it. At the end the audit: every file
there, nothing sent twice, nothing held but what was on the wire when the run was killed.
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
MOST_CREATORS = Settings(
    limits=Limits(rate=Rate(100_000, 1))
).concurrent_submissions  # of `_rows.UNBOUND`
BYTES = 1000  # of a file
FLAT = 1.15
LIMIT = 3600.0  # seconds that one run may take


class Stretch(NamedTuple):
    """A tenth of the items: milliseconds of processor an item, the same in yards, MB at its end."""

    done: int
    cost: float
    yards: float
    size: float


class Watch:
    """What a run takes, stretch by stretch, read from outside."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, every: int) -> None:
        self._process, self._out, self._every = process, out, every

    def until(self, enough: int) -> list[Stretch]:
        """Watch until so many files are there, or the process has ended; print each stretch."""
        stretches: list[Stretch] = []
        begin: tuple[int, float] | None = None
        yards: list[float] = []
        size = 0.0
        first, end = files(self._out), time.monotonic() + LIMIT
        while (done := files(self._out)) < enough and self._process.poll() is None:
            used = processor(self._process.pid)
            yards.append(yard())
            if begin is None:
                # Not before the first new file: what a start costs is a row of its own.
                begin = (done, used) if done > first else None
            elif done >= begin[0] + self._every:
                cost = 1000 * (used - begin[1]) / (done - begin[0])
                stretches.append(Stretch(done, cost, cost / statistics.median(yards), size))
                show(stretches[-1])
                begin, yards = (done, used), []
            size = _rows.memory(self._process.pid)  # not later: the page at the end has its own row
            if time.monotonic() > end:
                self._process.kill()
            time.sleep(0.5)
        return stretches


def files(out: Path) -> int:
    """Return how many pictures stand in a folder."""
    try:
        with os.scandir(out) as entries:
            return sum(entry.name.endswith(".png") for entry in entries)
    except FileNotFoundError:
        return 0


def processor(pid: int) -> float:
    """Return the seconds of processor of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def yard() -> float:
    """Return the milliseconds of processor of a fixed loop."""
    begun = time.process_time()
    seen = {}
    for number in range(40_000):
        seen[str(number)] = number
    return 1000 * (time.process_time() - begun)


def show(stretch: Stretch) -> None:
    """Print the row of a stretch."""
    cells = (f"{stretch.cost:.2f}", f"{stretch.yards:.3f}", f"{stretch.size:.0f}")
    _rows.show(f"up to {stretch.done:,}", *cells)


def thirds(stretches: list[Stretch]) -> tuple[list[Stretch], list[Stretch]]:
    """Return the first and the last third."""
    part = max(1, len(stretches) // 3)
    return stretches[:part], stretches[-part:]


def show_growth(runs: Sequence[list[Stretch]]) -> None:
    """Print how cost grew over both runs, and memory within the one in which it grew most."""
    early, late = (
        statistics.median(stretch.yards for stretch in some)
        for some in thirds([stretch for run in runs for stretch in run])
    )
    sizes = (run[-1].size / run[0].size for run in runs)
    rows = {
        "growth of yards, last third over first": late / early,
        "growth of MB within a run": max(sizes),
    }
    for name, growth in rows.items():
        _rows.show(name, f"{growth:.2f}", goal=f"≤ {FLAT}", ok=growth <= FLAT)


def start(path: Path, service: _rows.Service) -> subprocess.Popen[bytes]:
    """Start a run."""
    return subprocess.Popen(
        [*_rows.FAST, "run", str(path), "--quiet", "--yes"], env=os.environ | service.environment
    )


def play(path: Path, items: int) -> tuple[list[list[Stretch]], int, dict[str, float]]:
    """Kill a run half-way, let another finish; return stretches, exit code, what was seen."""
    out = path.parent / "out" / "cards"
    every = items // PARTS
    with _rows.Service("--bytes", BYTES) as service:
        first = start(path, service)
        try:
            runs = [Watch(first, out, every).until(items // 2)]
        finally:
            first.kill()
            first.wait()
        print(f"killed, {files(out):,} files are there", flush=True)
        second = start(path, service)
        try:
            runs.append(Watch(second, out, every).until(items + 1))
            code = second.wait(LIMIT)
        finally:
            second.kill()
            second.wait()
    return runs, code, service.seen


def audit(
    path: Path, items: int, code: int, seen: dict[str, float], claim: Callable[..., None]
) -> None:
    """Hold what the service saw and what stands on the disk against the journal."""
    folder = JobFolder(path.parent / "out" / "cards")
    with open_reader(folder.journal) as reader:
        counts = reader.counts()
    done, held = counts.get(ItemStatus.DONE, 0), counts.get(ItemStatus.HELD, 0)
    verify = [*_rows.FAST, "verify", str(path)]
    whole = subprocess.run(verify, stdout=subprocess.DEVNULL, timeout=LIMIT).returncode
    claim(f"the resumed run exited with {code}", ok=code == (1 if held else 0))
    claim(f"{done:,} done and {held} held of {items:,}", ok=done + held == items)
    claim(
        f"held: {held}, at most {MOST_CREATORS} were on the wire",
        ok=held <= MOST_CREATORS,
    )
    claim(f"{files(folder.root):,} files", ok=files(folder.root) == done)
    claim(f"verify exited with {whole}", ok=whole in (0, code))
    claim(
        f"the service saw {seen['submissions']:,.0f} creates, {seen['repeats']:.0f} of them twice",
        ok=seen["repeats"] == 0 and done <= seen["submissions"] <= items,
    )


def main(arguments: list[str]) -> None:
    """Play, audit, and exit with 1 when something is not as promised."""
    parser = argparse.ArgumentParser(prog="tests.bench.soak")
    parser.add_argument("--items", type=int, default=ITEMS)
    items = parser.parse_args(arguments).items
    broken = False

    def claim(what: str, *, ok: bool) -> None:
        nonlocal broken
        broken = broken or not ok
        _rows.show(what, ok=ok)

    _rows.head(f"soak, {items:,} items", "ms/item", "yards", "MB")
    path = _rows.manifest(items)
    begun = time.monotonic()
    runs, code, seen = play(path, items)
    print(f"{time.monotonic() - begun:.0f} s in all", flush=True)
    audit(path, items, code, seen, claim)
    show_growth(runs)
    if broken:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
