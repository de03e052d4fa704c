"""Find items of a new job that another job on this host has already paid for.

This happens when a manifest is renamed, or copied and edited. The items would be paid for again,
so the user is warned.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from batch_runner.errors import JournalError
from batch_runner.jobdir.identity import JobIdentity, same_service
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import open_reader
from batch_runner.models import ItemSpec
from batch_runner.registry.known_jobs import job_folders
from batch_runner.util.paths import Utf8Path

#: How many items (the first ones) are searched for, in how many other jobs (the latest ones).
MAX_ITEMS, MAX_JOBS = 500, 100


@dataclass(frozen=True, slots=True)
class PriorPayment:
    """Another job has paid for `count` of the first `of` items."""

    count: int
    of: int
    folder: Path  # of the other job


def find_prior_payment(
    specs: Iterable[ItemSpec], root: Path, state: Path, identity: JobIdentity
) -> PriorPayment | None:
    """Return the other job that has paid for most of `specs`; None if none has paid for any.

    The jobs searched are those of the registry in `state` that used the service of `identity`,
    except the one in `root`.
    """
    keys = [spec.key for spec in islice(specs, MAX_ITEMS)]
    own = Utf8Path(root).resolve()
    others = [folder for folder in job_folders(state) if folder != own][:MAX_JOBS]
    found = [
        PriorPayment(_count_paid(folder, keys, identity), len(keys), folder) for folder in others
    ]
    most = max(found, default=None, key=lambda one: one.count)
    return most if most is not None and most.count else None


def _count_paid(folder: Path, keys: list[str], identity: JobIdentity) -> int:
    try:
        with open_reader(JobFolder(folder).journal, oldest=1) as reader:
            job = reader.job()
            same = same_service(job.provider, job.origin, identity)
            return reader.paid_among(keys) if same else 0
    except (JournalError, OSError):  # removed, or no permission
        return 0
