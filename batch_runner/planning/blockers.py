"""Blockers: what would make a run refuse to start, stop early or leave items out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field

from batch_runner.engine.deadline import seconds_left
from batch_runner.jobdir.lock import lock_owner
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import journal_exists
from batch_runner.planning.estimate import Estimate
from batch_runner.settings import Limits
from batch_runner.util.fs import nearest_existing


@dataclass(frozen=True, slots=True)
class Blocker:
    """A kind of blocker, and the values in its message (see `cli/plan_text.py`)."""

    kind: str
    values: Mapping[str, object] = field(default_factory=dict)


def job_blockers(estimate: Estimate, limits: Limits, *, held: int) -> list[Blocker]:
    """Return the blockers that follow from the limits, and from the number of `held` items."""
    found = []
    if estimate.capped:
        kind = "cap" if estimate.submissions else "cap_reached"
        cap = limits.max_submissions
        values = {"left_out": estimate.capped, "cap": cap, "spent": estimate.spent}
        found.append(Blocker(kind, values))
    left = seconds_left(limits)
    if left is not None and estimate.submissions and left < estimate.seconds:
        found.append(Blocker("deadline", {"left": left, "seconds": estimate.seconds}))
    if held:
        found.append(Blocker("held", {"held": held}))
    return found


def folder_blockers(folder: JobFolder, free_bytes: int) -> list[Blocker]:
    """Return the blockers in the output folder, whose disk needs `free_bytes`. Writes nothing."""
    found = []
    if (owner := lock_owner(folder)) is not None:
        found.append(Blocker("locked", {"owner": owner}))
    if folder.marker.exists() and not journal_exists(folder.journal):
        found.append(Blocker("journal_missing", {"journal": folder.journal}))
    existing = nearest_existing(folder.root)
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        found.append(Blocker("not_writable", {"folder": folder.root}))
    elif (free := shutil.disk_usage(existing).free) < free_bytes:
        values = {"free": free // 1_000_000, "wanted": free_bytes // 1_000_000}
        found.append(Blocker("disk_full", values))
    return found
