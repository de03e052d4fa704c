"""What differs for a cluster job: where its journal is made, and who processes its items.

Nothing that needs the extra `cluster` is imported before there is such a job.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from batch_runner.errors import UsageError
from batch_runner.util.locale import tr

if TYPE_CHECKING:  # slow imports, or of the extra `cluster`
    from batch_runner.engine.run import Stages
    from batch_runner.jobdir.integrity import NewJournal
    from batch_runner.jobdir.open import OpenJob
    from batch_runner.jobdir.paths import JobFolder
    from batch_runner.manifest import Manifest
    from batch_runner.settings import Service, Settings


def required_dsn() -> str:
    """Return the connection string of the user's cluster.

    Raises:
        UsageError: there is none, or the extra `cluster` is not installed.
    """
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
    try:
        import_module("psycopg")  # which needs a library that may be missing
    except ImportError as error:
        raise UsageError(
            tr("a cluster needs an extra package: pip install 'batch-runner[cluster]'")
        ) from error
    return dsn


def new_journal(folder: JobFolder, *, cluster: bool) -> NewJournal | None:
    """Return what makes the journal of a new job; None: it is made in the job's folder.

    Raises:
        UsageError: the job exists and is a cluster job, or none; the cluster cannot be used.
    """
    if folder.cluster.exists() != cluster and folder.has_job():
        if cluster:
            raise UsageError(
                tr(
                    "the job in {folder} is not one of a cluster: continue it without --cluster, "
                    "or use another output folder",
                    folder=folder.root,
                )
            )
        raise UsageError(
            tr("the job in {folder} is one of a cluster: add --cluster", folder=folder.root)
        )
    if not cluster:
        return None
    dsn = required_dsn()
    from batch_runner.cluster.jobs import journal_creator
    from batch_runner.cluster.schema import check_database

    check_database(dsn)
    return journal_creator(dsn)


def stages(
    job: OpenJob,
    manifest: Manifest,
    settings: Settings,
    service: Service,
    seconds_left: float | None,
) -> Stages | None:
    """Return the stages of a run by which the workers of a cluster process the items.

    None: the job is no cluster job. `seconds_left`: until the run must end, None: it need not.
    """
    if not job.folder.cluster.exists():
        return None
    from batch_runner.cluster.following import follow
    from batch_runner.cluster.orders import Order
    from batch_runner.providers import PROVIDERS

    description = PROVIDERS.own_description(manifest.provider)
    files = job.folder.objects
    order = Order.of(manifest, settings, service, description=description, files=files)
    return follow(
        required_dsn(), job, order, service, description=description, seconds_left=seconds_left
    )
