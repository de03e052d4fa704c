"""The first run is killed while it creates journal and registry, or later; the folder may go."""

from __future__ import annotations

import shutil

from tests.crash.processes import ITEMS, some_time
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
        scene.check(job.code in (0, 1, -9), f"it exited {job.code}")
    paid = scene.paid()
    if dice.random() < 0.5:
        scene.deleted = job.out.exists()
        shutil.rmtree(job.out, ignore_errors=True)
    scene.finish()
    scene.check(scene.paid() - paid <= ITEMS, "more was paid for than there are items")
