"""`redo`: let the next run make one more try of done items; each is a submission to be paid."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from batch_runner.api.folders import existing_folder
from batch_runner.api.steps import load_manifest
from batch_runner.cli.item_names import SHOWN, ambiguous_text, find_items, prefer_listed
from batch_runner.cli.options import (
    JOURNAL_ERROR,
    LOCKED,
    USAGE_ERROR,
    help_epilog,
    manifest_argument,
    output_option,
    rehearsal_option,
)
from batch_runner.cli.output import print_line
from batch_runner.config.resolve import resolve_settings
from batch_runner.errors import UsageError
from batch_runner.journal import open_reader
from batch_runner.lifecycle import FILE_DAMAGED, FILE_MISSING, ItemStatus
from batch_runner.manifest.filenames import folded, without_ending
from batch_runner.manifest.job_args import job_arguments
from batch_runner.util.locale import status_word, submissions_text, tr, tr_n
from batch_runner.util.paths import utf8_environment, utf8_text
from batch_runner.util.shell import command_line
from batch_runner.util.text import printable
from batch_runner.util.xdg import state_folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from batch_runner.jobdir.paths import JobFolder
    from batch_runner.journal import ItemRow, JournalReader
    from batch_runner.manifest import Manifest
    from batch_runner.manifest.expand import Redone
    from batch_runner.models import ItemSpec

#: Statuses of items that are not paid for again by `redo`, and the command that continues them.
_COMMANDS = {
    ItemStatus.FAILED: "retry",
    ItemStatus.REJECTED: "retry",
    ItemStatus.DROPPED: "retry",
    ItemStatus.HELD: "resolve",
}


@help_epilog(
    "batch-runner redo jobs/year_of_the_horse.yaml card-7",
    "batch-runner redo jobs/year_of_the_horse.yaml card-7 card-9-2 snow.png",
    exit_status={
        "0": "The tries are noted; the next run submits them.",
        **USAGE_ERROR,
        **JOURNAL_ERROR,
        **LOCKED,
    },
)
@click.command("redo")
@manifest_argument
@click.argument("items", nargs=-1, required=True, metavar="ITEM…")
@output_option
@rehearsal_option
def command(manifest: Path, items: tuple[str, ...], output: Path | None, *, rehearse: bool) -> int:
    """Let the next run make one more try of done items of MANIFEST.

    A try is the next repeat of its item: the same prompt with another {{ seed() }} and {{ n }}, in
    a file of its own, such as card-7-2. The files that are there stay. Nothing is sent now; the
    next run submits the tries, and each is paid for. Called again, one more try is added.

    ITEM is an id, a key, or the name of a file, with or without extension.
    """
    from batch_runner.jobdir.open import open_job

    loaded = load_manifest(manifest)
    settings, _ = resolve_settings(loaded, flags={}, environment=utf8_environment())
    folder = existing_folder(loaded, output, rehearse=rehearse)
    with open_job(folder.root, None, state=state_folder()) as job:
        loaded = loaded.of_job(job.journal.facts())
        with open_reader(folder.journal) as reader:
            chosen = _chosen(reader, items)
            found = _next_repeats(loaded, reader, chosen)
        job.journal.redo((one.first, one.n) for one in found)
    _print_found(chosen, found)
    prices, workflows = settings.limits.price, Counter(one.spec.workflow for one in found)
    total = None if prices is None else prices.cost(workflows)
    cost = submissions_text(len(found))
    if total is not None:
        cost = tr("{submissions}, {cost}", submissions=cost, cost=total.rounded)
    cluster = ["--cluster"] if folder.cluster.exists() else []
    run = command_line("run", _target(manifest, folder, rehearse=rehearse), *cluster)
    print_line(tr("the next run adds {cost}: {command}", cost=cost, command=run))
    return 0


def _target(manifest: Path, folder: JobFolder, *, rehearse: bool) -> list[str]:
    return job_arguments(utf8_text(manifest), folder.root, rehearsal=rehearse)


def _chosen(reader: JournalReader, names: Iterable[str]) -> list[ItemRow]:
    """Return the items that are named, each once.

    Raises:
        UsageError: a name means no item, or several, or one that is not done.
    """
    found = find_items(reader.items(), dict.fromkeys(names))
    meant = {name: prefer_listed(items) for name, items in found.items()}
    for name, items in meant.items():
        if not items:
            raise UsageError(
                tr('no item is named "{name}"; nothing was changed', name=printable(name, SHOWN))
            )
        if len(items) > 1:
            raise UsageError(ambiguous_text(name, items))
    chosen = list({items[0].key: items[0] for items in meant.values()}.values())
    for item in chosen:
        if not _was_done(item):
            raise UsageError(
                tr(
                    "{name} is {status}, not done; for it use `batch-runner {command}`. Nothing "
                    "was changed",
                    name=printable(item.id, SHOWN),
                    status=status_word(item.status),
                    command=_COMMANDS.get(item.status, "run"),
                )
            )
    return chosen


def _was_done(item: ItemRow) -> bool:
    """Return whether an item is done, or was until a person removed its file."""
    return item.status is ItemStatus.DONE or item.reason in (FILE_MISSING, FILE_DAMAGED)


def _next_repeats(manifest: Manifest, reader: JournalReader, chosen: list[ItemRow]) -> list[Redone]:
    """Return the next repeat of each item, of a key and a file name that no item ever had.

    Raises:
        UsageError: an item is not in the manifest any more.
    """
    taken = _Taken()
    for spec in manifest.items():
        taken.add(spec.key, spec.id, spec.name)
    for row in reader.items():
        taken.add(row.key, row.id, row.name, *(without_ending(file.name) for file in row.files))
    found: dict[str, Redone] = {}
    for one in manifest.expansion.redo({item.key for item in chosen}, taken.has):
        taken.add(one.spec.key, one.spec.id, one.spec.name)
        found[one.of] = one
    for item in chosen:
        if item.key not in found:
            raise UsageError(
                tr(
                    "{name} is no longer listed in the manifest, so no run would submit it again: "
                    "restore its line. Nothing was changed",
                    name=printable(item.id, SHOWN),
                )
            )
    return [found[item.key] for item in chosen]


class _Taken:
    """Hashes of keys, ids and names; two that are equal by chance only skip a number."""

    def __init__(self) -> None:
        self._hashes: set[int] = set()

    def add(self, key: str, *names: str) -> None:
        self._hashes.update(map(hash, (key, *map(folded, names))))

    def has(self, spec: ItemSpec) -> bool:
        texts = (spec.key, folded(spec.id), folded(spec.name))
        return not self._hashes.isdisjoint(map(hash, texts))


def _print_found(chosen: list[ItemRow], found: list[Redone]) -> None:
    for item, one in zip(chosen, found, strict=True):
        name, new = printable(item.id, SHOWN), printable(one.spec.id, SHOWN)
        print_line(tr("{name}: one more try, {new}", name=name, new=new))
    same = sum(item.params == one.spec.params for item, one in zip(chosen, found, strict=True))
    if same:
        print_line(
            tr_n(
                "warning: {count} try sends the same request as before, so its picture may be the "
                'same: in params use seed: "{{{{ seed() }}}}"',
                "warning: {count} tries send the same request as before, so their pictures may be "
                'the same: in params use seed: "{{{{ seed() }}}}"',
                same,
            ),
            error=True,
        )
