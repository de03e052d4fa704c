"""Blockers, which make a run refuse, and warnings, which the user should know."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batch_runner.engine.deadline import seconds_left
from batch_runner.errors import Problem
from batch_runner.jobdir.lock import lock_owner
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.result_folders import find_blocked
from batch_runner.journal import journal_exists
from batch_runner.planning.estimate import Estimate
from batch_runner.settings import Limits
from batch_runner.util.fs import nearest_existing
from batch_runner.util.locale import items_text, mark_tr, submissions_text, tr
from batch_runner.util.text import duration, printable

#: Text of each kind; the others have one as their value `message`.
_MESSAGES = {
    # Blockers.
    "locked": mark_tr("another run is working on the job: {owner}"),
    "journal_missing": mark_tr("the journal {journal} is missing, so a run would submit nothing"),
    "not_writable": mark_tr("{folder} cannot be written"),
    "result_folder": mark_tr(
        "results cannot be stored in {path}, which is a link or not a folder; remove or rename it"
    ),
    "disk_full": mark_tr(
        "only {free} MB of disk space are free; below {wanted} MB nothing is submitted"
    ),
    "no_price": mark_tr(
        "limits.max_cost needs the price of every item, and limits.price has none for {workflows}"
    ),
    # Warnings.
    "cost_cap": mark_tr("the cap of {limit} leaves out {items}"),
    "cost_cap_reached": mark_tr(
        "the cap of {limit} is reached; none is sent (raise limits.max_cost)"
    ),
    "cap": mark_tr("the cap of {submissions} leaves out {items}"),
    "cap_reached": mark_tr(
        "the cap of {submissions} is reached; none is sent (raise limits.max_submissions)"
    ),
    "deadline": mark_tr(
        "the run stops after {left}, and all items take about {seconds}; the next run continues"
    ),
    "held": mark_tr(
        "{items} held, may have been paid: `batch-runner resolve` lists what you can decide"
    ),
    "no_home": mark_tr(
        "neither XDG_STATE_HOME nor HOME is set: items that another job has paid for cannot be "
        "recognised"
    ),
    "paid_again": mark_tr(
        "{items} are paid for again: the job in {folder} has submitted them (reuse: never)"
    ),
    "paid_again_for": mark_tr(
        "{items} are paid for again, {cost}: the job in {folder} has submitted them (reuse: never)"
    ),
    "origin": mark_tr(
        "the job has used the service at {origin} so far, and the configured one is {configured}"
    ),
}


@dataclass(frozen=True, slots=True)
class Blocker:
    """A blocker or a warning: its kind, and the values in its message."""

    kind: str
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """Return it as a sentence in the current language."""
        if isinstance(problem := self.values.get("problem"), Problem):
            return str(problem)
        if self.kind not in _MESSAGES:
            return printable(str(self.values["message"]), 1000)
        texts = {
            name: duration(value) if isinstance(value, float) else value
            for name, value in self.values.items()
        }
        if isinstance(count := texts.get("count"), int):
            texts["items"] = items_text(count)
        if isinstance(cap := texts.get("cap"), int):
            texts["submissions"] = submissions_text(cap)
        return printable(tr(_MESSAGES[self.kind], **texts), 1000)


def manifest_warnings(problems: Iterable[Problem]) -> list[Blocker]:
    """Return what in a manifest may be a mistake, each with its location."""
    return [Blocker("manifest", {"problem": problem}) for problem in problems]


def job_warnings(estimate: Estimate, limits: Limits, *, held: int) -> list[Blocker]:
    """Return the warnings that follow from the limits, and from the number of `held` items."""
    found = []
    if estimate.capped:
        kind = "cap" if estimate.submissions else "cap_reached"
        values = {"count": estimate.capped, "spent": estimate.spent}
        if estimate.cap == "cost":
            found.append(Blocker(f"cost_{kind}", {**values, "limit": limits.max_cost}))
        else:
            found.append(Blocker(kind, {**values, "cap": limits.max_submissions}))
    left = seconds_left(limits)
    if left is not None and estimate.submissions and left < estimate.seconds:
        found.append(Blocker("deadline", {"left": left, "seconds": estimate.seconds}))
    if held:
        found.append(Blocker("held", {"count": held}))
    return found


def result_folder_blockers(root: Path, folders: Iterable[str]) -> list[Blocker]:
    """Return a blocker if results cannot be stored in one of these folders below `root`."""
    blocked = find_blocked(root, folders)
    return [] if blocked is None else [Blocker("result_folder", {"path": blocked})]


def price_blockers(workflows: Sequence[str]) -> list[Blocker]:
    """Return a blocker if `workflows` have no price and `limits.max_cost` needs it."""
    named = ", ".join(printable(name, 60) for name in workflows)
    return [Blocker("no_price", {"workflows": named})] if workflows else []


def folder_blockers(folder: JobFolder, free_bytes: int) -> list[Blocker]:
    """Return the blockers in the output folder, whose disk needs `free_bytes`. Writes nothing."""
    found = []
    if (owner := lock_owner(folder)) is not None:
        found.append(Blocker("locked", {"owner": owner}))
    if folder.marker.exists() and not journal_exists(folder.journal):
        found.append(Blocker("journal_missing", {"journal": folder.journal}))
    existing = nearest_existing(folder.root)
    if (path := _unwritable(folder, existing)) is not None:
        found.append(Blocker("not_writable", {"folder": path}))
    elif (free := shutil.disk_usage(existing).free) < free_bytes:
        values = {"free": free // 1_000_000, "wanted": free_bytes // 1_000_000}
        found.append(Blocker("disk_full", values))
    return found


def _unwritable(folder: JobFolder, existing: Path) -> Path | None:
    """Return what a run has to write and cannot; None if it can write everything."""
    if not _is_writable_folder(existing):
        return folder.root
    for path in (folder.batch, folder.parts, folder.logs):
        if os.path.lexists(path) and (path.is_symlink() or not _is_writable_folder(path)):
            return path
    for path in (folder.journal, folder.lock, folder.marker, folder.fallback_log):
        if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
            return path
    return None


def _is_writable_folder(path: Path) -> bool:
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)
