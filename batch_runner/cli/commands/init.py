"""`init`: write a first manifest."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from batch_runner.cli.options import examples, say_either
from batch_runner.errors import UsageError
from batch_runner.util.locale import reader_language, wording


@examples(
    "batch-runner init cards.yaml",
    "batch-runner init cards.yaml --workflow year_of_the_horse_greeting_card --field 6.text",
)
@click.command("init", short_help="Write a first manifest that runs.")
@click.argument("manifest", type=click.Path(path_type=Path, dir_okay=False), metavar="MANIFEST")
@click.option("--workflow", help="Id of the hosted workflow.")
@click.option("--field", help="Node and field that take the prompt, such as 6.text.")
def command(manifest: Path, workflow: str | None, field: str | None) -> int:
    """Write MANIFEST, commented for a first reader. Asks for what no flag says, on a terminal."""
    from batch_runner.manifest import starter
    from batch_runner.util.shell import command_line

    if manifest.exists():
        raise UsageError(f"{manifest} exists already; nothing was written")
    language = reader_language(sys.stderr)
    workflow = workflow or _ask(
        wording(language, "Workflow id", "工作流编号"), "year_of_the_horse_greeting_card"
    )
    field = field or _ask(
        wording(language, "Node and field of the prompt", "提示词所在的节点和字段"), "6.text"
    )
    try:
        text = starter(workflow=workflow, field=field, job=None)
        with manifest.open("x", encoding="utf-8") as file:
            file.write(text)
    except (ValueError, OSError) as error:
        raise UsageError(f"{manifest} cannot be written: {error}") from None
    again = command_line("run", [str(manifest), "--rehearse"])
    say_either(
        f"written: {manifest}\ntry it for free: {again}", f"已写入：{manifest}\n免费试运行：{again}"
    )
    return 0


def _ask(question: str, default: str) -> str:
    """Ask on a terminal; without one the default is the answer."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return default
    return str(click.prompt(question, default=default, err=True))
