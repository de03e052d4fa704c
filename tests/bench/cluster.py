"""Cluster: what an item costs with three workers, beside one machine; the rate; a killed worker.

    python -m tests.bench.cluster              every row
    python -m tests.bench.cluster cost kill    the rows of that kind

`cost`: CPU milliseconds of one more item, of all processes of the cluster (workers and run) and of
one run without a cluster: the same items at the same rate, interleaved. PostgreSQL is counted
beside it; its files are in memory, so this is CPU time and not that of a disk. `kill`: one of three
workers is killed in the middle of a job.
"""

from __future__ import annotations

import functools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString, NamedTuple

import psycopg

from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal.places import schema_of
from tests.bench import _rows
from tests.cluster.scene import PATIENCE, Scene, audit, new_scene
from tests.e2e.conftest import Service
from tests.harness.postgres import PostgresServer, new_server

WORKERS, RATE, ROUNDS = 3, 100.0, 2
FEW, MANY = 1500, 3500  # items: one shard for each worker, and seven
GOAL = 1.3
KILL_ITEMS, KILL_RATE, SLOW = 3000, 50.0, 5.0
MOST = 53  # in a second: one burst more
PICKED_UP = 60.0  # seconds, the goal
TICKS = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """What a job took: CPU milliseconds of its processes and of the database, and polls."""

    own: float
    database: float
    polls: float


def cpu_of(database: PostgresServer) -> float:
    """Return the CPU seconds of a server: its own and of its children, those that ended too."""
    pid = int((database.folder / "data" / "postmaster.pid").read_text().split()[0])
    own = _stat(pid)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (sum(own) + sum(sum(_stat(int(child))[:2]) for child in children)) / TICKS


def _stat(pid: int) -> list[int]:
    """Return user and system time, and those of children that ended; nothing if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [int(field) for field in fields[11:15]]


def wait(process: subprocess.Popen[str]) -> float:
    """Wait until a process ends; return its CPU seconds."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime


def in_cluster(database: PostgresServer, items: int) -> Cost:
    """Run that many items with workers."""
    with _rows.Server("--seconds", 1) as server, _scene(database, server, items) as scene:
        if scene.call("host0", "cluster", "init"):
            raise SystemExit(scene.log("host0"))
        before = cpu_of(database)
        workers = [scene.worker(number) for number in range(1, WORKERS + 1)]
        run = scene.run()
        used = wait(run)
        for worker in workers:
            worker.terminate()
        used += sum(wait(worker) for worker in workers)
        after = cpu_of(database)
    return _cost(scene, run, server, items, used, after - before)


def on_one_machine(database: PostgresServer, items: int) -> Cost:
    """Run that many items without a cluster."""
    with _rows.Server("--seconds", 1) as server, _scene(database, server, items) as scene:
        run = scene.start("host0", "run", str(scene.manifest), "--output", str(scene.out))
        used = wait(run)
    return _cost(scene, run, server, items, used, 0.0)


@contextmanager
def _scene(database: PostgresServer, server: _rows.Server, items: int) -> Iterator[Scene]:
    """Yield a scene with a manifest; its processes are killed at the end."""
    service = Service(server.process, server.url)
    scene = Scene(folder=_rows.new_folder(), server=database, service=service, rate=RATE)
    scene.write_manifest(items)
    try:
        yield scene
    finally:
        for process in scene.processes:
            if process.returncode is None:
                process.kill()
                process.wait()


def _cost(
    scene: Scene,
    run: subprocess.Popen[str],
    server: _rows.Server,
    items: int,
    used: float,
    database: float,
) -> Cost:
    if run.returncode or server.seen["submissions"] != items:
        log = scene.log("host0")[-1000:]
        raise SystemExit(f"{log}exit status {run.returncode}; the server saw {server.seen}")
    return Cost(1000 * used, 1000 * database, server.seen["polls"])


def show_cost() -> None:
    """Print what an item costs, and what the database needs for it."""
    _rows.print_head(
        "cluster: CPU of one more item",
        *("ms", "spread", "× one", "polls"),
        means="Processor time of all processes for an item when three workers share a job, beside "
        "that of one machine at the same rate: what it costs to need no particular host.",
    )
    clients = {"one machine": on_one_machine, "three workers and run": in_cluster}
    with new_server() as database:
        sizes = {
            f"{name} {items}": functools.partial(client, database, items)
            for name, client in clients.items()
            for items in (FEW, MANY)
        }
        costs = _rows.interleave(sizes, ROUNDS)
    more = {name: _more(costs[f"{name} {FEW}"], costs[f"{name} {MANY}"]) for name in clients}
    alone = [each.own for each in more["one machine"]]
    for name in clients:
        figures = [each.own for each in more[name]]
        times = _rows.ratio(figures, alone)
        polls = statistics.median(each.polls for each in more[name])
        cells = (*_figures(figures), f"{times:.2f}", f"{polls:.1f}")
        goal = f"≤ {GOAL}" if name != "one machine" else ""
        _rows.print_row(name, *cells, goal=goal, ok=times <= GOAL if goal else None)
    _rows.print_row("PostgreSQL", *_figures([each.database for each in more[name]]))


