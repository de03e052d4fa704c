"""`init`: write a first manifest, or copy an example."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batch_runner.cli.confirm import is_interactive
from batch_runner.cli.examples import EXAMPLES, example_file
from batch_runner.cli.options import PathType, help_epilog
from batch_runner.cli.output import print_line
from batch_runner.cli.workflow_questions import is_workflow_file, manifest_of_workflow
from batch_runner.errors import UsageError
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, utf8_text
from batch_runner.util.text import error_reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@help_epilog(
    "batch-runner init cards.yaml",
    "batch-runner init cards.yaml --workflow year_of_the_horse_greeting_card --field 6.text",
    "batch-runner init cards.yaml --workflow cards_workflow.json",
    "batch-runner init --example list",
    "batch-runner init --example csv",
    exit_status={
        "0": "The files were written, or the examples listed.",
        "2": "Nothing was written: a file exists or cannot be written, or an option is wrong.",
        "3": "Nothing was written: you answered no, or the input ended.",
    },
)
@click.command("init")
@click.argument("manifest", type=PathType(dir_okay=False), metavar="[MANIFEST]", required=False)
@click.option(
    "--workflow",
    help="Id of the hosted workflow, or a workflow file of ComfyUI in API format, FILE.json, whose "
    "inputs it lists (default: ask on a terminal, else year_of_the_horse_greeting_card).",
)
@click.option(
    "--field",
    help="Node and field of the workflow that take the prompt, such as 6.text (default: ask on a "
    "terminal, else as in the service's documents).",
)
@click.option(
    "--example",
    type=click.Choice(["list", *EXAMPLES]),
    help="Write this example, and the files it reads, to MANIFEST (default: NAME.yaml). 'list' "
    "lists them.",
)
@click.option("--yes", is_flag=True, help="Write without asking (default: ask on a terminal).")
def command(
    manifest: Path | None,
    workflow: str | None,
    field: str | None,
    example: str | None,
    yes: bool,  # noqa: FBT001  click passes it by name
) -> int:
    """Write a first manifest with comments to the new file MANIFEST, or an example.

    On a terminal it asks for what is not given, and shows what it will write. It overwrites
    nothing.
    """
    if example == "list":
        for name, shown in EXAMPLES.items():
            print_line(f"{name:<{max(map(len, EXAMPLES))}}  {tr(shown.about)}")
        return 0
    if example:
        if workflow or field:
            raise UsageError(tr("--example takes neither --workflow nor --field"))
        manifest = manifest or Utf8Path(f"{example}.yaml")
    elif manifest is None and workflow and is_workflow_file(workflow):
        manifest = Utf8Path(Utf8Path(workflow).name).with_suffix(".yaml")
    elif manifest is None:
        raise UsageError(tr("name the file to write, such as cards.yaml"))
    _refuse_existing([manifest])  # before any question
    if example:
        files = _example(manifest, example)
    elif workflow and is_workflow_file(workflow):
        files = manifest_of_workflow(manifest, Utf8Path(workflow), field, asks=_asks(yes=yes))
    else:
        files = _first_manifest(manifest, workflow, field)
    _refuse_existing(files)
    if _asks(yes=yes) and not _is_approved(manifest, files):
        print_line(tr("nothing was written"), error=True)
        return 3
    _write(files)
    _report_written(manifest, files)
    return 0


def _asks(*, yes: bool) -> bool:
    return is_interactive() and not yes


def _example(manifest: Path, name: str) -> dict[Path, bytes]:
    """Return path → content of the files of an example, the manifest first."""
    files = {manifest: example_file(f"{name}.yaml")}
    return files | {manifest.parent / file: example_file(file) for file in EXAMPLES[name].files}


def _first_manifest(manifest: Path, workflow: str | None, field: str | None) -> dict[Path, bytes]:
    """Ask for what is not given; return path → content of a manifest and of the photo it reads."""
    from batch_runner.manifest.starter import DEFAULT_WORKFLOW, SAMPLE_PHOTO, WORKFLOWS, starter

    asks = is_interactive()
    workflow = workflow or (_ask_workflow() if asks else DEFAULT_WORKFLOW)
    known = WORKFLOWS.get(workflow)
    usual = known.prompt if known else None
    field = field or (_ask_field(usual) if asks else usual)
    if field is None:
        raise UsageError(
            tr("name the field of the prompt in {workflow}: --field NODE.FIELD", workflow=workflow)
        )
    try:
        files = {manifest: starter(workflow=workflow, field=field).encode()}
    except ValueError as error:
        raise UsageError(str(error)) from None
    if known and known.photo:
        files[manifest.parent / SAMPLE_PHOTO] = example_file(SAMPLE_PHOTO)
    return files


def _ask_workflow() -> str:
    """Return a workflow of the service's documents, chosen by its number, or the id of another."""
    from batch_runner.manifest.starter import WORKFLOWS

    print_line(tr("Workflows in the service's documents:"), error=True)
    ids = list(WORKFLOWS)
    for number, (workflow, known) in enumerate(WORKFLOWS.items(), 1):
        fields = tr("prompt in {prompt}", prompt=known.prompt)
        if known.photo:
            fields = tr(
                "prompt in {prompt}, photo in {photo}", prompt=known.prompt, photo=known.photo
            )
        print_line(f"  {number}  {workflow}: {tr(known.about)}; {fields}", error=True)

    def chosen(answer: str) -> str:
        if answer.strip() in map(str, range(1, len(ids) + 1)):
            return ids[int(answer) - 1]
        if not re.fullmatch(r"(?!\d{1,3}$)\S+", answer.strip()):
            raise click.BadParameter(
                tr("wanted a number from 1 to {count}, or an id without spaces", count=len(ids))
            )
        return answer.strip()

    question = tr("Workflow (a number, or the id of another one)")
    return str(click.prompt(question, default="1", value_proc=chosen, err=True))


def _ask_field(usual: str | None) -> str:
    from batch_runner.manifest.starter import split_field

    def checked(answer: str) -> str:
        try:
            return ".".join(split_field(answer))
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    question = tr("Node and field of the prompt")
    return str(click.prompt(question, default=usual, value_proc=checked, err=True))


def _refuse_existing(paths: Iterable[Path]) -> None:
    for path in paths:
        if os.path.lexists(path):
            raise UsageError(tr("{path} exists; nothing was written", path=path))


def _is_approved(manifest: Path, files: Mapping[Path, bytes]) -> bool:
    """Show the manifest and the names of the other files; ask whether to write them."""
    print_line(f"\n{files[manifest].decode()}", error=True)
    question = tr("Write {paths}?", paths=_listed(files))
    return click.confirm(question, default=True, err=True)


def _write(files: Mapping[Path, bytes]) -> None:
    """Write new files, or none of them."""
    written: list[Path] = []
    for path, content in files.items():
        try:
            if written:  # the manifest's folder must exist; those of its files are made
                path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                written.append(path)
                file.write(content)
        except OSError as error:
            for one in written:
                one.unlink()
            reason = error_reason(error)
            raise UsageError(
                tr("cannot write {manifest}: {error}", manifest=path, error=reason)
            ) from None


def _report_written(manifest: Path, files: Mapping[Path, bytes]) -> None:
    from batch_runner.util.shell import command_line

    print_line(tr("written: {paths}", paths=_listed(files)))
    again = command_line("run", [utf8_text(manifest), "--rehearse"])
    print_line(tr("try it for free: {again}", again=again))


def _listed(paths: Iterable[Path]) -> str:
    return ", ".join(f"{path}" for path in paths)
