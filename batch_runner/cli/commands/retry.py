"""`retry`: let the next run submit failed or rejected items again; each may cost money."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from batch_runner.cli.item_names import items_named
from batch_runner.cli.options import (
    JOURNAL_ERROR,
    LOCKED,
    USAGE_ERROR,
    help_epilog,
    job_folder,
    manifest_argument,
    output_option,
    rehearsal_option,
)
from batch_runner.cli.output import print_line
from batch_runner.errors import UsageError
from batch_runner.journal import Change, open_reader
from batch_runner.lifecycle import Event, ItemStatus
from batch_runner.util.locale import tr, tr_n
from batch_runner.util.text import printable
from batch_runner.util.xdg import state_folder

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.journal import ItemRow, JournalReader


@help_epilog(
    "batch-runner retry jobs/year_of_the_horse.yaml --all",
    "batch-runner retry jobs/year_of_the_horse.yaml --reason service-failed",
    "batch-runner retry jobs/year_of_the_horse.yaml card-7 card-9",
    exit_status={
        "0": "The items will be submitted again by the next run.",
        **USAGE_ERROR,
        **JOURNAL_ERROR,
        **LOCKED,
    },
)
@click.command("retry")
@manifest_argument
@click.argument("items", nargs=-1, metavar="[ITEM]…")
@output_option
@rehearsal_option
@click.option(
    "--reason", help="Only items that failed for this reason, as `status` shows it in brackets."
)
@click.option("--all", "everything", is_flag=True, help="All failed and rejected items.")
def command(
    manifest: Path,
    items: tuple[str, ...],
    output: Path | None,
    *,
    rehearse: bool,
    reason: str | None,
    everything: bool,
) -> int:
    """Let the next run submit failed or rejected items of MANIFEST again.

    Whether the service charges for a failed task is not known: each may cost money again.
    Dropped items are submitted again only if they are named.
    """
    if not (items or reason or everything):
        raise UsageError(tr("name items, or use --reason or --all"))
    folder = job_folder(manifest, output, rehearse=rehearse)
    from batch_runner.jobdir.open import open_job

    with open_job(folder.root, None, state=state_folder()) as job:
        with open_reader(folder.journal) as reader:
            failed = list(reader.items(ItemStatus.FAILED, ItemStatus.REJECTED, ItemStatus.DROPPED))
            meant = _named(reader, items, failed) if items else _failed_for(reason, failed)
        if reason and not meant:
            _raise_unknown_reason(reason, failed)
        chosen = [item for item in meant if item.listed]
        for item in chosen:
            job.journal.apply(Change(key=item.key, event=Event.RETRIED))
    print_line(
        tr_n(
            "{count} item will be submitted again by the next run",
            "{count} items will be submitted again by the next run",
            len(chosen),
        )
    )
    if left := len(meant) - len(chosen):
        print_line(
            tr(
                "{count} no longer listed in the manifest, left unchanged; what replaced them is "
                "submitted as new items",
                count=left,
            ),
            error=True,
        )
    return 0


def _failed_for(reason: str | None, failed: list[ItemRow]) -> list[ItemRow]:
    """Return those that failed for the reason, or for any; without those the user gave up."""
    ended = (item for item in failed if item.status is not ItemStatus.DROPPED)
    return [item for item in ended if reason in (None, item.reason)]


def _raise_unknown_reason(reason: str, failed: list[ItemRow]) -> None:
    ended = (item for item in failed if item.status is not ItemStatus.DROPPED)
    there = sorted({item.reason for item in ended if item.reason})
    known = tr("no item has failed")
    if there:
        known = tr("reasons of this job: {reasons}", reasons=", ".join(there))
    raise UsageError(
        tr(
            "no item failed for the reason {reason!r}; {known}",
            reason=printable(reason, 60),
            known=known,
        )
    )


def _named(reader: JournalReader, names: tuple[str, ...], failed: list[ItemRow]) -> list[ItemRow]:
    """Return the items with these names, each once.

    Raises:
        UsageError: there is none with one of the names.
    """
    found = {name: items_named(reader, failed, name) for name in names}
    if unknown := [name for name, those in found.items() if not those]:
        raise UsageError(
            tr(
                "not failed, rejected or dropped: {unknown}; nothing was changed",
                unknown=", ".join(unknown),
            )
        )
    return [*{item.key: item for those in found.values() for item in those}.values()]
