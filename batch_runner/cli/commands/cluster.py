"""`cluster`: the database by which several hosts work on the same jobs, and what they do."""

from __future__ import annotations

import shlex
import socket
from typing import TYPE_CHECKING

import click

from batch_runner.api.clusters import required_dsn
from batch_runner.cli.options import USAGE_ERROR, PathType, help_epilog, json_option
from batch_runner.cli.output import print_line
from batch_runner.errors import UsageError
from batch_runner.util.locale import tr

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.jobdir.paths import JobFolder


def _refuse(arguments: list[str]) -> None:
    """Refuse arguments without showing them: one may be a connection string with a password."""
    if arguments:
        raise UsageError(
            tr(
                "`cluster` takes no connection string as an argument, where other users see it; "
                "set BATCH_RUNNER_CLUSTER, or BATCH_RUNNER_CLUSTER_FILE to a file that holds it"
            )
        )


class _ClusterGroup(click.Group):
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        _refuse([word for word in args[:1] if ":" in word or "=" in word])
        return super().resolve_command(ctx, args)


@help_epilog(
    "batch-runner cluster init",
    "batch-runner cluster status",
    "batch-runner cluster stop jobs/year_of_the_horse.yaml",
    exit_status={"0": "The subcommand says what it means.", **USAGE_ERROR},
)
@click.group("cluster", cls=_ClusterGroup)
def command() -> None:
    """Set up or look at the PostgreSQL database by which several hosts work on the same jobs.

    Its connection string is in the variable BATCH_RUNNER_CLUSTER, in the file that
    BATCH_RUNNER_CLUSTER_FILE names, or in the file cluster of the config folder
    (~/.config/batch-runner). Needs the extra `cluster`.
    """


@help_epilog(
    "batch-runner cluster init",
    exit_status={"0": "The database is set up.", **USAGE_ERROR},
)
@command.command("init", context_settings={"allow_extra_args": True})
@click.pass_context
def init(ctx: click.Context) -> int:
    """Make or migrate the tables of the cluster, in the schema batch_runner. May be repeated.

    Stop all workers before the tables are migrated for a newer version of this program.
    """
    _refuse(ctx.args)
    dsn = required_dsn()
    _warn_of_file()
    from batch_runner.cli.cluster_text import database_lines
    from batch_runner.cluster.schema import Outcome, init_cluster

    outcome, database = init_cluster(dsn)
    print_line(
        {
            Outcome.MADE: tr("the database is set up: its schema batch_runner is new"),
            Outcome.MIGRATED: tr("the database is set up: its schema batch_runner was migrated"),
            Outcome.UNCHANGED: tr("the database is set up: nothing had to be changed"),
        }[outcome]
    )
    for line in database_lines(database)[:2]:
        print_line(line)
    return 0


def _warn_of_file() -> None:
    from batch_runner.journal.cluster_dsn import dsn_file
    from batch_runner.util.paths import utf8_environment, utf8_text
    from batch_runner.util.secret_files import is_readable_by_others

    environment = utf8_environment()
    path = dsn_file(environment)
    if path is None or environment.get("CREDENTIALS_DIRECTORY") or not is_readable_by_others(path):
        return
    quoted = shlex.quote(utf8_text(path))
    text = tr(
        "other users may read the connection string; protect it with chmod 600 {path}", path=quoted
    )
    print_line(tr("warning: {text}", text=text), error=True)


@help_epilog(
    "batch-runner cluster status",
    "batch-runner cluster status --json | jq 'select(.kind == \"job\") | .workers[]'",
    exit_status={"0": "What is going on was printed.", **USAGE_ERROR},
)
@command.command("status", context_settings={"allow_extra_args": True})
@json_option
@click.pass_context
def status(ctx: click.Context, *, as_json: bool) -> int:
    """Show the database, the jobs and their workers.

    For each job: its items by status, the shards (up to 500 items each) that are left, the rate of
    submissions, why it is stopped or paused. For each worker: when it was last seen, the shards it
    holds, its tasks in flight. A worker that waits for a job is not shown.
    """
    _refuse(ctx.args)
    dsn = required_dsn()
    from batch_runner.cli.cluster_text import print_overview
    from batch_runner.cluster.overview import look

    print_overview(look(dsn), as_json=as_json)
    return 0


