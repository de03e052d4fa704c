"""`cluster`: the database by which several hosts work on the same jobs."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from batch_runner.cli.options import USAGE_ERROR, help_epilog
from batch_runner.cli.output import print_line
from batch_runner.errors import UsageError
from batch_runner.util.locale import tr

if TYPE_CHECKING:
    from batch_runner.cluster.schema import Database


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
    "batch-runner cluster init --help",
    exit_status={"0": "The subcommand says what it means.", **USAGE_ERROR},
)
@click.group("cluster", cls=_ClusterGroup)
def command() -> None:
    """Set up the PostgreSQL database by which several hosts work on the same jobs.

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
    from batch_runner.journal.cluster_dsn import FILE_VARIABLE, VARIABLE, cluster_dsn

    dsn = cluster_dsn()
    if dsn is None:
        raise UsageError(
            tr(
                "no cluster: set {variable} to the connection string of its database, or "
                "{file_variable} to a file that holds it",
                variable=VARIABLE,
                file_variable=FILE_VARIABLE,
            )
        )
    _warn_of_file()
    try:
        from batch_runner.cluster.schema import Outcome, init_cluster
    except ImportError as error:
        raise UsageError(
            tr("a cluster needs an extra package: pip install 'batch-runner[cluster]'")
        ) from error
    outcome, database = init_cluster(dsn)
    print_line(
        {
            Outcome.MADE: tr("the database is set up: its schema batch_runner is new"),
            Outcome.MIGRATED: tr("the database is set up: its schema batch_runner was migrated"),
            Outcome.UNCHANGED: tr("the database is set up: nothing had to be changed"),
        }[outcome]
    )
    _print_database(database)
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


def _print_database(database: Database) -> None:
    print_line(
        tr(
            "PostgreSQL {version}; {count} of {most} connections in use",
            version=database.version,
            count=database.connections,
            most=database.max_connections,
        )
    )
    ahead = database.clock_ahead
    values = {"seconds": f"{abs(ahead):.2f}", "error": f"{database.clock_error:.2f}"}
    if ahead < 0:
        print_line(tr("its clock is {seconds} s behind this host's (± {error} s)", **values))
    else:
        print_line(tr("its clock is {seconds} s ahead of this host's (± {error} s)", **values))
