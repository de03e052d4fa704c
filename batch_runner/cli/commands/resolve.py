"""`resolve`: decide about items whose submission was never answered."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import click

from batch_runner.cli.cancelling import ServiceCancel
from batch_runner.cli.given_job import find_job
from batch_runner.cli.item_names import SHOWN, ambiguous_text, items_named
from batch_runner.cli.options import (
    JOURNAL_ERROR,
    LOCKED,
    USAGE_ERROR,
    help_epilog,
    job_argument,
    job_output_option,
    json_option,
    rehearsal_option,
)
from batch_runner.cli.output import print_line
from batch_runner.cli.resolve_text import decided_text, show_held
from batch_runner.errors import UsageError
from batch_runner.journal import Change, JournalReader, open_reader
from batch_runner.journal.base import JobStore, TaskIdTaken
from batch_runner.lifecycle import (
    FILE_DAMAGED,
    FILE_MISSING,
    Event,
    ItemStatus,
)
from batch_runner.providers import PROVIDERS
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path
from batch_runner.util.text import printable
from batch_runner.util.xdg import state_folder

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.jobdir.paths import JobFolder
    from batch_runner.journal import ItemRow, JobRow

_DECISIONS = ("attach", "resubmit", "drop", "hold")


@help_epilog(
    "batch-runner resolve jobs/year_of_the_horse.yaml",
    "batch-runner resolve jobs/year_of_the_horse.yaml card-7 attach TASK_ID",
    "batch-runner resolve jobs/year_of_the_horse.yaml card-7 resubmit",
    "batch-runner resolve jobs/year_of_the_horse.yaml card-7 drop --cancel",
    "batch-runner resolve jobs/year_of_the_horse.yaml card-7 hold",
    exit_status={
        "0": "The decision was recorded, or no item needs one.",
        "1": "The items shown need a decision, or were not cancelled.",
        **USAGE_ERROR,
        **JOURNAL_ERROR,
        **LOCKED,
    },
)
@click.command("resolve")
@job_argument
@click.argument("item", required=False, metavar="[ITEM|all]")
@click.argument("decision", required=False, type=click.Choice([*_DECISIONS]))
@click.argument("task_id", required=False, metavar="[TASK_ID]")
@click.option("--cancel", is_flag=True, help="With drop: cancel the task at the service first.")
@job_output_option
@rehearsal_option
@json_option
def command(
    manifest: Path | None,
    item: str | None,
    decision: str | None,
    task_id: str | None,
    output: Path | None,
    *,
    cancel: bool,
    rehearse: bool,
    as_json: bool,
) -> int:
    """List the held items of MANIFEST, or decide about one of them or all.

    An item is held when it was submitted but no response arrived: it may have been paid for. Look
    for its task in the service's own console at the time shown. Then decide. `attach TASK_ID` uses
    the task found there; nothing is paid again. `resubmit` submits the item again; it may be paid
    twice. `drop` gives the item up. With --cancel its task is cancelled at the service first, also
    that of an item whose task is running; an item whose task cannot be cancelled is not dropped.

    Where the service knows submissions by ids that a run chooses, the next run settles what it can
    by itself (`help promise`).

    An item whose files could not be obtained, or that has a wrong task id attached, can be decided
    about by its name, too. If the wrong task has completed, `hold` makes the item held again and
    moves its files to .batch/removed; then decide about it.

    ITEM is an id, a key, or the name of a file, with or without extension; before it, MANIFEST
    cannot be left out.
    """
    job = find_job(manifest, output, rehearse=rehearse)
    folder = job.folder
    if cancel and decision != "drop":
        raise UsageError(tr("--cancel is for `drop`"))
    if item is None:
        return show_held(folder, as_json=as_json)
    if decision is None:
        raise UsageError(tr("a decision is missing: attach TASK_ID, resubmit, drop or hold"))
    service = ServiceCancel(job.manifest, rehearse=rehearse) if cancel else None
    decided = _decide(folder, item, decision, task_id, service)
    if decided.changed or not decided.left:
        print_line(decided_text(decision, decided.changed))
    return 1 if decided.left else 0


class _Decided(NamedTuple):
    changed: int
    left: int = 0  # not cancelled, and so not dropped


def _decide(
    folder: JobFolder, name: str, decision: str, task_id: str | None, service: ServiceCancel | None
) -> _Decided:
    from batch_runner.jobdir.open import open_job
    from batch_runner.jobdir.removed import move_out

    if (decision == "attach") != (task_id is not None):
        raise UsageError(tr("`attach` requires TASK_ID; the other decisions take none"))
    if decision == "hold" and name == "all":
        raise UsageError(tr("`hold` is for one item; name it instead of 'all'"))
    identity = None if service is None else service.identity
    with open_job(folder.root, identity, state=state_folder()) as job:
        with open_reader(folder.journal) as reader:
            candidates = _candidates(reader, name, decision, running=service is not None)
            recorded = reader.job()
        if task_id is not None:
            _check_task_id(recorded, task_id)
        chosen = _chosen(candidates, name, decision)
        if task_id is not None and len(chosen) > 1:
            raise UsageError(tr("a task id belongs to one item; name the item instead of 'all'"))
        if service is not None:
            drop = functools.partial(_drop, job.journal)
            dropped = service.cancel(chosen, drop)
            return _Decided(dropped, len(chosen) - dropped)
        for item in chosen:
            for file in item.files if decision == "hold" else ():
                move_out(folder, file.name, item.key, to="removed")
            try:
                job.journal.apply(_change(item, decision, task_id))
            except TaskIdTaken as error:
                raise UsageError(tr("{error}; nothing was changed", error=error)) from None
    return _Decided(len(chosen))


def _check_task_id(job: JobRow, task_id: str) -> None:
    """Refuse what is no task id of the job's provider, if its pattern is known."""
    if job.manifest:
        PROVIDERS.add_manifest(Utf8Path(job.manifest))
    info = PROVIDERS.get(job.provider)
    if info is not None and not info.task_id_pattern.fullmatch(task_id):
        raise UsageError(
            tr(
                '"{task_id}" is not a task id of {provider}',
                task_id=printable(task_id, 60),
                provider=job.provider,
            )
        )


