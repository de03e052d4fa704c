"""`export`: copy the files that were chosen on the page, with their prompts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from batch_runner.journal import JournalReader
from batch_runner.lifecycle import ItemStatus

if TYPE_CHECKING:
    from batch_runner.folder import JobFolder
    from batch_runner.journal import ItemRow


@examples("batch-runner export jobs/year_of_the_horse.yaml --picks picks.json --to ~/chosen")
@click.command("export", short_help="Copy chosen files with their prompts.")
@manifest_argument
@output_option
@rehearsal_option
@click.option(
    "--picks",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The choice as the page exports it (JSON), or a list of item ids, one a line.",
)
@click.option("--to", type=click.Path(path_type=Path), required=True, help="Folder to copy to.")
def verb(manifest: Path, output: Path | None, *, rehearse: bool, picks: Path, to: Path) -> int:
    """Copy the chosen files of MANIFEST's job, with a prompts.json beside them."""
    folder = job_folder(manifest, output, rehearse=rehearse)
    names = _names(picks)
    with JournalReader(folder.journal) as reader:
        chosen = [one for one in reader.items(ItemStatus.DONE) if {one.key, one.id} & names]
    if not chosen:
        raise UsageError(f"no item that is done is named in {picks}; nothing was copied")
    try:
        copied = _copy(folder, chosen, to)
    except OSError as error:
        raise UsageError(f"{to} cannot be written: {error}") from None
    say(f"{copied} files copied to {to}")
    return 0


def _names(picks: Path) -> set[str]:
    """Return the keys and ids that were chosen.

    Raises:
        UsageError: the file cannot be read as either form.
    """
    try:
        text = picks.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{picks} cannot be read: {error}") from None
    if not text.lstrip().startswith(("{", "[")):
        return {line.strip() for line in text.splitlines() if line.strip()}
    try:
        content = json.loads(text)
        found = content["picks"] if isinstance(content, dict) else content
        return {str(one["key"]) for one in found if one.get("favourite", True)}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"{picks} is not a choice as the page exports it") from None


def _copy(folder: JobFolder, chosen: list[ItemRow], to: Path) -> int:
    to.mkdir(parents=True, exist_ok=True)
    prompts: list[dict[str, Any]] = []
    copied = 0
    for item in chosen:
        for file in item.files:
            shutil.copy2(folder.root / file.name, to / file.name)
            copied += 1
        names = [file.name for file in item.files]
        prompts.append({"id": item.id, "files": names, "prompt": item.prompt})
    text = json.dumps(prompts, ensure_ascii=False, indent=2)
    (to / "prompts.json").write_text(text + "\n", "utf-8")
    return copied
