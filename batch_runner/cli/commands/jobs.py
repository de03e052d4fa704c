"""`jobs`: this user's jobs on this machine, and what they cost."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import click

from batch_runner.cli.options import (
    LOCKED,
    USAGE_ERROR,
    FolderType,
    help_epilog,
    json_option,
)
from batch_runner.errors import UsageError
from batch_runner.util.locale import tr
from batch_runner.util.xdg import state_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batch_runner.jobdir.paths import JobFolder

_REGISTRY_ERROR = {"1": "The registry could not be read or written."}


def _day(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return a local date such as 2026-11-01 in that form."""
    from datetime import date

    if value is None:
        return None
    try:
        return date.fromisoformat(value.strip()).isoformat()
    except ValueError:
        text = tr('"{value}" is not a date such as 2026-11-01', value=value)
        raise click.BadParameter(text, ctx, param) from None


@help_epilog(
    "batch-runner jobs",
    "batch-runner jobs --json | jq .folder",
    "batch-runner jobs --costs --since 2026-11-01",
    "batch-runner jobs move out/horse archive/horse",
    exit_status={"0": "The jobs or costs were printed.", **_REGISTRY_ERROR, **USAGE_ERROR},
)
@click.group("jobs", invoke_without_command=True)
@click.option("--costs", is_flag=True, help="Print what was paid, by day and provider.")
@click.option(
    "--since", callback=_day, metavar="DATE", help="With --costs: the first day (default: all)."
)
@click.option(
    "--until", callback=_day, metavar="DATE", help="With --costs: the last day (default: all)."
)
@json_option
@click.pass_context
def command(
    ctx: click.Context, *, costs: bool, since: str | None, until: str | None, as_json: bool
) -> int:
    """List this user's jobs on this machine, or with --costs what they cost.

    A job is listed from its first run on, the most recently used first: name, items by status,
    submissions and cost, last run, output folder, manifest. Rehearsals are not listed.

    With --costs: each submission that must be assumed paid, at the price that the job's manifest
    gives, on the day it was sent. Held items are counted as paid, and named. Items of a job whose
    folder is gone are counted, without a price.
    """
    if ctx.invoked_subcommand is not None:
        if costs or since or until or as_json:
            raise UsageError(
                tr("write the options after `{command}`", command=ctx.invoked_subcommand)
            )
        return 0
    if (since or until) and not costs:
        raise UsageError(tr("--since and --until need --costs"))
    from batch_runner.cli import jobs_text
    from batch_runner.jobdir.known_jobs import known_jobs

    jobs = known_jobs(state_folder())
    if costs:
        jobs_text.print_costs(jobs, since or "", until or "9999-12-31", as_json=as_json)
    else:
        jobs_text.print_jobs(jobs, as_json=as_json)
    return 0


@help_epilog(
    "batch-runner jobs forget out/horse",
    "batch-runner jobs forget 0f343b0931126a20f133d67c2b018a3b --yes",
    exit_status={
        "0": "The job is forgotten.",
        **_REGISTRY_ERROR,
        **USAGE_ERROR,
        "3": "You answered no. Nothing was changed.",
        **LOCKED,
    },
)
@command.command("forget")
@click.argument("job", metavar="JOB|FOLDER")
@click.option(
    "--with-journal",
    is_flag=True,
    help="Also remove the journal of a cluster job from its database, for good (default: keep it).",
)
@click.option(
    "--yes",
    is_flag=True,
    help="Do not ask first (default: ask on a terminal; elsewhere, refuse).",
)
def forget(job: str, *, with_journal: bool, yes: bool) -> int:
    """Forget a job: its output folder, its id or its name. No file is deleted.

    What the job has paid for is not known any more, so another job may pay for the same items
    again. Refused while items are in flight or held. A job whose folder is still there is known
    again after its next run.
    """
    from batch_runner.cli.confirm import ask, is_interactive
    from batch_runner.cli.jobs_text import forgetting_text
    from batch_runner.cli.output import print_line
    from batch_runner.jobdir import known_jobs

    with known_jobs.writable_registry(state_folder()) as (registry, state):
        record = known_jobs.find_known(registry.jobs(), job)
        known = known_jobs.examine(registry, record)
        known.running = known_jobs.is_running(state, known)
        known_jobs.check_forgettable(known)
        warning = forgetting_text(known)
        remove = _removal(known.folder) if with_journal else None
        if remove is not None:
            warning += tr("; its journal is removed from the database")
        if not yes and not is_interactive():
            raise UsageError(tr("{warning}. If you accept that, add --yes", warning=warning))
        print_line(tr("warning: {text}", text=warning), error=True)
        if not yes and not ask(tr("Forget it? [y/N] ")):
            print_line(tr("nothing was changed"), error=True)
            return 3
        known_jobs.forget_job(registry, state, record)
        if remove is not None:
            remove()
    print_line(tr("forgotten: the job in {folder}", folder=record.folder))
    return 0


