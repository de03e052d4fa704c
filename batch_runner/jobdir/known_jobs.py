"""The jobs that the registry knows, with what their journals say; and how to forget one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from batch_runner.errors import JobLocked, JournalError, UsageError
from batch_runner.jobdir.lock import lock_owner
from batch_runner.jobdir.old_records import import_old_records
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.registration import is_mounted
from batch_runner.journal import JournalReader, RunRow, open_reader
from batch_runner.lifecycle import UNDERWAY, ItemStatus
from batch_runner.registry import (
    ClaimGroup,
    JobLock,
    JobRecord,
    Registry,
    open_registry,
    read_registry,
)
from batch_runner.registry.base import CLAIMED
from batch_runner.units import Price, Prices
from batch_runner.util.locale import items_text, tr
from batch_runner.util.paths import Utf8Path, find_existing, same_name, utf8_text

#: Statuses in which an item keeps its job from being forgotten; without a journal, an item that a
#: run was about to submit may have been submitted, too.
_OPEN = frozenset((*UNDERWAY, ItemStatus.HELD))


@dataclass(kw_only=True)
class KnownJob:
    """A job of the registry. Without its journal, `counts` are those of the registry's claims."""

    record: JobRecord
    folder: JobFolder
    problem: str = ""  # why the journal was not read; "" if it was
    running: bool = False
    workers: bool = False  # those of a cluster may submit items of it
    provider: str = ""
    counts: dict[str, int] = field(default_factory=dict)  # of items, by status
    submissions: int = 0  # that must be assumed paid
    prices: Prices | None = None
    cost: Price | None = None
    last_run: RunRow | None = None
    claims: list[ClaimGroup] = field(default_factory=list)

    @property
    def undecided(self) -> int:
        """Return how many items are in flight, held, or may have been submitted."""
        claimed = self.counts.get(CLAIMED, 0) if self.problem else 0
        return claimed + sum(self.counts.get(status, 0) for status in _OPEN)


def known_jobs(state: Path | None) -> list[KnownJob]:
    """Return this user's jobs, the most recently used first. Writes nothing.

    Raises:
        RegistryError: the registry cannot be read.
    """
    registry = None if state is None else read_registry(state)
    if state is None or registry is None:
        return []
    with registry:
        jobs = [examine(registry, record) for record in registry.jobs()]
    for job in jobs:
        job.running = is_running(state, job)
    return jobs


@contextmanager
def writable_registry(state: Path | None) -> Iterator[tuple[Registry, Path]]:
    """Open the registry for a command that changes it, and write its backup copy at the end.

    Raises:
        UsageError: there is no home.
        RegistryError: the registry cannot be used.
    """
    if state is None:
        raise UsageError(tr("neither XDG_STATE_HOME nor HOME is set, so no jobs are recorded"))
    with open_registry(state) as registry:
        import_old_records(registry, state)
        yield registry, state
        registry.write_backup()


def is_running(state: Path, job: KnownJob) -> bool:
    """Return whether a run is working on the job."""
    return JobLock(state, job.record.id).look()[0] or lock_owner(job.folder) is not None


def examine(registry: Registry, record: JobRecord) -> KnownJob:
    """Return what is known of a job, from its journal if that can be read."""
    folder = JobFolder(find_existing(record.folder))
    job = KnownJob(record=record, folder=folder, claims=registry.claim_groups(record.id))
    job.provider = next((group.provider for group in job.claims), "")
    try:
        job.problem = _problem(record, folder)
        if not job.problem:
            with open_reader(folder.journal) as reader:
                if reader.job().id == record.id:
                    _read(job, reader)
                    return job
            job.problem = tr("its folder has another job now")
    except (JournalError, OSError) as error:
        job.problem = str(error)
    for group in job.claims:
        job.counts[group.status] = job.counts.get(group.status, 0) + group.count
        job.submissions += group.paid
    return job


def _problem(record: JobRecord, folder: JobFolder) -> str:
    """Return why the job's journal cannot be there, "" if it is."""
    if folder.journal.is_file() or folder.cluster.is_file():
        return ""
    if record.machine != socket.gethostname():
        return tr("it is on the machine {machine}", machine=record.machine)
    if not is_mounted(record):
        return tr("its disk {mount} is not mounted", mount=record.mount)
    if folder.marker.exists():
        return tr("its journal is missing")
    return tr("its folder is gone")


def _read(job: KnownJob, reader: JournalReader) -> None:
    row, runs = reader.job(), reader.runs()
    job.provider, job.prices = row.provider, row.prices
    job.counts = {status.value: count for status, count in reader.counts().items() if count}
    by_workflow = reader.spent_by_workflow()
    job.submissions = sum(by_workflow.values())
    job.cost = row.prices.cost(by_workflow) if row.prices else None
    job.last_run = runs[-1] if runs else None
    job.workers = reader.workers_may_submit()


def find_known(jobs: list[JobRecord], text: str) -> JobRecord:
    """Return the job that an output folder, a job id or a name means.

    Raises:
        UsageError: none does, or several do.
    """
    folder = utf8_text(Utf8Path(text).resolve())
    matches = [job for job in jobs if same_name(job.folder, folder)]
    matches = matches or [job for job in jobs if job.id == text]
    matches = matches or [job for job in jobs if same_name(job.name, text)]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise UsageError(
            tr('no job is known as "{text}"; `batch-runner jobs` lists them', text=text)
        )
    raise UsageError(
        tr(
            'several jobs are known as "{text}"; give the id of one: {ids}',
            text=text,
            ids=", ".join(f"{job.id} ({job.folder})" for job in matches),
        )
    )


def check_forgettable(job: KnownJob) -> None:
    """Check that nothing of the job waits for its end or for a decision.

    Raises:
        JobLocked: a run is working on it.
        UsageError: items are in flight or held.
    """
    if job.running:
        raise JobLocked(
            tr("a run is working on the job in {folder}; it stays", folder=job.folder.root)
        )
    if job.workers:
        raise workers_go_on(job.folder)
    if not job.undecided:
        return
    values = {"folder": job.folder.root, "items": items_text(job.undecided), "problem": job.problem}
    if job.problem:
        raise UsageError(
            tr(
                "the job in {folder} has {items} in flight or held, or perhaps submitted "
                "({problem}); it stays. Restore the folder, and decide with `batch-runner resolve`",
                **values,
            )
        )
    raise UsageError(
        tr(
            "the job in {folder} has {items} in flight or held; it stays. Let a run finish, or "
            "decide with `batch-runner resolve --output {folder}`",
            **values,
        )
    )


def workers_go_on(folder: JobFolder) -> JobLocked:
    """Return the error of a command that cannot be used while workers process the job."""
    return JobLocked(
        tr(
            "the workers of the cluster process the job in {folder}; it stays. Wait until they "
            "have finished, or use `batch-runner cluster stop {folder}` first",
            folder=folder.root,
        )
    )


def forget_job(registry: Registry, state: Path, record: JobRecord) -> None:
    """Remove the job and its claims from the registry, after checking it with its lock held.

    Raises:
        JobLocked: a run is working on it.
        UsageError: items are in flight or held.
    """
    with closing(JobLock(state, record.id)) as lock:
        locked = lock.acquire()
        job = examine(registry, record)
        job.running = not locked or lock_owner(job.folder) is not None
        check_forgettable(job)
        registry.forget(record.id)
        lock.remove()
