"""What the benchmarks share: processes to measure, interleaved rounds, medians, printed rows.

Only clients that were measured interleaved in one run are compared. A figure is the median of its
rounds. Its spread is (most − least) ÷ median. A ratio is the median of the ratios within each
round, so that a slow minute of the machine affects both sides.
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
import textwrap
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
#: Limits that never matter, and a first poll as early as possible.
UNBOUND = (
    "limits: {rate: 100000/s, in_flight: 1000, poll_rate: 100000/s}\n"
    "polling: {first: 0.1s, shortest: 0.1s}\n"
)
#: The authority whose certificate the minimal service shows with `--tls`.
AUTHORITY = Path(__file__).parents[1] / "fixtures" / "authority.pem"
SAMPLE = 0.02  # seconds between two checks of a process
LIMIT = 900.0  # seconds; the longest run of any process

NAME, MEANS = 48, 100  # characters: the column of names, a line of explanation

#: All lines printed so far, and whether each row met its goal (None: it has none).
TABLE: list[str] = []
VERDICTS: list[bool | None] = []
#: Figures of the chart, by panel and bar.
FIGURES: dict[str, dict[str, float]] = {}

_numbers = itertools.count()  # for names in the scratch folder


class Usage(NamedTuple):
    """What one process used: wall and CPU seconds, and its peak memory in MB."""

    wall: float
    cpu: float
    peak: float
    code: int  # exit status
    stderr: str  # its last characters


def measure_process(
    command: Sequence[str],
    *,
    limit: float = LIMIT,
    output: str | None = None,
    **environment: str,
) -> Usage:
    """Run a command to its end; CPU time includes its children.

    Its standard output goes to the file named `output`; None discards it.

    Raises:
        SystemExit: it ran longer than `limit` seconds.
    """
    errors = scratch() / f"stderr-{next(_numbers)}"
    begun = time.monotonic()
    with errors.open("wb") as stderr, Path(output or os.devnull).open("wb") as stdout:
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=stdout, stderr=stderr
        )
    peak, ended = 0.0, select.poll()
    pidfd = os.pidfd_open(process.pid)
    ended.register(pidfd, select.POLLIN)
    try:
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            # Not ru_maxrss: it starts at the size of the parent process.
            peak = memory(process.pid, "VmHWM") or peak
            if time.monotonic() - begun > limit:
                raise SystemExit(f"{command} took longer than {limit:g} s")
            ended.poll(1000 * SAMPLE)
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        os.close(pidfd)
    wall = time.monotonic() - begun
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    last = errors.read_text(errors="replace")[-500:]
    return Usage(wall, used.ru_utime + used.ru_stime, peak, process.returncode, last)


def memory(pid: int | str, field: str = "VmRSS") -> float:
    """Return the memory of a process in MB: now ("VmRSS") or at its peak ("VmHWM"); 0 if ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(rf"{field}:\s+(\d+) kB", status)
    return int(found[1]) / 2**10 if found else 0.0


class Server:
    """The minimal service (`_server`) or a variant of it, as a context manager.

    `seen` is what it counted.
    """

    def __init__(self, *options: object, module: str = "_server") -> None:
        self._command = [sys.executable, "-m", f"tests.bench.{module}", *map(str, options)]

    def __enter__(self) -> Server:
        self.process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        scheme = "https" if "--tls" in self._command else "http"
        self.url = f"{scheme}://127.0.0.1:{int(self.process.stdout.readline())}"
        self.environment = {
            "BAICAI_BASE_URL": self.url,
            "BAICAI_API_KEY": "sk-bench",
            # Of its own: a later server may have the same port, and another job has its task ids.
            "XDG_STATE_HOME": str(new_folder()),
        }
        if scheme == "https":
            self.environment["SSL_CERT_FILE"] = str(AUTHORITY)
        return self

    def counts(self) -> dict[str, float]:
        """Return what it has counted so far."""
        with urllib.request.urlopen(f"{self.url}/seen", timeout=60) as response:  # noqa: S310
            counts: dict[str, float] = json.load(response)["data"]
        return counts

    def __exit__(self, *exception: object) -> None:
        figures, _ = self.process.communicate("", timeout=60)
        self.seen: dict[str, float] = json.loads(figures)


