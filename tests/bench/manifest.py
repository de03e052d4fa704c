"""Manifest: CPU time of one item from its source to its `ItemSpec`.

    python -m tests.bench.manifest                    50,000 items of each source
    python -m tests.bench.manifest --items 1000000    as many as the goal names
    python -m tests.bench.manifest csv jsonl          the rows whose name contains a word

CPU time of a process of its own, the best of three, also as a multiple of `json.loads` of each line
of the same JSONL file, timed just before. Memory is the peak of a new process, interpreter and
imports included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from batch_runner.manifest import load
from tests.bench import _rows

ITEMS = 50_000
ROUNDS = 3
GOAL = 60.0  # µs per item
MEANS = (
    "Processor time to read and check one item, and memory of the process: how long `plan` and the "
    "start of a run take with a long list."
)

HEAD = "workflow: cards\nlimits: {rate: 100/s}\n"
PARAMS = 'params: {"6": {text: "TEXT, Happy New Year 2026", steps: 20}, "7": {seed: 7}}\n'
CARD = HEAD + PARAMS.replace("TEXT", "A card for {{ name }} of {{ city }}")


def prompts(folder: Path, items: int) -> Path:
    """Write a manifest with that many prompts, one per line."""
    lines = (f"  - A paper-cut horse {number} under red lanterns\n" for number in range(items))
    return _write(
        folder / "prompts.yaml",
        HEAD + PARAMS.replace("TEXT", "{{ prompt }}") + "prompts:\n" + "".join(lines),
    )


def matrix(folder: Path, items: int) -> Path:
    """Write a manifest whose matrix has that many combinations, 100,000 at most."""
    scenes = [f"a horse number {number}" for number in range(min(items, 100_000) // 100)]
    values = {"scene": scenes, "style": [f"style {number}" for number in range(100)]}
    params = PARAMS.replace("TEXT", "{{ scene }} in {{ style }}")
    return _write(folder / "matrix.yaml", f"{HEAD}{params}matrix: {json.dumps(values)}\n")


def csv(folder: Path, items: int) -> Path:
    """Write a manifest with a CSV file of that many rows."""
    rows = (f"Person {number},City {number % 100}\n" for number in range(items))
    _write(folder / "rows.csv", "name,city\n" + "".join(rows))
    return _write(folder / "csv.yaml", CARD + "items_from: rows.csv\n")


def jsonl(folder: Path, items: int) -> Path:
    """Write a manifest with a JSONL file of that many rows."""
    with (folder / "rows.jsonl").open("w") as file:
        for number in range(items):
            file.write(f'{{"name": "Person {number}", "city": "City {number % 100}"}}\n')
    return _write(folder / "jsonl.yaml", CARD + "items_from: rows.jsonl\n")


SOURCES = {"prompts": prompts, "matrix": matrix, "csv": csv, "jsonl": jsonl}


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def expand(path: Path) -> int:
    """Return how many items a manifest has; each is expanded and validated."""
    return sum(1 for _ in load(path).items())


def parse(path: Path) -> int:
    """Return how many lines of JSON a file has; each is parsed."""
    with path.open() as file:
        return sum(json.loads(line) is not None for line in file)


def run_pass(what: str, path: Path) -> None:
    """Print µs per item and peak MB of one pass; runs in a process of its own."""
    begin = time.process_time()
    items = (parse if what == "parse" else expand)(path)
    seconds = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**10)
    print(json.dumps([1e6 * seconds / items, peak]))


def measure(what: str, path: Path) -> tuple[float, float]:
    """Return µs per item and peak MB of one pass in a new process."""
    command = [sys.executable, "-m", "tests.bench.manifest", "--pass", what, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    cost, peak = json.loads(done.stdout)
    return cost, peak


def show(name: str, folder: Path, items: int, lines: Path) -> None:
    """Measure one source and print its row."""
    path = SOURCES[name](folder, items)
    yardsticks = [measure("parse", lines)[0]]
    passes = []
    for _ in range(ROUNDS):
        passes.append(measure("items", path))
        yardsticks.append(measure("parse", lines)[0])
    costs = sorted(cost for cost, _ in passes)
    spread = (costs[-1] - costs[0]) / costs[0]
    cells = (f"{costs[0]:.1f}", f"{costs[0] / min(yardsticks):.1f}", f"{spread:.0%}")
    peak = f"{passes[0][1]:.0f}"
    goal, ok = f"≤ {GOAL:g} µs", costs[0] <= GOAL
    _rows.print_row(f"{name}, {items:,} items", *cells, peak, goal=goal, ok=ok)


def main(arguments: list[str]) -> None:
    """Print every row whose name contains one of the words."""
    parser = argparse.ArgumentParser(prog="tests.bench.manifest")
    parser.add_argument("words", nargs="*", help=", ".join(SOURCES))
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--pass", dest="what", choices=["parse", "items"], help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.what:
        run_pass(asked.what, Path(asked.words[0]))
        return

    def wanted(name: str) -> bool:
        return not asked.words or any(word in name for word in asked.words)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _rows.print_head("manifest", "µs/item", "× json", "spread", "peak MB", means=MEANS)
        lines = jsonl(folder, asked.items).with_name("rows.jsonl")
        for source in filter(wanted, SOURCES):
            show(source, folder, asked.items, lines)


if __name__ == "__main__":
    main(sys.argv[1:])
