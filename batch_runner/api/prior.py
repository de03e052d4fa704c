"""What other jobs of this user have submitted of the items of an open job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_runner.api.steps import identity_of
from batch_runner.errors import RegistryError, UsageError
from batch_runner.setting_types import Reuse
from batch_runner.util.locale import tr

if TYPE_CHECKING:  # slow imports, which commands that only print help do not need
    from batch_runner.engine.selection import SelectedItems
    from batch_runner.jobdir.open import OpenJob
    from batch_runner.manifest import Manifest
    from batch_runner.planning.blockers import Blocker
    from batch_runner.planning.reuse import PriorSubmissions
    from batch_runner.settings import Service, Settings


def find_prior_submissions(
    job: OpenJob,
    manifest: Manifest,
    settings: Settings,
    service: Service | None,
    selected: SelectedItems | None = None,
) -> PriorSubmissions:
    """Return what other jobs of this user have submitted of the open job's pending items.

    `selected` are those that may be submitted, None: all.

    If the registry cannot be read, the run continues without it, and nothing is found.
    """
    from batch_runner.planning.reuse import find_prior_submissions, nothing_submitted

    identity = None if service is None else identity_of(manifest, service)
    try:
        return find_prior_submissions(identity, job.folder.journal, settings.reuse, selected)
    except RegistryError as error:
        job.claims.give_up(error)
        return nothing_submitted()


def origin_warnings(job: OpenJob, manifest: Manifest, service: Service | None) -> list[Blocker]:
    """Return a warning if the open job has used the service at another port or scheme."""
    from batch_runner.planning.preflight import origin_warnings

    return origin_warnings(str(job.journal.job()["origin"]), identity_of(manifest, service))


def prior_submissions_unknown(job: OpenJob, settings: Settings) -> bool:
    """Return whether only a registry that cannot be used could tell what other jobs submitted.

    It does not matter with `reuse: never`, or for a job that has submitted something itself.
    """
    never = settings.reuse is Reuse.NEVER
    return job.claims.unusable and not never and not job.journal.spent_now()


def refuse_unknown_submissions(job: OpenJob, settings: Settings) -> None:
    """Refuse a new job that might pay for what another job has paid for.

    Raises:
        UsageError: the registry cannot be used, and this job has submitted nothing yet.
    """
    if prior_submissions_unknown(job, settings):
        raise UsageError(
            tr(
                "the registry cannot be used. A new job could pay again for items that another job "
                "has paid for. Nothing was sent. `batch-runner doctor` says more; or accept that: "
                "`run --reuse never`, or answer on a terminal"
            )
        )
