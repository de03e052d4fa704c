"""Open a job, for a run or for a command that changes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from batch_runner.errors import FolderRefused
from batch_runner.jobdir.fallback_log import FallbackLog
from batch_runner.jobdir.identity import JobIdentity, check_owner
from batch_runner.jobdir.integrity import check_last_event, check_location, open_journal
from batch_runner.jobdir.lock import Lock
from batch_runner.jobdir.marker import Marker, MarkerRecord
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.recovery import recover
from batch_runner.journal import Journal
from batch_runner.models import REHEARSAL
from batch_runner.registry.known_jobs import KnownJob, check_mounted
from batch_runner.util.locale import tr


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenJob:
    """A job that this process has locked."""

    folder: JobFolder
    journal: Journal
    fallback_log: FallbackLog
    requeued: int  # done items with a missing file, to be downloaded again


@contextmanager
def open_job(
    root: Path,
    identity: JobIdentity | None,
    *,
    state: Path | None = None,
    wall_clock: Callable[[], float] = time.time,
) -> Iterator[OpenJob]:
    """Open the job in the folder `root`; it is locked until the context ends.

    Without `identity` only a job that exists is opened. `state` is the user's state directory,
    where the registry is; None: there is no registry.

    Raises:
        FolderRefused: the folder cannot be used, or belongs to another job or service.
        JobLocked: another run has the job, or a copy of it.
        JournalUnreadable: the journal is missing, damaged, a copy, or older than it should be.
    """
    folder = JobFolder(root)
    with ExitStack() as stack:
        try:
            job = _open(stack, folder, identity, state, wall_clock)
        except OSError as error:
            raise folder.output_folder_error(error) from error
        yield job


def _open(
    stack: ExitStack,
    folder: JobFolder,
    identity: JobIdentity | None,
    state: Path | None,
    wall_clock: Callable[[], float],
) -> OpenJob:
    """Open a job in seven steps, each of which relies on those before it."""
    # 1. The folder exists, can be written, and is not the empty mount point of its disk.
    _prepare_folder(folder, identity, state)

    # 2. No other run has it.
    stack.enter_context(Lock(folder))
    fallback_log = stack.enter_context(closing(FallbackLog(folder)))
    marker = stack.enter_context(closing(Marker(folder)))
    known_job = stack.enter_context(closing(KnownJob(folder.root)))

    # 3. Its journal is readable, or it never had one and gets one now.
    recorded = marker.read()
    journal = stack.enter_context(closing(open_journal(folder, identity, recorded, wall_clock)))

    # 4. It is the right journal: no copy, no older backup, of this job and this service.
    if state is not None and journal.job()["origin"] != REHEARSAL:
        known_job.open(state, journal.job()["id"])
    _check_journal(journal, folder, recorded, known_job, identity)

    # 5. It is of the current version, and marker and registry follow it from now on.
    journal.migrate(folder.journal)
    _follow_journal(journal, folder, marker, known_job)

    # 6. What earlier runs left unfinished can be continued.
    requeued = recover(folder, journal, fallback_log)

    # 7. There is space to write down what is paid for, even if the disk becomes full.
    fallback_log.reserve()
    return OpenJob(folder=folder, journal=journal, fallback_log=fallback_log, requeued=requeued)


def _prepare_folder(folder: JobFolder, identity: JobIdentity | None, state: Path | None) -> None:
    if identity is None and not folder.has_job():
        raise FolderRefused(tr("there is no job in {root}", root=folder.root))
    if identity is not None and state is not None and not folder.marker.exists():
        check_mounted(state, folder.root)
    folder.prepare()


def _check_journal(
    journal: Journal,
    folder: JobFolder,
    recorded: MarkerRecord | None,
    known_job: KnownJob,
    identity: JobIdentity | None,
) -> None:
    """Check the journal against marker and registry, and lock the job in the registry.

    Without a marker, the journal is new, or the user has removed the marker to accept a copy.
    """
    job = journal.job()
    if recorded is not None:
        known = known_job.last_event > 0 or job["origin"] == REHEARSAL
        check_location(journal, folder, known=known)
    known_job.lock()
    if recorded is not None:
        check_last_event(journal, folder, recorded, known_job)
    if identity is not None:
        check_owner(job, folder, identity)


def _follow_journal(
    journal: Journal, folder: JobFolder, marker: Marker, known_job: KnownJob
) -> None:
    """Record where the journal is, and from now on its last event after each commit."""
    job = journal.job()
    journal.record_location(folder.journal)
    if not folder.marker.exists():
        marker.write(job["id"], job["name"])
    known_job.update(journal.last_event)

    def set_last_event(number: int) -> None:
        marker.set_last_event(number)
        known_job.set_last_event(number)

    journal.follow_last_event(set_last_event)