def _removal(folder: JobFolder) -> Callable[[], None]:
    """Return what removes the journal of a cluster job from the database.

    Raises:
        UsageError: it is no cluster job, or its database is not known.
    """
    from batch_runner.api.clusters import required_dsn
    from batch_runner.journal.places import schema_of

    schema = schema_of(folder.journal)
    if schema is None:
        raise UsageError(tr("the job in {folder} is not one of a cluster", folder=folder.root))
    dsn = required_dsn()
    from batch_runner.cluster.decisions import remove

    return functools.partial(remove, dsn, schema)


@help_epilog(
    "batch-runner jobs move out/horse archive/horse",
    "batch-runner jobs move out/horse /mnt/big/horse",
    exit_status={
        "0": "The job is in the new folder, and known to be there.",
        **_REGISTRY_ERROR,
        **USAGE_ERROR,
        **LOCKED,
    },
)
@command.command("move")
@click.argument("folder", type=FolderType(), metavar="FOLDER")
@click.argument("new", type=FolderType(), metavar="NEW")
def move(folder: Path, new: Path) -> int:
    """Move the job in FOLDER to NEW, or record that you have moved it there.

    If the job is still in FOLDER, the folder is renamed; NEW must not exist and be on the same file
    system. If you have moved or copied it to NEW and FOLDER is gone, that is recorded, and the next
    run accepts it. The manifest is not changed: give its next run --output NEW, or set
    output.folder.
    """
    from batch_runner.cli.output import print_line
    from batch_runner.jobdir.known_jobs import writable_registry
    from batch_runner.jobdir.moving import move_job
    from batch_runner.util.paths import utf8_text

    with writable_registry(state_folder()) as (registry, state):
        moved = move_job(registry, state, folder, new)
    path = utf8_text(new.absolute())
    recorded = tr("recorded: the job is in {folder}", folder=path)
    print_line(tr("moved to {folder}", folder=path) if moved else recorded)
    return 0


@help_epilog(
    "batch-runner jobs rescan out",
    "batch-runner jobs rescan /mnt/backup --json",
    exit_status={
        "0": "Every job that was found is known.",
        "1": "Some folders were not read: copies, older copies, damaged, running. Or the registry "
        "could not be written.",
        **USAGE_ERROR,
    },
)
@command.command("rescan")
@click.argument("folder", type=FolderType(), metavar="FOLDER")
@json_option
def rescan(folder: Path, *, as_json: bool) -> int:
    """Read the jobs in FOLDER and below it into the registry.

    For a lost registry, or for folders from another machine: what those jobs paid for is known
    then. Nothing in FOLDER is changed. May be repeated.
    """
    from batch_runner.cli.jobs_text import print_found
    from batch_runner.jobdir.known_jobs import writable_registry
    from batch_runner.jobdir.rescan import rescan as find_jobs

    with writable_registry(state_folder()) as (registry, state):
        return print_found(find_jobs(registry, state, folder), folder, as_json=as_json)
