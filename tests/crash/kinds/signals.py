"""Processes that are stopped and continued, and signals to a run that is process 1."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.crash.processes import ITEMS, PATIENCE, Skipped, some_time, wait_for_submissions
from tests.crash.scene import Scene

#: Runs a command as the first process of its own PID namespace, as in a container.
AS_PID_1 = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
#: Submissions that may be on their way when a signal comes.
ON_THEIR_WAY = 4
_STOPPING = re.compile(r"stopping|ended by")


def stopped_run(scene: Scene) -> None:
    """Stop the run, or the service, for longer than every timeout, and continue it."""
    job, dice = scene.job(), scene.random
    run = job.start()
    for count in sorted(dice.sample(range(1, ITEMS), dice.randint(1, 2))):
        wait_for_submissions(scene.service, run, count)
        victim = dice.choice((run.pid, scene.service.process.pid))
        if run.poll() is not None:
            break
        os.kill(victim, signal.SIGSTOP)
        some_time(dice, 2.1, 3.5)
        os.kill(victim, signal.SIGCONT)
    # 4: five submissions in a row got no answer.
    scene.check(job.end(run) in (0, 1, 4), f"stopped and continued, it exits {job.code}")
    scene.finish()


def signalled_pid_1(scene: Scene) -> None:
    """Send SIGTERM or SIGINT to process 1 of a PID namespace; it submits nothing from then on."""
    if os.geteuid() or not shutil.which("unshare"):
        raise Skipped("PID namespaces need root and unshare")
    if subprocess.run([*AS_PID_1, "true"], capture_output=True).returncode:
        raise Skipped("no PID namespaces")
    job, dice = scene.job(), scene.random
    job.submit_slowly("3/s")
    number = dice.choice((signal.SIGTERM, signal.SIGINT))
    log = scene.folder / "said"
    run = job.start(prefix=AS_PID_1, log=log)
    pid = _wait_for_handler(run.pid, number)
    some_time(dice, 0.0, 2.0)
    os.kill(pid, number)
    end = time.monotonic() + PATIENCE
    while run.poll() is None and not _STOPPING.search(log.read_text()):
        if time.monotonic() > end:
            break
        time.sleep(0.01)
    before = scene.paid()
    job.end(run)
    text = log.read_text()
    job.said.append(text)
    after = scene.paid()
    scene.check(job.code in (3, 128 + number), f"after {number.name} it exits {job.code}: {text}")
    scene.check(after <= before + ON_THEIR_WAY, f"{after - before} submissions after {number.name}")
    scene.check(after < ITEMS, f"all items were submitted in spite of {number.name}")
    scene.finish()
    scene.check(scene.counts["held"] == 0, f"items are held because of {number.name}")


def _wait_for_handler(pid: int, number: int) -> int:
    """Return the process id of the run once it handles the signal."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            child = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
            status = Path(f"/proc/{child}/status").read_text()
        except (IndexError, FileNotFoundError, ProcessLookupError):
            continue
        if int(status.split("SigCgt:")[1].split()[0], 16) >> (number - 1) & 1:
            # Python itself handles SIGINT from the start; the name shows that the program runs.
            return child
    raise AssertionError("no handler")
