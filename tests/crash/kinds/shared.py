"""Several runs at once: of one job, of a copied job, of two jobs with the same items."""

from __future__ import annotations

import shutil

from tests.crash.processes import ITEMS, some_time, wait_for_submissions
from tests.crash.scene import Scene


def two_runs(scene: Scene) -> None:
    """Start one job twice; one of both runs, or both, are killed."""
    job, dice = scene.job(), scene.random
    first = job.start()
    some_time(dice, 0, 0.4)
    second = job.start()
    wait_for_submissions(scene.service, first, dice.randrange(1, ITEMS))
    for run in (first, second):
        if dice.random() < 0.5:
            job.kill(run)
    codes = [job.end(run) for run in (first, second) if run.returncode is None]
    scene.check(set(codes) <= {0, 1, 5}, f"two runs at once exited {codes}")
    scene.finish()


def copied_job(scene: Scene) -> None:
    """Copy the folder of a killed or running job, and run the copy; both at once at the end."""
    job, dice = scene.job(), scene.random
    run = job.start()
    wait_for_submissions(scene.service, run, dice.randrange(1, ITEMS))
    running = dice.random() < 0.5
    if not running:
        job.kill(run)
    copy = scene.job("copy")
    scene.jobs.remove(copy)  # it must never do anything
    copy.manifest.write_text(job.manifest.read_text())
    if dice.random() < 0.5:
        copy.manifest = job.manifest
    # The files one after the other, as `cp -r` does.
    shutil.copytree(
        job.out, copy.out, ignore=lambda folder, names: [n for n in names if n == "parts"]
    )
    if running and dice.random() < 0.5:
        copied = copy.start()
        codes = [copy.end(copied), job.end(run)]
    else:
        codes = [job.end(run)] if running else []
        codes += [copy.run()]
    scene.check(None not in codes, "a run did not end")
    text = copy.said[-1]
    scene.check(copy.code in (2, 3, 5), f"the copy was run and exited {copy.code}: {text[-600:]}")
    scene.finish()


def renamed_job(scene: Scene) -> None:
    """Run two jobs of the same items, one after the other or at once, and kill one."""
    one, other, dice = scene.job(), scene.job("renamed"), scene.random
    for job in (one, other):
        job.deliver_items()
    first = one.start()
    at_once = dice.random() < 0.6
    if at_once:
        some_time(dice, 0, 0.6)
    else:
        wait_for_submissions(scene.service, first, dice.randrange(1, ITEMS))
        if dice.random() < 0.5:
            one.kill(first)
    second = other.start()
    if at_once and dice.random() < 0.7:
        wait_for_submissions(scene.service, first, dice.randrange(1, ITEMS))
        victim, run = dice.choice(((one, first), (other, second)))
        victim.kill(run)
        if dice.random() < 0.4:
            shutil.rmtree(victim.out, ignore_errors=True)
            scene.deleted = True
    for job, run in ((one, first), (other, second)):
        if run.returncode is None:
            code = job.end(run)
            scene.check(
                code in (0, 1, 3), f"{job.manifest.name} exited {code}: {job.said[-1][-600:]}"
            )
    scene.finish()
    scene.check(scene.paid() <= ITEMS, f"{scene.paid()} submissions of {ITEMS} items")