def _drop(journal: JobStore, item: ItemRow) -> None:
    journal.apply(_change(item, "drop", None))


def _candidates(reader: JournalReader, name: str, decision: str, *, running: bool) -> list[ItemRow]:
    """Return the items that the decision may be about; `running`: also those with a running task.

    Raises:
        UsageError: the item of this name is done, or dropped, failed or rejected.
    """
    if decision == "hold":
        return items_named(reader, reader.items(ItemStatus.DONE), name)
    held = list(reader.items(ItemStatus.HELD))
    if name == "all":
        return held
    found = items_named(reader, held + _correctable(reader, name, running=running), name)
    if not found and items_named(reader, reader.items(ItemStatus.DONE), name):
        raise UsageError(
            tr(
                "{name} is done. If its files are not of this item, use `hold` first, which "
                "moves them to .batch/removed; then decide",
                name=printable(name, 60),
            )
        )
    ended = reader.items(ItemStatus.DROPPED, ItemStatus.FAILED, ItemStatus.REJECTED)
    if not found and (others := items_named(reader, ended, name)):
        raise UsageError(
            tr(
                "{name} is {status}, not held: `batch-runner retry` lets the next run submit it "
                "again",
                name=printable(name, 60),
                status=tr(others[0].status.value),
            )
        )
    return found


def _correctable(reader: JournalReader, name: str, *, running: bool) -> list[ItemRow]:
    """Return the items of this name whose files were not obtained or whose task id was attached.

    They are `submitted`: opening a job makes every `download_pending` item so. `running`: also
    those whose task may be running.
    """
    named = items_named(reader, reader.items(ItemStatus.SUBMITTED), name)
    return [one for one in named if running or _was_not_obtained(one) or _was_attached(reader, one)]


def _was_not_obtained(item: ItemRow) -> bool:
    return item.reason is not None and item.reason not in (FILE_MISSING, FILE_DAMAGED)


def _was_attached(reader: JournalReader, item: ItemRow) -> bool:
    by_user = (Event.ATTACHED.value, Event.CORRECTED.value)
    attached = (one for one in reader.events(item.key) if one.event in by_user)
    return any(one.task_id == item.task_id for one in attached)


def _chosen(candidates: list[ItemRow], name: str, decision: str) -> list[ItemRow]:
    """Return the items to decide about, of those with this name, or of all for `all`."""
    if name == "all" and any(item.id == "all" for item in candidates):
        raise UsageError(
            tr("'all' is ambiguous because an item has that id; pass item keys (see --json)")
        )
    chosen = candidates
    if not chosen and name != "all":
        raise UsageError(
            tr('no item that needs a decision is named "{name}"', name=printable(name, SHOWN))
        )
    if len(chosen) > 1 and name != "all":
        raise UsageError(ambiguous_text(name, chosen))
    if decision != "resubmit":
        return chosen
    unlisted = [item.id for item in chosen if not item.listed]
    if unlisted and name != "all":
        raise UsageError(
            tr(
                "{unlisted} is no longer listed in the manifest, so it would not be submitted: "
                "restore its line in the manifest, or drop it",
                unlisted=printable(unlisted[0], 60),
            )
        )
    if unlisted:
        names = printable(", ".join(unlisted), 200)
        line = tr("no longer listed in the manifest, not changed: {names}", names=names)
        print_line(line, error=True)
    return [item for item in chosen if item.listed]


def _change(item: ItemRow, decision: str, task_id: str | None) -> Change:
    if decision == "attach":
        event = Event.ATTACHED if item.status is ItemStatus.HELD else Event.CORRECTED
        return Change(key=item.key, event=event, task_id=task_id)
    if decision == "resubmit":
        return Change(key=item.key, event=Event.RESUBMITTED)
    if decision == "hold":
        message = f"was done with task {item.task_id}; taken back by the user"
        return Change(key=item.key, event=Event.REOPENED, reason="reopened", message=message)
    message = "dropped by the user"
    return Change(key=item.key, event=Event.DROPPED, reason="dropped", message=message)
