"""`schema`: the JSON Schema of the manifest, for editors."""

from __future__ import annotations

import json

import click

from batch_runner.cli.options import help_epilog
from batch_runner.cli.output import print_line


@help_epilog(
    "batch-runner schema > manifest.schema.json",
    "batch-runner schema | python -m json.tool",
    exit_status={"0": "The schema was printed.", "2": "The command is wrong."},
)
@click.command("schema")
def command() -> int:
    """Print the JSON Schema of the manifest (draft 2020-12), for editors."""
    from batch_runner.manifest import python_schema

    print_line(json.dumps(python_schema(), ensure_ascii=False, indent=2))
    return 0
