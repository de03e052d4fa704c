"""`report`: write the report of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from batch_runner.cli.garbage_collector import collection_disabled
from batch_runner.cli.options import (
    JOURNAL_ERROR,
    USAGE_ERROR,
    help_epilog,
    job_folder,
    manifest_argument,
    output_option,
    rehearsal_option,
)
from batch_runner.cli.output import print_line
from batch_runner.errors import UsageError
from batch_runner.util.locale import tr
from batch_runner.util.paths import utf8_text

if TYPE_CHECKING:
    from pathlib import Path


@help_epilog(
    "batch-runner report jobs/year_of_the_horse.yaml",
    "batch-runner report jobs/year_of_the_horse.yaml --rehearse",
    exit_status={
        "0": "The report was written; its path is printed.",
        **USAGE_ERROR,
        **JOURNAL_ERROR,
    },
)
@click.command("report")
@manifest_argument
@output_option
@rehearsal_option
def command(manifest: Path, output: Path | None, *, rehearse: bool) -> int:
    """Write the report of MANIFEST's job, index.html in the output folder.

    It is made from the journal, also while a run is working. A run writes it by itself at its end.
    """
    from batch_runner.report import write_report

    folder = job_folder(manifest, output, rehearse=rehearse)
    try:
        with collection_disabled():
            page = write_report(folder.root)
        print_line(utf8_text(page))
    except OSError as error:
        raise UsageError(
            tr("cannot write the report: {strerror}", strerror=error.strerror or error)
        ) from None
    return 0
