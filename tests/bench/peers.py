"""Peers: the same items through what people use instead, and what each loses when it is killed.

    python -m tests.bench.peers            every row
    python -m tests.bench.peers cpu        processor time only
    python -m tests.bench.peers killed     tasks paid twice only

Each peer is a script of its own: it submits, polls to the end, asks for the result, downloads and
writes the file, and does not make a file again that exists. The rows have no goals; they show
where the program stands. A number behind a name is how many items are worked on at once.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.bench import _rows
from tests.bench.cpu import FLOOR

ROUNDS = 3
KILLED = 100  # items of the runs that are killed, each a task of a second
LIMIT = 300.0  # seconds; the longest run

HTTPX = (sys.executable, "-m", "tests.bench._peer_httpx")
GATHER = (sys.executable, "-m", "tests.bench._peer_gather")
CURL = ("sh", str(Path(__file__).with_name("_peer_curl.sh")))
BARE = "no journal, rate limit, retry, check"


class Peer(NamedTuple):
    """A client: command, more arguments, the numbers of items between which a slope is measured."""

    command: tuple[str, ...]
    few: int
    many: int
    lacks: str = BARE
    more: tuple[str, ...] = ()


PEERS = {
    "batch-runner with [fast]": Peer(_rows.FAST, 200, 1000, lacks=""),
    "batch-runner without [fast]": Peer(_rows.PLAIN, 200, 1000, lacks=""),
    "the floor: aiohttp, 64": Peer(FLOOR, 200, 1000, "no restart, " + BARE),
    "aiohttp, asyncio.gather": Peer(GATHER, 200, 1000),
    "httpx, 8": Peer(HTTPX, 50, 250, more=("8",)),
    "httpx, 64": Peer(HTTPX, 50, 250, more=("64",)),
    "curl, xargs, 8": Peer(CURL, 8, 40),
}

FLOOR_NAME = next(name for name, peer in PEERS.items() if peer.command is FLOOR)


def missing(peer: Peer) -> str:
    """Return what is not installed that a peer needs; "" if nothing."""
    if peer.command is HTTPX and importlib.util.find_spec("httpx") is None:
        return "httpx"
    tools = ("curl", "xargs", "seq") if peer.command is CURL else ()
    return ", ".join(tool for tool in tools if shutil.which(tool) is None)


class Job:
    """A command of a client for some items, and the folder of its files."""

    def __init__(self, peer: Peer, items: int, url: str) -> None:
        if peer.command in (_rows.FAST, _rows.PLAIN):
            manifest = _rows.manifest(items)
            self.command = [*peer.command, "run", str(manifest), "--quiet", "--yes"]
            self._folder = manifest.parent / "out" / "cards"
        else:
            self._folder = _rows.new_folder()
            self.command = [*peer.command, url, str(items), str(self._folder), *peer.more]

    def files(self) -> int:
        """Return the number of files that are there."""
        return sum(path.stat().st_size > 0 for path in self._folder.glob("*.png"))


def cpu_time(peer: Peer, items: int) -> float:
    """Return the CPU milliseconds of a peer for that many items of 10 KB."""
    with _rows.Server() as server:
        job = Job(peer, items, server.url)
        usage = _rows.measure_process(job.command, limit=LIMIT, **server.environment)
    if usage.code or job.files() != items:
        raise SystemExit(f"{usage.stderr}exit status {usage.code}, {job.files()} of {items} files")
    return 1000 * usage.cpu


def one_more(peer: Peer) -> float:
    """Return the CPU milliseconds of one more item."""
    few, many = cpu_time(peer, peer.few), cpu_time(peer, peer.many)
    return (many - few) / (peer.many - peer.few)


def show_cpu(peers: dict[str, Peer]) -> None:
    """Print the processor time of each peer for one more item."""
    _rows.print_head(
        "peers: CPU of one more item, ms",
        *("median", "spread", "× floor"),
        means="Processor time that one more item of 10 KB costs with what people use instead, and "
        "what that does not do. Little matters to a computer that does other work, too.",
    )
    clients = {name: functools.partial(one_more, peer) for name, peer in peers.items()}
    costs = _rows.interleave(clients, ROUNDS)
    for name, peer in peers.items():
        median = statistics.median(costs[name])
        times = _rows.ratio(costs[name], costs[FLOOR_NAME])
        cells = (f"{median:.2f}", f"{_rows.spread(costs[name]):.0%}", f"{times:.2f}")
        _rows.print_row(name, *cells, note=peer.lacks)
        _rows.store_figure("peers, cpu", name, median)


def kill_and_repeat(peer: Peer) -> tuple[int, int]:
    """Kill a run when half of its files are there, and run it again.

    Returns how many tasks were paid twice, and how many files are missing at the end.
    """
    with _rows.Server("--seconds", 1) as server:
        job = Job(peer, KILLED, server.url)
        environment = os.environ | server.environment
        first = subprocess.Popen(job.command, env=environment, start_new_session=True)
        try:
            _wait(lambda: job.files() >= KILLED // 2 or first.poll() is not None)
        finally:
            os.killpg(first.pid, signal.SIGKILL)
            first.wait()
        _rows.measure_process(job.command, limit=LIMIT, **server.environment)
    return int(server.seen["repeats"]), KILLED - job.files()


def _wait(done: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT
    while not done():
        if time.monotonic() > end:
            raise SystemExit(f"a run did not write half of its files in {LIMIT:g} s")
        time.sleep(0.01)


def show_killed(peers: dict[str, Peer]) -> None:
    """Print what each peer pays twice after kill -9."""
    _rows.print_head(
        f"peers: {KILLED} items, killed half-way, run again",
        *("twice", "missing"),
        means="Tasks that were paid for twice, and files that are not there at the end: what a "
        "restart of the computer costs. What batch-runner misses waits for your decision.",
    )
    for name, peer in peers.items():
        twice, lost = kill_and_repeat(peer)
        _rows.print_row(name, f"{twice}", f"{lost}")
        _rows.store_figure("peers, killed", name, twice)


def main(words: list[str]) -> None:
    """Print the rows that are asked for."""
    peers = {name: peer for name, peer in PEERS.items() if not missing(peer)}
    if not words or "cpu" in words:
        show_cpu(peers)
    if not words or "killed" in words:
        show_killed({name: peer for name, peer in peers.items() if name != FLOOR_NAME})
    for name, peer in PEERS.items():
        if lacking := missing(peer):
            _rows.print_row(name, note=f"not measured: {lacking} is not installed")


if __name__ == "__main__":
    main(sys.argv[1:])
