"""`schema`: JSON Schema of the manifest, for editors."""

from __future__ import annotations

import json

import click

from batch_runner.cli.options import examples, say


@examples(
    "batch-runner schema > manifest.schema.json",
    "batch-runner schema | python -m json.tool",
)
@click.command("schema", short_help="Print JSON Schema of the manifest, for editors.")
def command() -> int:
    """Print the manifest's JSON Schema (draft 2020-12)."""
    from batch_runner.manifest import python_schema

    say(json.dumps(python_schema(), ensure_ascii=False, indent=2))
    return 0
