"""A new job whose items another job on this machine has paid for.

Its manifest was renamed, or copied and edited. They will be paid for again, and whoever starts it
should know.
"""

from __future__ import annotations

import os
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

#: Items from the first that are looked for, and other jobs from the latest that are looked into.
LOOKED_FOR, LOOKED_INTO = 500, 100


@dataclass(frozen=True, slots=True)
class PriorPayment:
    """How many of the first `of` items another job has paid for, and its folder."""

    count: int
    of: int
    folder: Path


def paid_elsewhere(
    specs: Iterable[ItemSpec], root: Path, state: Path, identity: JobIdentity
) -> PriorPayment | None:
    """Return the job known in `state`, but for that in `root`, which has paid for most of `specs`.

    `identity` tells the service; what was paid to another one does not count.
    """
    first = [spec.key for spec in islice(specs, LOOKED_FOR)]
    own = Path(os.path.realpath(root))
    others = [folder for folder in job_folders(state) if folder != own][:LOOKED_INTO]
    found = [
        PriorPayment(_paid_in(folder, first, identity), len(first), folder) for folder in others
    ]
    most = max(found, default=None, key=lambda one: one.count)
    return most if most is not None and most.count else None


def _paid_in(folder: Path, keys: list[str], identity: JobIdentity) -> int:
    try:
        with open_reader(JobFolder(folder).journal, oldest=1) as reader:
            job = reader.job()
            same = same_service(job.provider, job.origin, identity)
            return reader.paid_among(keys) if same else 0
    except (JournalError, OSError):  # it has gone, or is somebody else's
        return 0
