"""`plan`: what a run would do, and what it would cost."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from batch_runner.cli.options import (
    examples,
    json_option,
    load_manifest,
    manifest_argument,
    output_folder,
    output_option,
    rehearsal_option,
    say,
    say_json,
)
from batch_runner.cli.settings_flags import effective_settings, settings_flags
from batch_runner.folder import JobFolder
from batch_runner.providers import PROVIDERS
from batch_runner.text import duration, printable

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.plan import Plan
    from batch_runner.settings import Limits


@examples(
    "batch-runner plan jobs/year_of_the_horse.yaml",
    "batch-runner plan jobs/year_of_the_horse.yaml --output out/horse --json",
)
@click.command("plan", short_help="Show what a run would do, and what it would cost.")
@manifest_argument
@output_option
@rehearsal_option
@settings_flags
@json_option
def verb(
    manifest: Path, output: Path | None, *, rehearse: bool, as_json: bool, **flags: Any
) -> int:
    """Show what a run of MANIFEST would do and cost. Sends nothing, writes nothing."""
    from batch_runner.plan import make_plan

    loaded = load_manifest(manifest)
    settings, _ = effective_settings(loaded, flags)
    folder = JobFolder(output_folder(loaded, output, rehearse=rehearse))
    plan = make_plan(loaded.items(), folder, settings.limits)
    prefix = PROVIDERS[loaded.provider][0]
    obstacles = [] if rehearse or _has_key(prefix) else [f"no key: {prefix}_API_KEY is not set"]
    if as_json:
        say_json(_object(plan, folder, obstacles))
    else:
        for line in _lines(plan, folder, settings.limits, obstacles):
            say(line)
    return 0


def _has_key(prefix: str) -> bool:
    return any(os.environ.get(f"{prefix}_API_KEY{end}") for end in ("", "_FILE"))


def _object(plan: Plan, folder: JobFolder, obstacles: list[str]) -> dict[str, Any]:
    return {
        "folder": str(folder.root),
        "items": plan.items,
        "new": plan.new,
        "standing": {status.value: count for status, count in sorted(plan.standing.items())},
        "missing_on_disk": plan.missing,
        "unlisted": plan.unlisted,
        "creates": plan.creates,
        "left_out_by_cap": plan.capped,
        "creates_so_far": plan.spent,
        "seconds_at_this_pace": round(plan.seconds, 3),
        "cost": plan.cost,
        "obstacles": obstacles,
        "first": [
            {"id": spec.id, "name": spec.name, "workflowId": spec.workflow, "params": spec.params}
            for spec in plan.first
        ],
    }


def _lines(plan: Plan, folder: JobFolder, limits: Limits, obstacles: list[str]) -> list[str]:
    lines = [f"{plan.items} items, {plan.new} new; files go to {folder.root}"]
    lines += [f"  {count:6} {status}" for status, count in sorted(plan.standing.items())]
    if plan.missing:
        lines.append(f"  {plan.missing:6} done, but missing on disk: fetched again, not paid again")
    if plan.unlisted:
        lines.append(f"  {plan.unlisted:6} no longer listed: left as they are")
    cost = f", {plan.cost}" if plan.cost else ""
    lines.append(
        f"{plan.creates} creates{cost}, at least {duration(plan.seconds)} at {limits.pace} "
        f"with {limits.in_flight} in flight"
    )
    if plan.capped:
        lines.append(f"{plan.capped} left out by the spend cap of {limits.tasks} creates")
    lines += [f"in the way: {one}" for one in obstacles]
    for spec in plan.first:
        lines.append(f"  {spec.name}: {spec.workflow} {printable(str(spec.params), 160)}")
    return lines
