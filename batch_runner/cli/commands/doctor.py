"""`doctor`: what is wrong with the installation or a coming run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from batch_runner.cli.options import PathType, help_epilog, json_option, output_option
from batch_runner.cli.output import print_json, print_line
from batch_runner.util.locale import current_language, mark_tr, tr, tr_n, use_language
from batch_runner.util.paths import utf8_environment
from batch_runner.util.text import width

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.doctor.checks import Check

#: Names of the checks and levels, for the catalogue.
_WORDS = (
    *(mark_tr("ok"), mark_tr("warning"), mark_tr("problem"), mark_tr("version")),
    *(mark_tr("dependencies"), mark_tr("extras"), mark_tr("locale"), mark_tr("open files")),
    *(mark_tr("environment"), mark_tr("user config"), mark_tr("state folder"), mark_tr("registry")),
    *(mark_tr("schedulers"), mark_tr("linger"), mark_tr("manifest"), mark_tr("settings")),
    *(mark_tr("output folder"), mark_tr("disk space"), mark_tr("job"), mark_tr("notifications")),
    *(mark_tr("address"), mark_tr("key"), mark_tr("proxy"), mark_tr("connection")),
    *(mark_tr("clock"), mark_tr("key accepted"), mark_tr("cluster")),
    mark_tr("cluster clock"),
)
#: Cells of the longest level.
_CELLS = 8


@help_epilog(
    "batch-runner doctor",
    "batch-runner doctor jobs/year_of_the_horse.yaml",
    "batch-runner doctor jobs/year_of_the_horse.yaml --offline --json",
    exit_status={
        "0": "No problem was found; there may be warnings.",
        "2": "A problem was found: a run would be refused or fail; or the command is wrong.",
    },
)
@click.command("doctor")
@click.argument("manifest", type=PathType(), metavar="[MANIFEST]", required=False)
@output_option
@click.option("--offline", is_flag=True, help="Send no request.")
@json_option
def command(manifest: Path | None, output: Path | None, *, offline: bool, as_json: bool) -> int:
    """Check the installation, the key and the connection; with MANIFEST, also its coming run.

    Prints a line for each check: ok, warning or problem, what was seen, and what to do. The key is
    never shown. Nothing lasting is written. Two requests show whether the service can be reached
    and accepts the key; they cost nothing.
    """
    from batch_runner.doctor.checks import Level, Subject
    from batch_runner.doctor.examine import examine

    subject = Subject(
        environment=utf8_environment(), manifest=manifest, output=output, offline=offline
    )
    counts = dict.fromkeys(Level, 0)
    with use_language("en" if as_json else current_language()):
        for check in examine(subject):
            counts[check.level] += 1
            if as_json:
                print_json(_json_object(check))
            else:
                print_line(_line(check))
        if not as_json:
            problems = tr_n("{count} problem", "{count} problems", counts[Level.PROBLEM])
            warnings = tr_n("{count} warning", "{count} warnings", counts[Level.WARNING])
            print_line(f"{problems}, {warnings}", error=True)
    return 2 if counts[Level.PROBLEM] else 0


def _json_object(check: Check) -> dict[str, str]:
    return {
        "check": check.name,
        "level": check.level.value,
        "seen": check.seen,
        "advice": check.advice,
    }


def _line(check: Check) -> str:
    level = tr(check.level.value)
    text = f"{level}{' ' * (_CELLS - width(level))} {tr(check.name)}: {check.seen}"
    return f"{text}; {check.advice}" if check.advice else text
