"""`report`: write the page about a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from batch_runner.cli.options import (
    examples,
    job_folder,
    manifest_argument,
    output_option,
    rehearsal_option,
    say,
)
from batch_runner.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@examples("batch-runner report jobs/year_of_the_horse.yaml")
@click.command("report", short_help="Write the page about a job.")
@manifest_argument
@output_option
@rehearsal_option
def command(manifest: Path, output: Path | None, *, rehearse: bool) -> int:
    """Write index.html about MANIFEST's job, from its journal; safe beside a run."""
    from batch_runner.report import write_report

    folder = job_folder(manifest, output, rehearse=rehearse)
    try:
        say(str(write_report(folder.root)))
    except OSError as error:
        raise UsageError(f"the report cannot be written: {error}") from None
    return 0
