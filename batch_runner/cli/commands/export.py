"""`export`: copy the files chosen in the report, with their prompts."""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batch_runner.cli.given_job import job_folder
from batch_runner.cli.item_names import ambiguous_text, find_items, prefer_listed
from batch_runner.cli.options import (
    JOURNAL_ERROR,
    USAGE_ERROR,
    PathType,
    help_epilog,
    job_argument,
    job_output_option,
    rehearsal_option,
)
from batch_runner.cli.output import print_line
from batch_runner.errors import UsageError
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import FolderResults, Results, results_of
from batch_runner.journal import open_reader
from batch_runner.lifecycle import ItemStatus
from batch_runner.storage.verify import find_damage
from batch_runner.util.fs import link_new, replace_file
from batch_runner.util.locale import tr, tr_n
from batch_runner.util.text import error_reason, printable

if TYPE_CHECKING:
    from batch_runner.journal import ItemRow
    from batch_runner.models import PlacedFile

#: The file with the prompts, beside the copied files.
PROMPTS = "prompts.json"


@help_epilog(
    "batch-runner export jobs/year_of_the_horse.yaml --picks picks.json --to ~/chosen",
    "batch-runner export jobs/year_of_the_horse.yaml --picks ids.txt --to ~/chosen",
    exit_status={
        "0": "All chosen files were copied, or were there already.",
        "1": "Some were not copied; each is named.",
        **USAGE_ERROR,
        **JOURNAL_ERROR,
    },
)
@click.command("export")
@job_argument
@job_output_option
@rehearsal_option
@click.option(
    "--picks",
    type=PathType(dir_okay=False),
    metavar="FILE",
    required=True,
    help="Picks file exported from the report (JSON), or a list, one per line, of item ids, keys, "
    "file names (with or without extension), or numbers such as #7 from a shared page.",
)
@click.option(
    "--to",
    type=PathType(),
    metavar="FOLDER",
    required=True,
    help="Folder to copy to; created if missing.",
)
def command(
    manifest: Path | None, output: Path | None, *, rehearse: bool, picks: Path, to: Path
) -> int:
    """Copy the chosen files of MANIFEST's job, and write their prompts to prompts.json beside them.

    Nothing is overwritten. If another file has one of the names, nothing is copied.
    """
    folder = job_folder(manifest, output, rehearse=rehearse)
    notes = _notes(picks)
    with open_reader(folder.journal) as reader:
        found = find_items(reader.items(ItemStatus.DONE), notes.keys())
    meant = {name: prefer_listed(items) for name, items in found.items()}
    chosen = list({items[0].key: items[0] for items in meant.values() if len(items) == 1}.values())
    ambiguous = {name: items for name, items in meant.items() if len(items) > 1}
    if not chosen and not ambiguous:
        raise UsageError(tr("{picks} names no item that is done; nothing was copied", picks=picks))
    results = results_of(folder)
    is_there = functools.cache(functools.partial(_is_there, results))
    try:
        copied = _copy(results, chosen, is_there, notes, to)
    except OSError as error:
        raise UsageError(
            tr("cannot write to {to}: {strerror}", to=to, strerror=error.strerror or error)
        ) from None
    print_line(
        tr_n(
            "{count} file copied to {folder}; the prompts are in {prompts}",
            "{count} files copied to {folder}; the prompts are in {prompts}",
            copied,
            folder=to,
            prompts=to / PROMPTS,
        )
    )
    for name, items in ambiguous.items():
        print_line(tr("not copied: {reason}", reason=ambiguous_text(name, items)), error=True)
    unknown = [name for name, items in meant.items() if not items]
    for name in sorted(unknown):
        print_line(
            tr("not copied: {name} is not an item that is done", name=printable(name)), error=True
        )
    missing = [file.name for one in chosen for file in one.files if not is_there(file)]
    for name in missing:
        print_line(
            tr("not copied: {name} is missing or changed; see `verify`", name=printable(name)),
            error=True,
        )
    return 1 if unknown or ambiguous or missing else 0


def _notes(picks: Path) -> dict[str, str]:
    """Return the chosen keys, ids or file names, each with its note ("" without one).

    Raises:
        UsageError: the file has neither of the two forms.
    """
    try:
        text = picks.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            tr("cannot read {picks}: {error}", picks=picks, error=error_reason(error))
        ) from None
    names = {line.strip(): "" for line in text.splitlines() if line.strip()}
    if not text.lstrip().startswith(("{", "[")):
        return names
    try:
        content = json.loads(text)
        found = content["picks"] if isinstance(content, dict) else content
        favourites = [one for one in found if one.get("favourite", True)]
        return {str(one["key"]): str(one.get("note") or "") for one in favourites}
    except json.JSONDecodeError:  # a list whose first id begins with a bracket
        return names
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(
            tr("{picks} is not a picks file exported from the report", picks=picks)
        ) from None


def _is_there(results: Results, file: PlacedFile) -> bool:
    return _stays_inside(file.name) and find_damage(results, file) is None


def _stays_inside(name: str) -> bool:
    """Return whether a name means a file below any folder; the journal may have been edited."""
    return all(part not in ("", ".", "..") for part in name.split("/"))


def _copy(
    results: Results,
    chosen: list[ItemRow],
    is_there: Callable[[PlacedFile], bool],
    notes: dict[str, str],
    to: Path,
) -> int:
    """Copy the files that are there; return how many: none if another file has one of the names.

    Raises:
        UsageError: another file has one of the names.
        OSError: `to` cannot be written.
    """
    found = (file for item in chosen for file in item.files if is_there(file))
    files = dict.fromkeys(found)
    to.mkdir(parents=True, exist_ok=True)
    wanted = dict.fromkeys(file for file in files if not os.path.lexists(to / file.name))
    for file in files:
        if file not in wanted and find_damage(FolderResults(JobFolder(to)), file) is not None:
            raise UsageError(
                tr("{to} exists and is another file; nothing was copied", to=to / file.name)
            )
    prompts = _known_prompts(to / PROMPTS)
    for file in wanted:
        (to / file.name).parent.mkdir(parents=True, exist_ok=True)
        with results.local(file) as source:
            _copy_atomically(source, to / file.name)
    for item in chosen:
        names = [file.name for file in item.files if file in files]
        entry = {"key": item.key, "id": item.id, "files": names, "prompt": item.prompt}
        if note := notes.get(item.key):
            entry["note"] = note
        prompts[item.key] = entry
    text = json.dumps(list(prompts.values()), ensure_ascii=False, indent=2)
    with replace_file(to / PROMPTS, durable=False) as out:
        out.write(f"{text}\n".encode("utf-8", "backslashreplace"))
    return len(wanted)


def _copy_atomically(source: Path, target: Path) -> None:
    """Copy a file. The target name never holds a part of it."""
    part = target.with_name(f".export.{os.getpid()}")
    try:
        shutil.copyfile(source, part)  # not `copy`: the umask sets the mode
        times = source.stat()
        os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))
        if not link_new(part, target):
            raise FileExistsError(f"{target} exists")
    finally:
        part.unlink(missing_ok=True)


def _known_prompts(path: Path) -> dict[str, dict[str, Any]]:
    """Return the prompts of an earlier export by item key, which are kept.

    Raises:
        UsageError: the file was not written by an export.
    """
    if not os.path.lexists(path):
        return {}
    try:
        return {str(one["key"]): one for one in json.loads(path.read_text("utf-8"))}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UsageError(
            tr("{path} exists and was not written by `export`; nothing was copied", path=path)
        ) from None
