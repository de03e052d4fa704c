"""`verify`: every file against what was recorded of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from batch_runner.cli.options import (
    examples,
    folder_of,
    json_option,
    load_manifest,
    manifest_argument,
    output_option,
    rehearsal_option,
    say,
    say_either,
    say_json,
)
from batch_runner.journal import Change, open_reader
from batch_runner.lifecycle import FILE_DAMAGED, Event, ItemStatus
from batch_runner.storage.verify import find_damage
from batch_runner.util.fs import truncate_file_name
from batch_runner.util.locale import status_word
from batch_runner.util.text import counted
from batch_runner.util.xdg import state_folder

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.jobdir.paths import JobFolder
    from batch_runner.journal import ItemRow, ManifestDiff
    from batch_runner.manifest import Manifest

#: Why an item that no run has seen is not whole: English, Chinese.
_NEW = ("listed, and not run yet", "已列出，尚未运行过")


@examples(
    "batch-runner verify jobs/year_of_the_horse.yaml",
    "batch-runner verify jobs/year_of_the_horse.yaml --deep",
    "batch-runner verify jobs/year_of_the_horse.yaml --fetch",
)
@click.command("verify", short_help="Check every file against what was recorded.")
@manifest_argument
@output_option
@rehearsal_option
@click.option("--deep", is_flag=True, help="Decode every pixel as well (slow).")
@click.option(
    "--fetch",
    is_flag=True,
    help="Set damaged files aside, and let the next run fetch them again by task id, unpaid.",
)
@json_option
def command(
    manifest: Path,
    output: Path | None,
    *,
    rehearse: bool,
    deep: bool,
    fetch: bool,
    as_json: bool,
) -> int:
    """Check every item of MANIFEST: exit 0 only when each one's files are whole and unchanged."""
    loaded = load_manifest(manifest)
    folder = folder_of(loaded, output, rehearse=rehearse)
    whole = 0
    damaged: list[ItemRow] = []
    with open_reader(folder.journal) as reader:
        now = reader.compared(loaded.items(), loaded.fingerprint())
        total = _say_new(now, loaded, as_json=as_json) if now and now.new else 0
        for item in reader.items():
            listed = now.lists(item.row) if now else item.listed
            if not (listed or item.files):
                continue
            total += 1
            why = _wrong(folder, item, deep=deep)
            whole += why is None
            if as_json:
                say_json(
                    {"id": item.id, "status": item.status.value, "ok": why is None, "why": why}
                )
            elif why:
                _say_wrong(item, why)
            if why and item.status is ItemStatus.DONE:
                damaged.append(item)
    if fetch and damaged:
        _let_fetch(folder, damaged)
    if not as_json:
        say_either(f"{whole} of {counted(total, 'item')} whole", f"{total} 项中有 {whole} 项完好")
    return 0 if whole == total else 1


def _say_new(now: ManifestDiff, manifest: Manifest, *, as_json: bool) -> int:
    """Name what no run has seen, and return how many; the list is gone through once more."""
    count = 0
    for one in now.differences(manifest.items()):
        if one.status is not None:
            continue
        count += 1
        name, (en, zh) = one.spec.id, _NEW
        if as_json:
            say_json({"id": name, "status": "new", "ok": False, "why": en})
        else:
            say_either(f"{name}: {en}", f"{name}：{zh}")
    return count


def _say_wrong(item: ItemRow, why: str) -> None:
    if item.status is ItemStatus.DONE:
        say(f"{item.id}: {why}")
    else:
        say_either(f"{item.id}: {why}", f"{item.id}：{status_word(item.status, 'zh')}")


def _wrong(folder: JobFolder, item: ItemRow, *, deep: bool) -> str | None:
    """Return what is wrong with an item as a sentence, None when its files are whole."""
    if item.status is not ItemStatus.DONE:
        return f"not done, but {item.status.value}"
    found = (find_damage(folder, file, deep=deep) for file in item.files)
    return next((why for why in found if why), None)


def _let_fetch(folder: JobFolder, items: list[ItemRow]) -> None:
    """Set damaged files aside under `.batch`, and mark their items as to be fetched again."""
    from batch_runner.jobdir.open import open_job

    aside = folder.batch / "damaged"
    with open_job(folder.root, None, state=state_folder()) as job:
        aside.mkdir(exist_ok=True, mode=0o700)
        count = job.requeued  # those that were missing
        for item in items:
            if job.journal.status_of(item.key) is not ItemStatus.DONE:
                continue
            for file in item.files:
                path = folder.root / file.name
                if find_damage(folder, file) and path.is_file() and not path.is_symlink():
                    path.rename(_free_place(aside, file.name, f".{item.key[:8]}"))
            event = Event.FILE_MISSING
            job.journal.apply(Change(key=item.key, event=event, reason=FILE_DAMAGED))
            count += 1
    say_either(
        f"{counted(count, 'item')} will be fetched again by the next run, without paying",
        f"下次运行会重新取回 {count} 项，不再计费",
        error=True,
    )


def _free_place(folder: Path, name: str, tail: str) -> Path:
    """Return a path in `folder` that nothing has yet, with a number where the first is taken."""
    number, place = 1, folder / truncate_file_name(name, tail)
    while place.exists():
        number += 1
        place = folder / truncate_file_name(name, f"{tail}.{number}")
    return place
