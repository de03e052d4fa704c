"""Show a cluster at work: make cluster-demo; or python -m tests.cluster NAME ITEMS RATE.

Names: kill, stop, database, none (the default is all but none).

The share of the rate that was used is computed from the first to the last submission in the
service's ledger. For `database`, the longest time between two submissions is left out, which must
be the outage and a few seconds to recover.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from tests.cluster.scene import DONE, Audit, Scene, audit, new_scene
from tests.harness.postgres import is_installed

ITEMS, RATE = 3000, 50.0
#: Seconds for which a worker is stopped, and the database is away; most seconds to recover.
STOPPED_FOR, AWAY_FOR, RECOVERED_WITHIN = 60.0, 10.0, 10.0
LEAST_USED = 0.97
#: What may arrive at the service in one second beyond the rate, as a part of it: requests that
#: leave at their times take more or less long.
BURST = 0.1


def main(arguments: list[str]) -> int:
    """Run each scene and print what the ledger says; 0: all is as it should be."""
    names = arguments[0].split(",") if arguments else ["kill", "stop", "database"]
    items = int(arguments[1]) if len(arguments) > 1 else ITEMS
    rate = float(arguments[2]) if len(arguments) > 2 else RATE
    if not is_installed():
        print("PostgreSQL is not installed: apt install postgresql")
        return 2
    return max(show(name, items, rate) for name in names)


def show(name: str, items: int, rate: float) -> int:
    """Run one scene; return 0 if nothing was paid twice, lost or sent too fast."""
    with new_scene(rate, "--service-time", "uniform:1,4", "--image-bytes", "3000") as scene:
        scene.write_manifest(items)
        started = time.monotonic()
        workers = [scene.worker(number) for number in (1, 2, 3)]
        run = scene.run()
        scene.wait_for_submissions(items * 2 // 5)
        disturb(name, scene, workers)
        code = run.wait(600)
        found = audit(scene)
        report(name, found, code, time.monotonic() - started)
        problems = problems_of(name, found, items, rate)
        for problem in problems:
            print("  PROBLEM:", problem)
        if problems:
            for host in range(4):
                print(f"--- host{host}\n{scene.log(f'host{host}')[-3000:]}")
        return 1 if problems else 0


def disturb(name: str, scene: Scene, workers: list[subprocess.Popen[str]]) -> None:
    """Do what the scene is named after."""
    if name == "kill":
        workers[0].kill()
    elif name == "stop":
        workers[0].send_signal(signal.SIGSTOP)
        time.sleep(STOPPED_FOR)
        workers[0].send_signal(signal.SIGCONT)
    elif name == "database":
        scene.server.stop()
        time.sleep(AWAY_FOR)
        scene.server.start()


def report(name: str, found: Audit, code: int, seconds: float) -> None:
    statuses = ", ".join(f"{count} {status}" for status, count in found.statuses.items())
    used = f"{found.used:.1%} of the rate"
    if name == "database":
        used = (
            f"{found.used_otherwise:.1%} of the rate without the {found.pause:.1f} s of the outage"
        )
    print(
        f"{name}: {statuses}; {found.submissions} submissions, {found.duplicates} twice, "
        f"{found.lost} lost; {found.fullest} in the fullest second, {used}; "
        f"exit status {code}, {seconds:.0f} s",
        flush=True,
    )


def problems_of(name: str, found: Audit, items: int, rate: float) -> list[str]:
    held = found.statuses["held"]
    used = found.used_otherwise if name == "database" else found.used
    away = AWAY_FOR if name == "database" else 0.0
    checks = {
        "an item was paid twice": found.duplicates == 0,
        "a task id is lost": found.lost == 0,
        "an item is neither done nor held": found.statuses[DONE] + held == items,
        "more than a burst above the rate": found.fullest <= rate * (1 + BURST),
        "less than 97 % of the rate": used >= LEAST_USED,
        "nothing was submitted for too long": found.pause <= away + RECOVERED_WITHIN,
    }
    return [text for text, fine in checks.items() if not fine]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