_job_argument = click.argument("job", type=PathType(), metavar="MANIFEST|FOLDER")


@help_epilog(
    "batch-runner cluster stop jobs/year_of_the_horse.yaml",
    "batch-runner cluster stop out/horse",
    exit_status={"0": "The run is stopped, or there was none.", **USAGE_ERROR},
)
@command.command("stop")
@_job_argument
def stop(job: Path) -> int:
    """Stop the run of a cluster job on all hosts.

    Nothing more is submitted, tasks in flight are finished, and the command that follows the run
    ends with exit status 3. The job is named by its manifest or by its output folder. `run
    --cluster` continues it.
    """
    _, schema = _cluster_job(job)
    dsn = required_dsn()
    from batch_runner.cluster.decisions import stop_latest_run

    message = f"`batch-runner cluster stop` was used on {socket.gethostname()}"
    if not stop_latest_run(dsn, schema, message):
        print_line(tr("the workers have nothing to do for this job; nothing was changed"))
        return 0
    print_line(
        tr(
            "stopped: nothing more is submitted, and tasks in flight are finished. "
            "`run --cluster` continues the job"
        )
    )
    return 0


@help_epilog(
    "batch-runner cluster approve jobs/year_of_the_horse.yaml",
    "batch-runner cluster approve out/horse --yes",
    exit_status={
        "0": "The pause is ended, or there was none.",
        **USAGE_ERROR,
        "3": "You answered no. Nothing was changed.",
    },
)
@command.command("approve")
@_job_argument
@click.option(
    "--yes",
    is_flag=True,
    help="Do not ask first (default: ask on a terminal; elsewhere, refuse).",
)
def approve(job: Path, *, yes: bool) -> int:
    """End the pause of a job whose database is older.

    A restored backup, or a standby that took over, may not know of the last submissions. Restore
    the newest state if there is any. Else this command shows how much may be paid for twice, and
    asks; `run --cluster` then submits the pending items.
    """
    from batch_runner.cli.confirm import ask, is_interactive

    folder, schema = _cluster_job(job)
    dsn = required_dsn()
    from batch_runner.cli.cluster_text import risk_lines
    from batch_runner.cluster import jobs
    from batch_runner.cluster.decisions import find, risk_of

    found = find(dsn, schema)
    if found is None or found.paused is None:
        print_line(tr("this job is not paused; nothing was changed"))
        return 0
    lines = risk_lines(found.paused, risk_of(dsn, schema))
    for line in lines:
        print_line(line, error=True)
    if not yes and not is_interactive():
        raise UsageError(tr("nothing was changed. If you accept that, add --yes"))
    if not yes and not ask(tr("Go on with the database as it is? [y/N] ")):
        print_line(tr("nothing was changed"), error=True)
        return 3
    with jobs.connected(dsn) as connection:
        jobs.approve(connection, schema)
    folder.marker.unlink(missing_ok=True)  # it has the last event that the database does not know
    print_line(tr("the pause is ended; `run --cluster` continues the job"))
    return 0


def _cluster_job(target: Path) -> tuple[JobFolder, str]:
    """Return folder and schema of the cluster job that a manifest or an output folder means.

    Raises:
        UsageError: there is no such job, or it is not one of a cluster.
    """
    from batch_runner.cli.given_job import job_folder
    from batch_runner.journal.places import schema_of

    _refuse([word for word in [str(target)] if ":/" in word or "password=" in word])
    folder = job_folder(None, target) if target.is_dir() else job_folder(target, None)
    schema = schema_of(folder.journal)
    if schema is None:
        raise UsageError(tr("the job in {folder} is not one of a cluster", folder=folder.root))
    return folder, schema
