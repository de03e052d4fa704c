"""What `run` does after the last item: report, summary, notifications."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from batch_runner.api import steps
from batch_runner.cli.garbage_collector import collection_disabled
from batch_runner.cli.output import print_json, print_line, warning_object
from batch_runner.errors import JournalError
from batch_runner.util.locale import tr, use_language
from batch_runner.util.paths import utf8_text
from batch_runner.util.text import error_reason

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.cli.commands.run import RunOptions
    from batch_runner.engine.summary import RunSummary


def ping_end(options: RunOptions, summary: RunSummary) -> None:
    """Ping the end of the run while its log file is open."""
    text = _sentence(options, summary, _seconds_of_job(options.root, summary))
    options.companions.heartbeat.end(text, failed=bool(summary.exit_code))


def finish(options: RunOptions, summary: RunSummary) -> None:
    """Write the report, print the summary, send notifications. Never fails the run."""
    from batch_runner.integrations.notify import send_notifications

    page = options.root / "index.html"
    try:
        with collection_disabled():
            page = steps.write_run_report(options.root, summary)
    except Exception as error:  # noqa: BLE001  the exit status is that of the run
        print_line(
            tr("the report could not be written: {error}", error=error_reason(error)), error=True
        )
    seconds = _seconds_of_job(options.root, summary)
    sentence = _sentence(options, summary, seconds)
    if options.as_json:
        print_json(_summary_object(options, summary, seconds))
    elif not options.quiet or summary.exit_code:
        _print_summary(options, summary, sentence, page)
    send_notifications(
        options.manifest.on_finish,
        summary,
        sentence,
        report=page,
        folder=options.manifest.path.absolute().parent,
        rehearsal=options.service is None,
        secrets=options.service.secrets if options.service else (),
    )


def _sentence(options: RunOptions, summary: RunSummary, seconds: float) -> str:
    from batch_runner.report import summary_sentence

    return summary_sentence(
        summary.counts,
        submissions=summary.spent,
        cost=summary.cost_of_job,
        seconds=seconds,
        stopped=summary.stop.message if summary.stop else None,
    )


def _seconds_of_job(root: Path, summary: RunSummary) -> float:
    """Return the seconds of all runs, as the report has them."""
    from batch_runner.jobdir.paths import JobFolder
    from batch_runner.journal import open_reader
    from batch_runner.report import total_seconds

    try:
        with open_reader(JobFolder(root).journal) as reader:
            return total_seconds(reader.runs(), time.time())
    except JournalError:  # lost during the run
        return summary.seconds


def _print_summary(options: RunOptions, summary: RunSummary, sentence: str, page: Path) -> None:
    from batch_runner.api.folders import shown_place
    from batch_runner.manifest.job_args import job_arguments
    from batch_runner.monitor.progress import summary_lines
    from batch_runner.report import effort_text

    manifest = utf8_text(options.manifest.path.absolute())
    target = job_arguments(manifest, options.root, rehearsal=options.service is None)
    effort = effort_text(summary.paid, summary.cost, summary.seconds)
    items = options.companions.items
    commands = items.text() if items else None
    for line in (
        tr("this run: {effort}", effort=effort),
        tr("whole job: {sentence}", sentence=sentence),
        *([commands] if commands else []),
        *summary_lines(summary, shown_place(options.manifest, options.root), target),
        *(_cluster_lines(summary, target) if options.cluster else ()),
        tr("report: {page}", page=page),
    ):
        print_line(line, error=options.quiet)


def _cluster_lines(summary: RunSummary, target: list[str]) -> list[str]:
    """Return how to go on with a cluster job whose run did not end."""
    from batch_runner.util.shell import command_line

    reason = summary.stop.reason if summary.stop else ""
    run = command_line("run", target, "--cluster")
    folder = target[target.index("--output") + 1] if "--output" in target else target[0]
    if reason == "signal":
        stop = command_line("cluster", ["stop", folder])
        return [tr("the workers go on; follow them: {run}; stop them: {stop}", run=run, stop=stop)]
    if reason == "restored":
        approve = command_line("cluster", ["approve", folder])
        return [
            tr(
                "restore the newest state of the database, or see what may be paid twice: "
                "{command}",
                command=approve,
            )
        ]
    return []


def _summary_object(
    options: RunOptions, summary: RunSummary, seconds_of_job: float
) -> dict[str, Any]:
    with use_language("en"):
        warnings = [warning_object(each) for each in options.manifest.warnings()]
    items = options.companions.items
    return {
        "event": "summary",
        "exit_code": int(summary.exit_code),
        "folder": utf8_text(options.root),
        "items": {status.value: count for status, count in summary.counts.items()},
        "selected": summary.selected
        and {status.value: count for status, count in summary.selected.items()},
        "not_selected": summary.not_selected,
        "submissions": summary.paid,
        "submit_requests": summary.submissions,
        "submissions_of_job": summary.spent,
        "reused": summary.reused,
        "cost": summary.cost,
        "cost_of_job": summary.cost_of_job,
        "polls": summary.polls,
        "limited": summary.limited,
        "seconds": round(summary.seconds, 3),
        "seconds_of_job": round(seconds_of_job, 3),
        "stopped": summary.stop.reason if summary.stop else None,
        "message": summary.stop.message if summary.stop else None,
        "on_item": items.figures() if items else None,
        "warnings": warnings,
    }
