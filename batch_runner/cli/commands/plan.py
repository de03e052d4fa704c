"""`plan`: what a run would do and what it would cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from batch_runner.api.steps import load_manifest, output_folder
from batch_runner.cli.options import (
    JOURNAL_ERROR,
    USAGE_ERROR,
    help_epilog,
    json_option,
    manifest_argument,
    output_option,
    rehearsal_option,
)
from batch_runner.cli.output import print_json, print_line, warning_object
from batch_runner.cli.settings_flags import given_flags, settings_flags, warn_about_service
from batch_runner.config.resolve import resolve_settings
from batch_runner.util.paths import utf8_environment, utf8_text

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.journal import ItemSummary
    from batch_runner.planning.plan import Plan


@help_epilog(
    "batch-runner plan jobs/year_of_the_horse.yaml",
    "batch-runner plan jobs/year_of_the_horse.yaml --rate 2/s --in-flight 50",
    "batch-runner plan jobs/year_of_the_horse.yaml --output out/horse --json",
    exit_status={
        "0": "The plan was printed, also if it names something that would stop a run.",
        **USAGE_ERROR,
        **JOURNAL_ERROR,
    },
)
@click.command("plan")
@manifest_argument
@output_option
@rehearsal_option
@settings_flags
@json_option
def command(
    manifest: Path, output: Path | None, *, rehearse: bool, as_json: bool, **flags: Any
) -> int:
    """Show what a run of MANIFEST would do, what it would cost and how long it would take.

    Sends nothing and writes nothing.
    """
    from batch_runner.api.jobs import plan_job
    from batch_runner.cli.plan_text import plan_lines
    from batch_runner.util.locale import current_language, use_language

    with use_language("en" if as_json else current_language()):  # warnings are part of the plan
        loaded = load_manifest(manifest)
    settings, _ = resolve_settings(loaded, flags=given_flags(flags), environment=utf8_environment())
    if not rehearse:
        warn_about_service(loaded.provider, settings.network)
    folder = output_folder(loaded, output, rehearse=rehearse)
    with use_language("en" if as_json else current_language()):  # errors are part of the plan
        plan = plan_job(loaded, settings=settings, output=output, rehearse=rehearse)
        if as_json:
            print_json(_json_object(plan, loaded.job, folder))
    if not as_json:
        for line in plan_lines(plan, loaded.job, folder, settings.limits):
            print_line(line)
    return 0


def _json_object(plan: Plan, job: str, folder: Path) -> dict[str, Any]:
    from batch_runner.cli.plan_text import blocker_text

    estimate = plan.estimate
    return {
        "job": job,
        "folder": utf8_text(folder),
        "items": plan.items,
        "new": plan.new,
        "changed": plan.changed,
        "in_flight": plan.in_flight,
        "statuses": {status.value: count for status, count in sorted(plan.statuses.items())},
        "missing_on_disk": plan.missing,
        "unlisted": plan.unlisted,
        "submissions": estimate.submissions,
        "left_out_by_cap": estimate.capped,
        "submissions_so_far": estimate.spent,
        "cost": estimate.cost,
        "seconds": round(estimate.seconds, 3),
        "seconds_by_rate": round(estimate.by_rate, 3),
        "seconds_by_in_flight": _rounded(estimate.by_in_flight),
        "seconds_per_task": _rounded(estimate.task),
        "warnings": [warning_object(each) for each in plan.warnings],
        "blockers": [{"kind": each.kind, "message": blocker_text(each)} for each in plan.blockers],
        "first": [
            {"id": spec.id, "name": spec.name, "workflowId": spec.workflow, "params": spec.params}
            for spec in plan.first
        ],
        "replacing": [
            {"id": spec.id, "name": spec.name, "earlier": _summary(old)}
            for spec, old in plan.replacing
        ],
        "named": {kind: [_summary(one) for one in those] for kind, those in plan.named.items()},
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _summary(one: ItemSummary) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "status": one.status.value,
        "reason": one.reason,
        "message": one.message,
        "files": [file.name for file in one.files],
    }
