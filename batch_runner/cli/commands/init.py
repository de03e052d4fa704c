"""`init`: write a first manifest."""

from __future__ import annotations

from pathlib import Path

import click

from batch_runner.cli.confirm import is_interactive
from batch_runner.cli.options import PathType, help_epilog
from batch_runner.cli.output import print_line
from batch_runner.errors import UsageError
from batch_runner.util.locale import tr
from batch_runner.util.paths import utf8_text
from batch_runner.util.text import error_reason

#: Workflow, and node and field of the prompt, by default.
_WORKFLOW, _FIELD = "year_of_the_horse_greeting_card", "6.text"


@help_epilog(
    "batch-runner init cards.yaml",
    "batch-runner init cards.yaml --workflow year_of_the_horse_greeting_card --field 6.text",
    exit_status={
        "0": "The manifest was written.",
        "2": "It was not: the file exists, cannot be written, or an answer is invalid.",
    },
)
@click.command("init")
@click.argument("manifest", type=PathType(dir_okay=False), metavar="MANIFEST")
@click.option(
    "--workflow", help=f"Id of the hosted workflow (default: ask on a terminal, else {_WORKFLOW})."
)
@click.option(
    "--field",
    help="Node and field of the workflow that take the prompt (default: ask on a terminal, else "
    f"{_FIELD}).",
)
def command(manifest: Path, workflow: str | None, field: str | None) -> int:
    """Write a first manifest with comments to the new file MANIFEST."""
    from batch_runner.manifest import starter
    from batch_runner.util.shell import command_line

    if manifest.exists():
        raise UsageError(tr("{manifest} exists; nothing was written", manifest=manifest))
    workflow = workflow or _ask(tr("Workflow id"), _WORKFLOW)
    field = field or _ask(tr("Node and field of the prompt"), _FIELD)
    try:
        text = starter(workflow=workflow, field=field, job=None)
        with manifest.open("x", encoding="utf-8") as file:
            file.write(text)
    except (ValueError, OSError) as error:
        raise UsageError(
            tr("cannot write {manifest}: {error}", manifest=manifest, error=error_reason(error))
        ) from None
    again = command_line("run", [utf8_text(manifest), "--rehearse"])
    print_line(tr("written: {manifest}\ntry it for free: {again}", manifest=manifest, again=again))
    return 0


def _ask(question: str, default: str) -> str:
    """Ask on a terminal; without one, return the default."""
    if not is_interactive():
        return default
    return str(click.prompt(question, default=default, err=True))
