"""`retry`: let the next run submit failed or rejected items again; each may cost money."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from batch_runner.cli.given_job import job_folder
from batch_runner.cli.item_names import SHOWN, ambiguous_text, items_named, prefer_listed
from batch_runner.cli.options import (
    JOURNAL_ERROR,
    LOCKED,
    USAGE_ERROR,
    help_epilog,
    job_argument,
    job_output_option,
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
@job_argument
@click.argument("items", nargs=-1, metavar="[ITEM]…")
@job_output_option
@rehearsal_option
@click.option(
    "--reason", help="Only items that failed for this reason, as `status` shows it in brackets."
)
@click.option("--all", "everything", is_flag=True, help="All failed and rejected items.")
def command(
    manifest: Path | None,
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

    ITEM is an id, a key, or the name of a file, with or without extension; before it, MANIFEST
    cannot be left out.
    """
    if not (items or reason or everything):
        raise UsageError(tr("name items, or use --reason or --all"))
    folder = job_folder(manifest, output, rehearse=rehearse)
    from batch_runner.jobdir.open import open_job

    with open_job(folder.root, None, state=state_folder()) as job:
        with open_reader(folder.journal) as reader:
            failed = list(reader.items(ItemStatus.FAILED, ItemStatus.REJECTED, ItemStatus.DROPPED))
            meant = _named(reader, failed, items) if items else _ended(failed)
        if reason:
            meant = _with_reason(meant, reason)
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
            tr_n(
                "{count} item is no longer listed in the manifest and was left unchanged: a run "
                "submits only what is listed",
                "{count} items are no longer listed in the manifest and were left unchanged: a run "
                "submits only what is listed",
                left,
            ),
            error=True,
        )
    return 0


def _named(reader: JournalReader, failed: list[ItemRow], names: tuple[str, ...]) -> list[ItemRow]:
    """Return the items that are named, each once.

    Raises:
        UsageError: a name means no item, or several.
    """
    found = {name: prefer_listed(items_named(reader, failed, name)) for name in names}
    if unknown := [printable(name, SHOWN) for name, items in found.items() if not items]:
        raise UsageError(
            tr(
                "not failed, rejected or dropped: {unknown}; nothing was changed",
                unknown=tr(", ").join(unknown),
            )
        )
    for name, items in found.items():
        if len(items) > 1:
            raise UsageError(ambiguous_text(name, items))
    return list({items[0].key: items[0] for items in found.values()}.values())


def _ended(failed: list[ItemRow]) -> list[ItemRow]:
    """Return the items that the user has not given up: only its name leads back to such a one."""
    return [item for item in failed if item.status is not ItemStatus.DROPPED]


def _with_reason(items: list[ItemRow], reason: str) -> list[ItemRow]:
    """Return the items that failed for a reason.

    Raises:
        UsageError: there are none.
    """
    if found := [item for item in items if item.reason == reason]:
        return found
    there = sorted({item.reason for item in items if item.reason})
    known = tr("no item has failed")
    if there:
        known = tr("reasons of this job: {reasons}", reasons=tr(", ").join(there))
    raise UsageError(
        tr(
            'no item failed for the reason "{reason}"; {known}',
            reason=printable(reason, SHOWN),
            known=known,
        )
    )
