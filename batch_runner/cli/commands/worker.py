"""`worker`: process items of the cluster's jobs on this host."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from importlib.util import find_spec
from typing import TYPE_CHECKING

import anyio
import click

from batch_runner.api.clusters import required_dsn
from batch_runner.cli.garbage_collector import collect_rarely
from batch_runner.cli.options import USAGE_ERROR, help_epilog
from batch_runner.cli.output import print_line
from batch_runner.engine.fd_limits import check_open_files
from batch_runner.engine.summary import ExitCode
from batch_runner.errors import UsageError
from batch_runner.units import parse_duration
from batch_runner.util.locale import tr
from batch_runner.util.paths import utf8_environment
from batch_runner.util.xdg import state_folder

if TYPE_CHECKING:
    from batch_runner.cluster.worker import Worker

log = logging.getLogger(__name__)

#: Shortest time until others take the shards of a worker that was killed.
SHORTEST_LEASE = 2.0


@help_epilog(
    "batch-runner worker",
    "batch-runner worker --until-idle",
    exit_status={
        "0": "Ended by a signal, or with --until-idle because there was nothing more to do.",
        **USAGE_ERROR,
        "130, 143": "Ended at once by a second signal.",
    },
)
@click.command("worker")
@click.option(
    "--until-idle",
    is_flag=True,
    help="End when there is nothing to take for this worker; what other workers hold is not waited "
    "for (default: wait for the next job).",
)
@click.option(
    "--take-over-after",
    "lease",
    metavar="TIME",
    default="20s",
    help="Let other workers take the items of this one when it has not been seen for this time "
    "(default: 20s).",
)
@click.option("--quiet", is_flag=True, help="Print only warnings.")
def command(*, until_idle: bool, lease: str, quiet: bool) -> int:
    """Process items of the jobs that `run --cluster` gives to the workers of a cluster.

    Run it on each host, with the same database (BATCH_RUNNER_CLUSTER) and the API key in its usual
    variable. The first signal ends it: nothing more is submitted, and other workers take over.
    """
    from batch_runner import __version__

    dsn, state, environment = required_dsn(), state_folder(), utf8_environment()
    from batch_runner.cluster.schema import examine_database
    from batch_runner.cluster.worker import Worker

    try:
        span = parse_duration(lease)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--take-over-after") from None
    if span < SHORTEST_LEASE:
        raise UsageError(
            tr("--take-over-after: wanted at least {seconds} s", seconds=SHORTEST_LEASE)
        )
    if state is None:
        raise UsageError(
            tr("neither XDG_STATE_HOME nor HOME is set, and a worker needs its state folder")
        )
    database = examine_database(dsn)
    check_open_files()
    level = logging.WARNING if quiet else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(message)s")
    collect_rarely()
    worker = Worker(dsn=dsn, environment=environment, state=state, span=span, until_idle=until_idle)
    log.info(
        "batch-runner %s, process %d on %s; database on %s, PostgreSQL %s",
        *(__version__, os.getpid(), socket.gethostname(), database.host, database.version),
    )
    uvloop = {"use_uvloop": find_spec("uvloop") is not None}
    anyio.run(_work, worker, backend_options=uvloop)
    figures = worker.figures
    log.info("ended: %d submissions, %d polls", figures.submissions, figures.polls)
    return 0


async def _work(worker: Worker) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch_signals, worker)
        await worker.work()
        tasks.cancel_scope.cancel()


async def _watch_signals(worker: Worker) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        number = await anext(signals)
        print_line(
            tr("stopping: waiting for requests being sent; signal again to abort"), error=True
        )
        worker.stop()
        number = await anext(signals)
        code = ExitCode.INTERRUPTED if number is signal.SIGINT else ExitCode.TERMINATED
        asyncio.get_running_loop().call_soon(os._exit, int(code))
