"""`plan`: what a run would do and what it would cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from batch_runner.api.folders import output_folder, shown_place
from batch_runner.api.steps import load_manifest
from batch_runner.cli.confirm import is_interactive
from batch_runner.cli.options import (
    JOURNAL_ERROR,
    help_epilog,
    json_option,
    manifest_argument,
    output_option,
    rehearsal_option,
    selection_options,
    take_selection,
)
from batch_runner.cli.output import print_json, print_line, warning_object
from batch_runner.cli.settings_flags import given_flags, settings_flags, warn_about_service
from batch_runner.config.resolve import resolve_settings
from batch_runner.errors import Problem
from batch_runner.util.paths import utf8_environment, utf8_text

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.journal import ItemSummary
    from batch_runner.planning.blockers import Blocker
    from batch_runner.planning.plan import Plan


@help_epilog(
    "batch-runner plan jobs/year_of_the_horse.yaml",
    "batch-runner plan jobs/year_of_the_horse.yaml --rate 2/s --in-flight 50",
    "batch-runner plan jobs/year_of_the_horse.yaml --sample 5 --seed 1",
    "batch-runner plan jobs/year_of_the_horse.yaml --output out/horse --json",
    "batch-runner plan jobs/year_of_the_horse.yaml --detailed-exitcode",
    exit_status={
        "0": "The plan was printed, also if it names something that would make a run refuse. With "
        "--detailed-exitcode: a run would submit nothing.",
        "2": "The command, a setting or the manifest is wrong. With --detailed-exitcode also: a "
        "run would refuse.",
        **JOURNAL_ERROR,
        "6": "With --detailed-exitcode: a run would submit items.",
    },
)
@click.command("plan")
@manifest_argument
@output_option
@rehearsal_option
@selection_options
@settings_flags
@click.option(
    "--detailed-exitcode",
    is_flag=True,
    help="Exit with status 0 if a run would submit nothing, 6 if it would submit items, 2 if it "
    "would refuse (default: 0).",
)
@json_option
def command(
    manifest: Path,
    output: Path | None,
    *,
    rehearse: bool,
    detailed_exitcode: bool,
    as_json: bool,
    **flags: Any,
) -> int:
    """Show what a run of MANIFEST would do, what it would cost and how long it would take.

    Sends nothing and writes nothing. What would make a run refuse is shown as blocked; a warning
    does not.
    """
    from batch_runner.api.jobs import plan_job
    from batch_runner.cli.plan_text import plan_lines
    from batch_runner.util.locale import current_language, use_language

    selection = take_selection(flags)
    with use_language("en" if as_json else current_language()):  # warnings are part of the plan
        loaded = load_manifest(manifest)
    settings, _ = resolve_settings(loaded, flags=given_flags(flags), environment=utf8_environment())
    if not rehearse:
        warn_about_service(loaded.provider, settings.network)
    folder = output_folder(loaded, output, rehearse=rehearse)
    with use_language("en" if as_json else current_language()):  # errors are part of the plan
        plan = plan_job(
            loaded,
            settings=settings,
            output=output,
            rehearse=rehearse,
            attended=is_interactive() and not as_json,
            select=selection,
        )
        if as_json:
            print_json(_json_object(plan, loaded.job, folder))
    if not as_json:
        for line in plan_lines(plan, loaded.job, shown_place(loaded, folder), settings):
            print_line(line)
    return _detailed_status(plan) if detailed_exitcode else 0


def _detailed_status(plan: Plan) -> int:
    """Return the exit status of --detailed-exitcode."""
    if plan.blockers:
        return 2
    return 6 if plan.estimate.submissions else 0


def _json_object(plan: Plan, job: str, folder: Path) -> dict[str, Any]:
    estimate = plan.estimate
    return {
        "job": job,
        "folder": utf8_text(folder),
        "items": plan.items,
        "new": plan.new,
        "changed": plan.changed,
        "in_flight": plan.in_flight,
        "statuses": {status.value: count for status, count in sorted(plan.statuses.items())},
        "reuse": [
            {"action": one.action.value, "folder": one.folder, "items": one.count}
            for one in plan.reuse
        ],
        "missing_on_disk": plan.missing,
        "unlisted": plan.unlisted,
        "selected": plan.selected,
        "submissions": estimate.submissions,
        "left_out_by_cap": estimate.capped,
        "submissions_so_far": estimate.spent,
        "cost": estimate.cost,
        "seconds": round(estimate.seconds, 3),
        "seconds_by_rate": round(estimate.by_rate, 3),
        "seconds_by_in_flight": _rounded(estimate.by_in_flight),
        "seconds_per_task": _rounded(estimate.task),
        "blockers": [{"kind": one.kind, "message": one.message} for one in plan.blockers],
        "warnings": [_warning_object(one) for one in plan.warnings],
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


def _warning_object(warning: Blocker) -> dict[str, Any]:
    """Return a warning; one of the manifest has its location."""
    problem = warning.values.get("problem")
    place = warning_object(problem) if isinstance(problem, Problem) else {}
    return {"kind": warning.kind, "message": warning.message, **place}


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
