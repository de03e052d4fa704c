"""Sweeps in real processes: the real command against the real simulator, each with an audit.

    python -m tests.crash.soak --seconds 600 --seed 1
    python -m tests.crash.soak --kind renamed-job --seed 7 --rounds 1

Each kind disturbs the runs of a job in its own way: kills, disks, clocks, signals, proxies, a
second run. The seed decides how. Then the disturbance ends, the job is run to its end, and the
service's ledger is compared with journal, registry and files. Every kind comes up at least once,
however short the time. Prints its counts; exits 1 on a violation.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.crash.kinds import clocks, cluster, creation, disks, kills, network, shared, signals
from tests.crash.processes import Skipped
from tests.crash.scene import Scene

_DISKS: dict[str, Callable[[Scene], None]] = {
    f"{fault}-{place}-disk": functools.partial(disks.broken_disk, place=place, fault=fault)
    for place, fault in itertools.product(disks.PLACES, disks.FAULTS)
}
KINDS: dict[str, Callable[[Scene], None]] = {
    "killed-runs": kills.killed_runs,
    "uploads": kills.uploads,
    "killed-creation": creation.killed_creation,
    "two-runs": shared.two_runs,
    "copied-job": shared.copied_job,
    "renamed-job": shared.renamed_job,
    "jumping-clock": clocks.jumping_clock,
    "stopped-run": signals.stopped_run,
    "signalled-pid-1": signals.signalled_pid_1,
    "own-authority": network.own_authority,
    "dying-proxy": network.dying_proxy,
    "failing-cluster": cluster.failing_cluster,
    **_DISKS,
}


@dataclass
class Sweep:
    """What one sweep did."""

    kind: str
    seed: int
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    skipped: str | None = None  # why
    violations: list[str] = field(default_factory=list)

    @property
    def again(self) -> str:
        return f"python -m tests.crash.soak --kind {self.kind} --seed {self.seed} --rounds 1"


def sweep(kind: str, seed: int, *, program: Sequence[str] = ("-m", "batch_runner")) -> Sweep:
    """Make one sweep; `program` is what Python runs instead of the real command."""
    done, started = Sweep(kind, seed), time.monotonic()
    scene = Scene(kind, seed, program=program)
    try:
        KINDS[kind](scene)
    except Skipped as reason:
        done.skipped = str(reason)
    except Exception as error:  # noqa: BLE001  the other sweeps go on
        scene.found.append(f"the sweep ended by {error!r}")
    finally:
        scene.close()
    done.counts, done.violations = scene.counts, scene.found
    if scene.found:
        done.violations.append(f"kept in {scene.folder}")
    done.seconds = time.monotonic() - started
    return done


def sweeps(kinds: Sequence[str], seed: int, seconds: float, rounds: int | None) -> Iterator[Sweep]:
    """Sweep all kinds in turn, two at a time, for so many seconds, but at least once."""
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(2) as pool:
        for number in itertools.count():
            if number == rounds or (number and time.monotonic() > end):
                return

            def one(kind: str, number: int = number) -> Sweep | None:
                late = number and time.monotonic() > end
                return None if late else sweep(kind, seed + number)

            yield from (done for done in pool.map(one, kinds) if done is not None)


def main() -> int:
    """Sweep, print the counts of each kind, and fail on a violation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rounds", type=int, help="so many rounds of the kinds instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=KINDS, action="append", help="may be repeated")
    arguments = parser.parse_args()
    seconds = arguments.seconds if arguments.rounds is None else float("inf")
    sums: dict[str, Counter[str]] = {}
    for done in sweeps(arguments.kind or list(KINDS), arguments.seed, seconds, arguments.rounds):
        counts = sums.setdefault(done.kind, Counter())
        counts.update(
            done.counts, sweeps=1, seconds=round(done.seconds), violations=bool(done.violations)
        )
        if done.skipped:
            counts["skipped"] += 1
            print(f"{done.kind}: skipped, {done.skipped}", flush=True)
        for one in done.violations:
            print(f"{done.kind}, seed {done.seed}: {one}", flush=True)
        if done.violations:
            print(f"again: {done.again}", flush=True)
    _print_table(sums)
    return 1 if any(counts["violations"] for counts in sums.values()) else 0


def _print_table(sums: dict[str, Counter[str]]) -> None:
    names = ("sweeps", "skipped", "seconds", "runs", "kills", "submissions", "held", "violations")
    print(f"{'':22}" + "".join(f"{name:>13}" for name in names))
    total: Counter[str] = Counter()
    for kind, counts in sums.items():
        total.update(counts)
        print(f"{kind:22}" + "".join(f"{counts[name]:13}" for name in names))
    print(f"{'all':22}" + "".join(f"{total[name]:13}" for name in names))


if __name__ == "__main__":
    sys.exit(main())