@functools.cache
def scratch() -> Path:
    """Return the scratch folder, which is removed when the process ends.

    Not sooner: on ext4 creating files is slow for a while after others were deleted.
    """
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def new_folder() -> Path:
    folder = scratch() / str(next(_numbers))
    folder.mkdir()
    return folder


def manifest(items: int, settings: str = UNBOUND) -> Path:
    """Write a manifest with that many rows of JSONL in a new folder."""
    folder = new_folder()
    with (folder / "rows.jsonl").open("w") as file:
        file.writelines(f'{{"number": {number}}}\n' for number in range(items))
    path = folder / "cards.yaml"
    path.write_text(
        f"workflow: card\n{settings}items_from: rows.jsonl\n"
        'params: {"6": {text: "a horse, number {{ number }}"}}\n'
    )
    return path


def run(program: Sequence[str], path: Path, server: Server, *, limit: float = LIMIT) -> Usage:
    """Run a manifest with our command.

    Raises:
        SystemExit: not every item was done, or it ran longer than `limit` seconds.
    """
    command = [*program, "run", str(path), "--quiet", "--yes"]
    usage = measure_process(command, limit=limit, **server.environment)
    if usage.code:
        raise SystemExit(f"a run ended with status {usage.code}: {usage.stderr}")
    return usage


def interleave(clients: Mapping[str, Callable[[], Figure]], rounds: int) -> dict[str, list[Figure]]:
    """Call each client once per round, and return the results of each by round."""
    figures: dict[str, list[Figure]] = {name: [] for name in clients}
    for number in range(rounds):
        names = list(clients)
        for name in names if number % 2 == 0 else reversed(names):
            figures[name].append(clients[name]())
    return figures


def spread(figures: Sequence[float]) -> float:
    """Return (most − least) ÷ median."""
    return (max(figures) - min(figures)) / statistics.median(figures)


def ratio(figures: Sequence[float], floor: Sequence[float]) -> float:
    """Return the median of the ratios within each round."""
    return statistics.median(figure / least for figure, least in zip(figures, floor, strict=True))


def print_head(title: str, *columns: str, means: str = "") -> None:
    """Print the line above the rows, and below it what they mean to a user."""
    print_line()
    print_line(_columns(title, columns))
    if means:
        print_line(textwrap.fill(means, MEANS, initial_indent="  ", subsequent_indent="  "))


def print_row(
    name: str, *cells: str, goal: str = "", ok: bool | None = None, note: str = ""
) -> None:
    """Print one row; `ok` says whether its goal is met, None that there is none, but a note."""
    VERDICTS.append(ok)
    verdict = {None: note, True: "ok", False: "MISSED"}[ok]
    goals = f"{goal:14}  " if goal or ok is not None else ""
    print_line(f"{_columns(name, cells)}   {goals}{verdict}")


def print_line(text: str = "") -> None:
    """Print a line of the table, and keep it for the file."""
    TABLE.append(text.rstrip())
    print(TABLE[-1], flush=True)


def print_summary(origin: str) -> None:
    """Print how many rows there were, how many met or missed a goal, and where it was measured."""
    met, missed = VERDICTS.count(True), VERDICTS.count(False)
    none = len(VERDICTS) - met - missed
    print_line()
    print_line(f"{len(VERDICTS)} rows: {met} met their goal, {missed} missed it, {none} have none")
    print_line(origin)


def _columns(name: str, cells: Sequence[str]) -> str:
    return f"{name:{NAME}}" + "".join(f"{cell:>10}" for cell in cells)


def store_figure(panel: str, bar: str, figure: float) -> None:
    """Store a figure for the chart."""
    FIGURES.setdefault(panel, {})[bar] = figure
