"""The first run is killed while it creates journal and registry, or later; the folder may go."""

from __future__ import annotations

import shutil

from tests.crash.processes import ITEMS, REFUSED, some_time
from tests.crash.scene import Scene

#: System calls at which the kernel kills the run: the first and the last call that is tried. The
#: main thread makes about 50 fdatasync for journal and registry, the journal's thread the others.
CALLS = {
    "fdatasync": (1, 110),
    "pwrite64": (1, 400),
    "fsync": (1, 12),
    "rename": (1, 6),
    "mkdir": (1, 12),
    "ftruncate": (1, 14),
    "unlink": (1, 11),
    "flock": (1, 2),
    "openat": (700, 970),
}


def killed_creation(scene: Scene) -> None:
    """Kill the first run at a system call, or at a random time where strace is missing."""
    job, dice = scene.job(), scene.random
    for _ in range(dice.choice((1, 1, 2, 3))):
        if shutil.which("strace"):
            call = dice.choice(list(CALLS))
            when = dice.randint(*CALLS[call])
            kill = f"inject={call}:signal=SIGKILL:when={when}"
            prefix = ["strace", "-f", "-qqq", "-o", "/dev/null"]
            run = job.start(prefix=[*prefix, "-e", f"trace={call}", "-e", kill])
            job.end(run)
            scene.counts["kills"] += job.code == -9
        else:
            run = job.start()
            some_time(dice, 0.1, 2.0)
            job.kill(run)
        scene.check(job.code in (0, 1, -9) or REFUSED in job.said[-1], f"it exited {job.code}")
    paid = scene.paid()
    if dice.random() < 0.5:
        scene.deleted = job.out.exists()
        shutil.rmtree(job.out, ignore_errors=True)
    scene.finish()
    if scene.deleted and paid:
        scene.check(job.refused, f"{paid} items were paid for and the folder deleted: {job.code}")
        scene.check(scene.paid() == paid, "items were submitted although some were paid for")
    if job.refused:
        _approve(scene, paid)


def _approve(scene: Scene, paid: int) -> None:
    """Approve it, as the refusal says: every item is done, and paid for at most once more."""
    job = scene.jobs[0]
    scene.approved = 1
    scene.check(job.run("--yes") in (0, 1), f"approved, it exits {job.code}: {job.said[-1][-600:]}")
    scene.check(scene.paid() <= paid + ITEMS, "approved once, and paid for more than once more")
    scene.found += scene.audit()
