"""Checks of the database of the user's cluster. Its connection string is never shown."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from batch_runner.doctor.checks import Check, Subject, ok, problem, warning
from batch_runner.doctor.network import CLOCK_SECONDS
from batch_runner.errors import UsageError
from batch_runner.journal.cluster_dsn import cluster_dsn
from batch_runner.util.locale import tr
from batch_runner.util.text import duration

#: Connections left from which on that is said; a worker needs some for each job.
FEW_CONNECTIONS = 20


def check_cluster(subject: Subject) -> Iterator[Check]:
    """Check the database, if the user has one: set up, durable, with connections left."""
    try:
        dsn = cluster_dsn(subject.environment)
    except UsageError as error:
        yield problem("cluster", str(error))
        return
    if dsn is None:
        return
    if find_spec("psycopg") is None:
        seen = tr("a cluster needs an extra package: pip install 'batch-runner[cluster]'")
        yield problem("cluster", seen)
    elif subject.offline:
        yield ok("cluster", tr("its database was not asked (--offline)"))
    else:
        yield from _check_database(dsn)


def _check_database(dsn: str) -> Iterator[Check]:
    from batch_runner.cluster.schema import examine_database

    try:
        found = examine_database(dsn)
    except UsageError as error:
        yield problem("cluster", str(error))
        return
    milliseconds = f"{found.round_trip * 1e3:.1f}"
    seen = tr(
        "PostgreSQL {version}; {count} of {most} connections in use",
        version=found.version,
        count=found.connections,
        most=found.max_connections,
    )
    seen += tr("; ") + tr("it answers in {time} ms", time=milliseconds)
    if found.max_connections - found.connections < FEW_CONNECTIONS:
        yield warning("cluster", seen, tr("few are left: raise max_connections"))
    else:
        yield ok("cluster", seen)
    difference = abs(found.clock_ahead)
    seen = tr("{difference} from this machine's clock", difference=duration(difference))
    if difference - found.clock_error < CLOCK_SECONDS:
        yield ok("cluster clock", seen)
    else:
        yield warning("cluster clock", seen, tr("set both clocks, with NTP"))