def _more(few: Sequence[Cost], many: Sequence[Cost]) -> list[Cost]:
    """Return the cost of one more item in each round."""
    return [
        Cost(*((most - least) / (MANY - FEW) for least, most in zip(*pair, strict=True)))
        for pair in zip(few, many, strict=True)
    ]


def _figures(figures: Sequence[float]) -> tuple[str, str]:
    return f"{statistics.median(figures):.2f}", f"{_rows.spread(figures):.0%}"


def show_kill() -> None:
    """Kill one of three workers; print the rate and when others go on with its items."""
    _rows.print_head(
        "cluster: a worker is killed",
        *("used", "fullest", "pick-up", "twice", "held"),
        means="Part of the allowed submissions that was used, the most in any second, seconds "
        "until others go on with the last shard of the killed worker, items paid for twice, and "
        "items that a person must decide about.",
    )
    with _kill(KILL_RATE, KILL_ITEMS * 2 // 5) as (scene, run, pick_up):
        run.wait(PATIENCE)
        found = audit(scene)
    cells = (f"{found.used:.3f}", f"{found.fullest}", f"{pick_up:.1f} s")
    ok = found.used >= 0.97 and found.fullest <= MOST and pick_up <= PICKED_UP
    _rows.print_row(
        f"one of {WORKERS} workers, {KILL_RATE:g}/s",
        *(*cells, f"{found.duplicates}", f"{found.statuses['held']}"),
        goal=f"≥ 0.97, ≤ {MOST}, ≤ {PICKED_UP:g} s, 0",
        ok=ok and not found.duplicates and not found.lost,
    )
    with _kill(SLOW, 12 * int(SLOW)) as (_, _, pick_up):
        cells = ("", "", f"{pick_up:.1f} s")
    name = f"one of {WORKERS} workers, {SLOW:g}/s"
    _rows.print_row(name, *cells, goal=f"≤ {PICKED_UP:g} s", ok=pick_up <= PICKED_UP)


@contextmanager
def _kill(rate: float, after: int) -> Iterator[tuple[Scene, subprocess.Popen[str], float]]:
    """Kill a worker after some submissions; yield the run, and the seconds until others go on."""
    with new_scene(rate, "--service-time", "uniform:1,4", "--image-bytes", "3000") as scene:
        scene.write_manifest(KILL_ITEMS)
        workers = [scene.worker(number) for number in range(1, WORKERS + 1)]
        run = scene.run()
        scene.wait_for_submissions(after)
        shards = _shards_of(scene, workers[0].pid)
        workers[0].kill()
        killed_at = time.time()
        deadline = time.monotonic() + PATIENCE
        while None in (found := [_next_event(scene, shard, killed_at) for shard in shards]):
            if run.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("nobody went on with a shard of the killed worker")
            time.sleep(0.5)
        yield scene, run, max(at or 0.0 for at in found) - killed_at


def _shards_of(scene: Scene, pid: int) -> list[int]:
    """Return the shards that a worker holds."""
    query = "SELECT shard FROM shards JOIN workers USING (worker) WHERE pid = %s"
    return [row[0] for row in _query(scene, query, pid)]


def _next_event(scene: Scene, shard: int, after: float) -> float | None:
    """Return when something happened next to an item of a shard, None if nothing has."""
    query = "SELECT min(at) FROM events JOIN items USING (key) WHERE shard = %s AND at > %s"
    found: float | None = _query(scene, query, shard, after)[0][0]
    return found


def _query(scene: Scene, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
    schema = schema_of(JobFolder(scene.out).journal)
    options = f"-c search_path={schema}"
    with psycopg.connect(scene.server.dsn, options=options) as connection:
        return connection.execute(query, values).fetchall()


def main(words: list[str]) -> None:
    """Print the rows that are asked for."""
    if not words or "cost" in words:
        show_cost()
    if not words or "kill" in words:
        show_kill()


if __name__ == "__main__":
    main(sys.argv[1:])
