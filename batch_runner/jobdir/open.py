"""Open a job, for a run or for a command that changes it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from batch_runner.errors import FolderRefused
from batch_runner.jobdir.claims import JobClaims
from batch_runner.jobdir.fallback_log import FallbackLog
from batch_runner.jobdir.identity import JobIdentity, check_owner
from batch_runner.jobdir.integrity import (
    NewJournal,
    check_last_event,
    check_location,
    open_journal,
)
from batch_runner.jobdir.lock import Lock
from batch_runner.jobdir.marker import Marker, MarkerRecord
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.recovery import recover
from batch_runner.jobdir.registration import check_mounted, usable_registry, usable_state
from batch_runner.jobdir.results import settle_place
from batch_runner.journal import journal_exists
from batch_runner.journal.sql.journal import SqlJournal
from batch_runner.models import REHEARSAL
from batch_runner.registry import Registry
from batch_runner.util.locale import tr


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenJob:
    """A job that this process has locked."""

    folder: JobFolder
    journal: SqlJournal
    fallback_log: FallbackLog
    claims: JobClaims
    state: Path | None  # the user's state folder; None: not used
    requeued: int  # done items with a missing file, to be downloaded again


@contextmanager
def open_job(
    root: Path,
    identity: JobIdentity | None,
    *,
    state: Path | None = None,
    key: str | None = None,
    require_registry: bool = False,
    files: str | None = None,
    wall_clock: Callable[[], float] = time.time,
    new_journal: NewJournal | None = None,
) -> Iterator[OpenJob]:
    """Open the job in the folder `root`; it is locked until the context ends.

    Without `identity` only a job that exists is opened. `state` is the user's state folder,
    where the registry is; None: there is no registry. With `require_registry`, a new job is refused
    where the registry cannot be used. `key` is the API key; None: nothing will be submitted.
        `new_journal` makes the journal of a new job; None: in its folder.
    `files` is where a run stores files, an s3:// address or `IN_FOLDER`; None: where the job has
    them, and the folder for a new job.

    Raises:
        FolderRefused: the folder cannot be used, or belongs to another job or service.
        JobLocked: another run has the job, or a copy of it.
        JournalUnreadable: the journal is missing, damaged, a copy, or older than it should be.
    """
    folder = JobFolder(root)
    with ExitStack() as stack:
        try:
            rehearsal = identity is not None and identity.origin == REHEARSAL
            state = None if rehearsal else usable_state(state)
            registration = _Registration(state, key, require_registry, files)
            opening = functools.partial(
                open_journal, wall_clock=wall_clock, new_journal=new_journal
            )
            job = _open(stack, folder, identity, registration, opening)
        except OSError as error:
            raise folder.output_folder_error(error) from error
        yield job


@dataclass(frozen=True, slots=True)
class _Registration:
    state: Path | None
    key: str | None
    required: bool  # for a new job
    files: str | None  # where a run stores them; None: where the job has them


def _open(
    stack: ExitStack,
    folder: JobFolder,
    identity: JobIdentity | None,
    registration: _Registration,
    opening: Callable[..., SqlJournal],
) -> OpenJob:
    """Open a job in seven steps, each of which relies on those before it."""
    # 1. The folder exists, can be written, and is not the empty mount point of its disk.
    registry = stack.enter_context(_prepare_folder(folder, identity, registration))

    # 2. No other run has it.
    stack.enter_context(Lock(folder))
    claims = stack.enter_context(closing(JobClaims(folder, registry, registration.state)))
    fallback_log = stack.enter_context(closing(FallbackLog(folder)))
    marker = stack.enter_context(closing(Marker(folder)))

    # 3. Its journal is readable, or it never had one and gets one now.
    recorded = marker.read()
    journal = stack.enter_context(closing(opening(folder, identity, recorded)))
    journal.lock()

    # 4. It is the right journal: no copy, no older backup, of this job and this service.
    _check_journal(journal, folder, recorded, claims, identity)

    # 5. It is of the current version, and marker and registry follow it from now on.
    journal.migrate(folder.journal)
    _follow_journal(journal, folder, marker, claims)

    # 6. What earlier runs left unfinished can be continued, and the registry knows of it.
    requeued = recover(folder, journal, fallback_log)
    claims.start(account_key=registration.key)

    # 7. There is space to write down what is paid for, even if the disk becomes full.
    fallback_log.reserve()
    return OpenJob(
        folder=folder,
        journal=journal,
        fallback_log=fallback_log,
        claims=claims,
        state=registration.state,
        requeued=requeued,
    )


def is_new_job(folder: JobFolder) -> bool:
    """Return whether no run has ever begun a job in this folder."""
    return not folder.marker.exists() and not journal_exists(folder.journal)


@contextmanager
def _prepare_folder(
    folder: JobFolder, identity: JobIdentity | None, registration: _Registration
) -> Iterator[Registry | None]:
    is_new = is_new_job(folder)
    if identity is None and is_new:
        raise FolderRefused(tr("there is no job in {root}", root=folder.root))
    state = registration.state
    if state is not None and identity is not None and not folder.marker.exists():
        check_mounted(state, folder.root)
    with usable_registry(state, required=registration.required and is_new) as registry:
        if registration.files is not None:
            settle_place(folder, registration.files, is_new=is_new)
        folder.prepare()
        yield registry


def _check_journal(
    journal: SqlJournal,
    folder: JobFolder,
    recorded: MarkerRecord | None,
    claims: JobClaims,
    identity: JobIdentity | None,
) -> None:
    """Check the journal against marker and registry, and lock the job in the registry.

    Without a marker, the journal is new, or the user has removed the marker to accept a copy.
    """
    job = journal.job()
    if recorded is not None:
        known = claims.knows(job["id"]) or job["origin"] == REHEARSAL
        check_location(journal, folder, known=known)
    if job["origin"] != REHEARSAL:
        claims.lock(job["id"])
    if recorded is not None:
        check_last_event(journal, folder, recorded, claims.last_event)
    if identity is not None:
        check_owner(job, folder, identity)


def _follow_journal(
    journal: SqlJournal, folder: JobFolder, marker: Marker, claims: JobClaims
) -> None:
    """Record where the journal is, and from now on its last event after each commit."""
    job = journal.job()
    journal.record_location(folder.journal)
    if not folder.marker.exists():
        marker.write(job["id"], job["name"])

    def set_last_event(number: int) -> None:
        marker.set_last_event(number)
        claims.set_last_event(number)

    journal.follow_last_event(set_last_event)
