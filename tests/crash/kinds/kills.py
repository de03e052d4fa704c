"""Kills at random times while the service fails, with and without uploads."""

from __future__ import annotations

import re

from tests.crash.processes import some_time
from tests.crash.scene import Scene

FAULTS = (
    *("reset:submit", "lose_answer:submit", "http_late:submit", "half_json:submit"),
    *("garbage:submit", "limited:submit:retry_after=1", "http:submit:status=503"),
    *("no_task_id:submit", "moderation:submit", "fail:submit", "cancel:submit", "slow:submit"),
    *("close:status", "http:status", "html:status", "null:status", "word:status", "forget:status"),
    *("backwards:status", "not_ready:result", "no_urls:result", "expired_url:result"),
    *("cut:download", "cut_closed:download", "bit_flip:download", "empty_file:download"),
    *("html_as_png:download", "short_file:download", "missing:download", "reset:download"),
)
UPLOAD_FAULTS = (
    *("reset:upload", "lose_answer:upload", "close_late:upload", "half_json:upload"),
    *("http:upload:status=503", "limited:upload:retry_after=1", "html:upload", "null:upload"),
    *("no_data:upload", "hang:upload", "garbage:upload", "delay:upload", "echo:upload"),
)


def killed_runs(scene: Scene) -> None:
    """Kill some runs of a job whose service fails."""
    job, dice = scene.job(), scene.random
    job.deliver_items()
    _set_faults(scene, FAULTS, dice.randint(0, 3), rate=0.3)
    for _ in range(dice.randint(1, 4)):
        run = job.start()
        some_time(dice, 0.3, 3.0)
        job.kill(run)
    scene.finish()


def uploads(scene: Scene) -> None:
    """Upload two input files, with faults and a kill; every submission names the right one."""
    job, dice = scene.job(), scene.random
    photos = [scene.folder / f"photo-{n}.jpg" for n in range(2)]
    for n, photo in enumerate(photos):
        photo.write_bytes(b"\xff\xd8 a photo %d \xff\xd9" % n)
    manifest = job.manifest.read_text()
    manifest = manifest.replace("}}\nlimits", '}, "9": {image: "{{ photo }}"}}\nlimits')
    manifest = re.sub(r"prompt: horse (\d*)(\d)", _with_photo, manifest)
    job.manifest.write_text(
        manifest.replace("prompts:\n", "files: {photo: 'photo-{{ shot }}.jpg'}\nprompts:\n")
    )
    _set_faults(scene, UPLOAD_FAULTS, dice.randint(2, 4), rate=dice.choice((0.3, 0.8)))
    for _ in range(dice.randint(0, 2)):
        run = job.start()
        some_time(dice, 0.5, 4.0)
        job.kill(run)
    code = job.end(job.start(), 60)
    scene.check(code in (0, 1, 3, 4), f"a run whose uploads fail exits {code}")
    scene.finish()
    _check_uploads(scene)


def _with_photo(match: re.Match[str]) -> str:
    return f"{match[0]}, shot: {int(match[2]) % 2}"


def _check_uploads(scene: Scene) -> None:
    ledger = scene.service.ledger()
    photos = {one["path"]: one["name"] for one in ledger["uploads"]}
    for one in ledger["submissions"]:
        number = int(one["params"]["6"]["text"].split()[-1])
        image = str(one["params"]["9"]["image"])
        stored = next((path for path in photos if path in image), None)
        scene.check(stored is not None, f"horse {number} was submitted with {image!r}")
        if stored is not None:
            scene.check(
                f"photo-{number % 2}" in photos[stored], f"horse {number}: {photos[stored]}"
            )


def _set_faults(scene: Scene, faults: tuple[str, ...], count: int, *, rate: float) -> None:
    drawn = scene.random.sample(faults, count)
    scene.counts["faults"] += count
    scene.service.set_faults(*(f"{fault}:rate={rate}" for fault in drawn))
