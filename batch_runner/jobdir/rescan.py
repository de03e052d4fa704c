"""Read jobs that the registry does not know from their folders: what they paid for is known then.

For a lost registry, and for folders from another machine. Only the registry is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from batch_runner.errors import JournalError, UsageError
from batch_runner.jobdir.claims import job_record
from batch_runner.jobdir.identity import service_host
from batch_runner.jobdir.known_jobs import examine
from batch_runner.jobdir.lock import lock_owner
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import JournalReader, open_reader
from batch_runner.models import REHEARSAL
from batch_runner.registry import JobLock, Registry
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, list_names, same_name


class Finding(StrEnum):
    """What was done with a job folder."""

    ADDED = "added"  #: the registry did not know the job
    KNOWN = "known"  #: it did; what is new in the journal was added
    COPY = "copy"  #: the registry knows the job in another folder, where it still is
    OLDER = "older"  #: the journal is older than the registry
    RUNNING = "running"  #: its run keeps the registry up to date
    REHEARSAL = "rehearsal"  #: nothing was paid
    UNREADABLE = "unreadable"  #: journal or folder cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A folder with a job, or one that could not be read."""

    folder: Path
    finding: Finding
    name: str = ""  # of the job
    id: str = ""
    paid: int = 0  # items that may have been paid, as the registry has them now
    message: str = ""


def rescan(registry: Registry, state: Path, folder: Path) -> Iterator[Found]:
    """Read each job in or below `folder` into the registry. May be interrupted and repeated.

    Raises:
        UsageError: there is no such folder.
        RegistryError: the registry cannot be written.
    """
    if not folder.is_dir():
        raise UsageError(tr("the folder {folder} does not exist", folder=folder))
    for path, error in _folders(Utf8Path(folder).absolute()):
        if error is not None:
            yield Found(folder=path, finding=Finding.UNREADABLE, message=error)
        elif (job := JobFolder(path)).has_job():
            yield _read(registry, state, job)


def _folders(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield the folder and those below it, each with why it cannot be read; no symbolic links."""
    try:
        names = sorted(list_names(folder))
        below = [folder / name for name in names if name != ".batch"]
        folders = [path for path in below if path.is_dir() and not path.is_symlink()]
    except OSError as error:
        yield folder, error.strerror or str(error)
        return
    yield folder, None
    for each in folders:
        yield from _folders(each)


def _read(registry: Registry, state: Path, folder: JobFolder) -> Found:
    try:
        with open_reader(folder.journal, oldest=1) as reader:
            job = reader.job()
            with closing(JobLock(state, job.id)) as lock:
                if job.origin == REHEARSAL:
                    finding, message = Finding.REHEARSAL, ""
                elif not lock.acquire() or lock_owner(folder) is not None:
                    finding, message = Finding.RUNNING, ""
                else:
                    finding, message = _register(registry, folder, reader, lock.last_event)
                    if finding in (Finding.ADDED, Finding.KNOWN):
                        lock.remove()
            return Found(
                folder=folder.root,
                finding=finding,
                name=job.name,
                id=job.id,
                paid=sum(group.paid for group in registry.claim_groups(job.id)),
                message=message,
            )
    except (JournalError, OSError) as error:
        return Found(folder=folder.root, finding=Finding.UNREADABLE, message=str(error))


def _register(
    registry: Registry, folder: JobFolder, reader: JournalReader, locked_event: int
) -> tuple[Finding, str]:
    """Add the job and what its journal has; return what was found, with a message."""
    record = job_record(reader, folder.root)
    known, last = registry.job(record.id), reader.last_event
    moved = known is not None and not same_name(known.folder, record.folder)
    if known is not None and moved and not examine(registry, known).problem:
        return Finding.COPY, known.folder
    if last < max(locked_event, known.last_event if known else 0):
        return Finding.OLDER, known.folder if known else ""
    registry.record_job(record)
    job = reader.job()
    service = registry.service_number(job.provider, service_host(job.origin))
    up_to = reader.committed_up_to
    registry.store(service, job.id, reader.outcomes(0), last_event=up_to)
    if not reader.workers_may_submit():
        registry.release(job.id)
    return Finding.KNOWN if known else Finding.ADDED, ""
