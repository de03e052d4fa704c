"""What the rows share: clients and a service in processes of their own, rounds, medians, a form.

Only clients that took turns in one run are compared. A figure is the median of its rounds; its
spread is what lies between the least and the most, over the median; a ratio is the median of the
ratios within each round, so that a slow minute of the machine touches both of its sides.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import json
import os
import re
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

Figure = TypeVar("Figure")

FAST = (sys.executable, "-m", "batch_runner")
#: The same as if the extra `fast` were not installed.
PLAIN = (
    sys.executable,
    "-c",
    "import sys; sys.modules['uvloop'] = None\nfrom batch_runner.__main__ import main; main()",
)
#: Limits that never bind, and a first look as soon as may be.
UNBOUND = (
    "limits: {rate: 100000/s, in_flight: 1000, poll_rate: 100000/s}\n"
    "polling: {first: 0.1s, shortest: 0.1s}\n"
)
SAMPLE = 0.02  # seconds between two looks at a process
LIMIT = 900.0  # seconds that any process may take

#: What is drawn at the end, by panel and bar; a row keeps its figure here when it has it.
KEPT: dict[str, dict[str, float]] = {}

_numbers = itertools.count()  # of what stands in the scratch folder


class Spent(NamedTuple):
    """What one process took: seconds of wall and processor, its peak in MB; how it ended."""

    wall: float
    cpu: float
    peak: float
    code: int
    words: str  # the last it said on standard error


def spend(
    command: Sequence[str],
    *,
    limit: float = LIMIT,
    output: str | None = None,
    **environment: str,
) -> Spent:
    """Run a command to its end; processor includes its children.

    What it says on standard output goes to the file named `output`, or is thrown away.

    Raises:
        SystemExit: It took longer than `limit` seconds.
    """
    complaints = scratch() / f"words-{next(_numbers)}"
    begun = time.monotonic()
    with complaints.open("wb") as words, Path(output or os.devnull).open("wb") as said:
        process = subprocess.Popen(command, env=os.environ | environment, stdout=said, stderr=words)
    peak, ended = 0.0, select.poll()
    watched = os.pidfd_open(process.pid)
    ended.register(watched, select.POLLIN)
    try:
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            # Not ru_maxrss: that begins with the size of the process that started this one.
            peak = memory(process.pid, "VmHWM") or peak
            if time.monotonic() - begun > limit:
                raise SystemExit(f"{command} took longer than {limit:g} s")
            ended.poll(1000 * SAMPLE)
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        os.close(watched)
    wall = time.monotonic() - begun
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    last = complaints.read_text(errors="replace")[-500:]
    return Spent(wall, used.ru_utime + used.ru_stime, peak, process.returncode, last)


def memory(pid: int | str, field: str = "VmRSS") -> float:
    """Return the MB that a process holds ("VmRSS") or held at most ("VmHWM"); 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(rf"{field}:\s+(\d+) kB", status)
    return int(found[1]) / 2**10 if found else 0.0


class Service:
    """The neutral server, for the length of a block; `seen` is what it saw."""

    def __init__(self, *options: object) -> None:
        self._options = map(str, options)

    def __enter__(self) -> Service:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench._server", *self._options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self.environment = {
            "BAICAI_BASE_URL": self.url,
            "BAICAI_API_KEY": "sk-bench",
            "XDG_STATE_HOME": str(scratch() / "state"),
        }
        return self

    def creates(self) -> int:
        """Return how many creates it has seen so far."""
        with urllib.request.urlopen(f"{self.url}/seen", timeout=60) as answer:  # noqa: S310
            return int(json.load(answer)["data"]["submissions"])

    def __exit__(self, *exception: object) -> None:
        told, _ = self._process.communicate("", timeout=60)
        self.seen: dict[str, float] = json.loads(told)


@functools.cache
def scratch() -> Path:
    """Return the folder of this bench, removed at its very end.

    Not sooner: making files is slow for a while where ext4 has just deleted others.
    """
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def fresh() -> Path:
    """Return a new folder."""
    folder = scratch() / str(next(_numbers))
    folder.mkdir()
    return folder


def manifest(items: int, settings: str = UNBOUND) -> Path:
    """Write a manifest with that many rows of JSONL in a folder of its own."""
    folder = fresh()
    with (folder / "rows.jsonl").open("w") as file:
        file.writelines(f'{{"number": {number}}}\n' for number in range(items))
    path = folder / "cards.yaml"
    path.write_text(
        f"workflow: card\n{settings}items_from: rows.jsonl\n"
        'params: {"6": {text: "a horse, number {{ number }}"}}\n'
    )
    return path


def run(program: Sequence[str], path: Path, service: Service, *, limit: float = LIMIT) -> Spent:
    """Carry a manifest with our command.

    Raises:
        SystemExit: Not every item got done, or it took longer than `limit` seconds.
    """
    command = [*program, "run", str(path), "--quiet", "--yes"]
    spent = spend(command, limit=limit, **service.environment)
    if spent.code:
        raise SystemExit(f"a run ended with {spent.code}: {spent.words}")
    return spent


def take_turns(clients: Mapping[str, Callable[[], Figure]], rounds: int) -> dict[str, list[Figure]]:
    """Call each in turn, round after round, and return what each returned, by round."""
    figures: dict[str, list[Figure]] = {name: [] for name in clients}
    for number in range(rounds):
        names = list(clients)
        for name in names if number % 2 == 0 else reversed(names):
            figures[name].append(clients[name]())
    return figures


def spread(figures: Sequence[float]) -> float:
    """Return what lies between the least and the most, over the median."""
    return (max(figures) - min(figures)) / statistics.median(figures)


def ratio(figures: Sequence[float], floor: Sequence[float]) -> float:
    """Return the median of the ratios within each round."""
    return statistics.median(figure / least for figure, least in zip(figures, floor, strict=True))


def head(title: str, *columns: str) -> None:
    """Print what stands above the rows."""
    print(f"{title:46}" + "".join(f"{column:>10}" for column in columns), flush=True)


def show(name: str, *cells: str, goal: str = "", ok: bool | None = None) -> None:
    """Print one row and, where there is a goal, whether it is met."""
    verdict = {None: "", True: "ok", False: "MISSED"}[ok]
    row = f"{name:46}" + "".join(f"{cell:>10}" for cell in cells)
    print(f"{row}   {goal:14}  {verdict}".rstrip(), flush=True)


def keep(panel: str, bar: str, figure: float) -> None:
    """Keep a figure for the picture."""
    KEPT.setdefault(panel, {})[bar] = figure
