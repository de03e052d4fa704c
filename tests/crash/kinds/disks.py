"""Disks that are full, have no inodes left or become read-only during a run: real file systems."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.crash.processes import ITEMS, Skipped, wait_for_submissions
from tests.crash.scene import Scene

PLACES = ("output", "state", "log")
FAULTS = ("full", "inodes", "read-only")
#: What makes a run log: without faults it has nothing to say.
LOGGED = ("http:status:rate=0.3", "cut:download:rate=0.3", "lose_answer:submit:times=2")


class Disk:
    """A small file system, which can be broken and mended."""

    def __init__(self, at: Path, image: Path, fault: str) -> None:
        self.at, self._image, self._fault = at, image, fault
        at.mkdir(parents=True, exist_ok=True)
        if fault == "read-only":
            with image.open("wb") as file:
                file.truncate(16 << 20)
            _system("mkfs.ext4", "-q", "-F", str(image))
        self.mount()

    def mount(self) -> None:
        if self._fault == "read-only":
            _system("mount", "-o", "loop", str(self._image), str(self.at))
        else:
            options = {"full": "size=4m", "inodes": "size=16m,nr_inodes=400"}[self._fault]
            _system("mount", "-t", "tmpfs", "-o", options, "soak", str(self.at))

    def unmount(self) -> None:
        _system("umount", str(self.at))

    def break_down(self) -> None:
        """Use up the space or the inodes; or let the file system find an error, as of a cable."""
        if self._fault == "read-only":
            _system("mount", "-o", "remount,abort", str(self.at))
            return
        ballast = self.at / "ballast"
        with suppress(OSError):
            if self._fault == "full":
                with ballast.open("wb", buffering=0) as file:
                    while file.write(bytes(4096)):
                        pass
            ballast.mkdir()
            for number in range(1000):
                (ballast / str(number)).touch()

    def mend(self) -> None:
        """Make it usable again. Needs that nobody has it open."""
        if self._fault == "read-only":
            self.unmount()
            subprocess.run(["e2fsck", "-p", str(self._image)], capture_output=True)
            self.mount()
        elif (ballast := self.at / "ballast").is_dir():
            shutil.rmtree(ballast)
        else:
            ballast.unlink(missing_ok=True)


def _system(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def small_disk(scene: Scene, at: Path, fault: str) -> Iterator[Disk]:
    """Mount a small disk; unmount it at the end, its files copied into its mount point.

    Raises:
        Skipped: this machine cannot.
    """
    if os.geteuid():
        raise Skipped("mounting needs root")
    try:
        disk = Disk(at, scene.folder / "disk.img", fault)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Skipped(f"mounting failed: {error}") from error
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(at)], capture_output=True)
        (scene.folder / "disk.img").unlink(missing_ok=True)


def broken_disk(scene: Scene, place: str, fault: str) -> None:
    """Break the disk of a place before or during the first run, and mend it after another one."""
    job, dice = scene.job(), scene.random
    job.submit_slowly("8/s")  # so that it breaks down while items are submitted
    mount = scene.folder / "disk"
    if place == "output":
        job.out = mount / "out"
    elif place == "state":
        job.state = mount / "state"
    else:
        mount = job.out / ".batch" / "logs"
        scene.service.set_faults(*LOGGED)
    with small_disk(scene, mount, fault) as disk:
        early = dice.random() < 0.3
        if early:
            disk.break_down()
        cron_log = mount / "cron.log" if place == "log" and dice.random() < 0.5 else None
        run = job.start(log=cron_log)
        if not early:
            wait_for_submissions(scene.service, run, dice.randrange(1, ITEMS))
            disk.break_down()
        job.end(run)
        _check_first_run(scene, place, early=early)
        if dice.random() < 0.4:
            before = scene.paid()
            job.run()
            scene.check(job.code in (0, 1, 2, 3), f"with a broken disk: {job.code}")
            if early and place == "output":
                scene.check(scene.paid() == before, "submitted with a broken output folder")
        disk.mend()
        if place == "output" and fault == "read-only" and not early:
            disk.unmount()
            before = scene.paid()
            scene.check(job.run() == 2, f"the disk is not mounted: {job.code}")
            scene.check(scene.paid() == before, "submitted although the disk is not mounted")
            disk.mount()
        scene.finish()


def _check_first_run(scene: Scene, place: str, *, early: bool) -> None:
    job = scene.jobs[0]
    code, text = job.code, (job.said or [""])[-1][-600:]
    if early and place != "log":
        scene.check(code in (2, 3), f"started on a broken disk, it exits {code}: {text}")
        scene.check(scene.paid() == 0, "submitted although the disk was broken from the start")
    elif place == "output":
        scene.check(code in (0, 1, 2, 3), f"the disk broke down, it exits {code}: {text}")
    elif not early:
        scene.check(code in (0, 1), f"a run needs no {place}, and exits {code}: {text}")
