"""The wall clock jumps by hours and days, forwards and back; timers must not notice."""

from __future__ import annotations

import shutil
import struct
import subprocess
import time
from pathlib import Path

from batch_runner.lifecycle import ItemStatus
from tests.crash.processes import ITEMS, Skipped, some_time, wait_for_submissions
from tests.crash.scene import Scene, items_of

SOURCE = Path(__file__).with_name("wall_clock.c")
JUMPS = (-10 * 86400, -86400, -7200, -300, 300, 7200, 86400, 10 * 86400)


class WallClock:
    """The wall clock of the runs of one job."""

    def __init__(self, scene: Scene) -> None:
        library, self._file = scene.folder / "wall_clock.so", scene.folder / "wall-clock"
        if (compiler := shutil.which("cc")) is None:
            raise Skipped("the clock needs a C compiler")
        words = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run(words, check=True, capture_output=True)
        self._file.write_bytes(struct.pack("q", 0))
        self.environment = {"LD_PRELOAD": str(library), "WALL_CLOCK": str(self._file)}

    def set(self, seconds: int) -> None:
        """Set the clock to so many seconds after the real time, also in running processes."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", seconds))


def jumping_clock(scene: Scene) -> None:
    """Let the clock jump during some runs and between them. No call fails, so no item is held."""
    job, dice = scene.job(), scene.random
    clock = WallClock(scene)
    job.environment |= clock.environment
    if dice.random() < 0.5:
        scene.service.set_faults("limited:submit:retry_after=1:times=2")
    clock.set(dice.choice((0, *JUMPS)))
    killed = dice.random() < 0.4
    started = time.monotonic()
    run = job.start(*(("--run-for", "40s") if dice.random() < 0.5 else ()))
    for count in sorted(dice.sample(range(ITEMS), dice.randint(1, 3))):
        wait_for_submissions(scene.service, run, count)
        clock.set(dice.choice(JUMPS))
    if killed:
        some_time(dice, 0, 0.5)
        job.kill(run)
    else:
        job.end(run, 60)
        text = job.said[-1][-600:]
        scene.check(job.code == 0, f"the clock jumped, and the run exits {job.code}: {text}")
    clock.set(dice.choice((0, *JUMPS)))
    scene.finish()
    held = sum(row.status is ItemStatus.HELD for row in items_of(job))
    scene.check(killed or not held, f"{held} items are held because the clock jumped")
    scene.check(time.monotonic() - started < 90, "the runs waited for a clock that had jumped")
