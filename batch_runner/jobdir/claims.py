"""Keep the registry's record of one job up to date while the job is open.

The registry shows what the job's own folder cannot: that the folder is an older copy, that its disk
is not mounted, and that another job has paid for the same items. An item is claimed before its
first submission, so that the claim is there even if the folder is deleted a moment later; what
became of it is copied from the journal every few seconds and when the job is closed.

The registry is optional for a job that exists: where it cannot be used, a run continues without it.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from batch_runner.errors import JobLocked, JournalUnreadable, RegistryError
from batch_runner.jobdir.identity import service_host
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import JournalReader, open_reader
from batch_runner.registry import KEYS, Claim, JobLock, JobRecord, Registry
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, utf8_text

_logger = logging.getLogger(__name__)


class JobClaims:
    """The record of an open job, and its claims; see `registry.ClaimStore`."""

    def __init__(self, folder: JobFolder, registry: Registry | None, state: Path | None) -> None:
        """`registry` None: there is no home, or it cannot be used; nothing is recorded.

        `state` None: there is no home.
        """
        self._folder = folder
        self._registry = registry
        self._state = state
        self._lock: JobLock | None = None
        self._job_id = ""
        self._service = 0
        self._provider = self._host = ""
        self._account = ""
        self._last_event = 0
        self._failure: RegistryError | None = None  # during a run
        self._turn = threading.Lock()  # a run claims and copies in different threads

    def lock(self, job_id: str) -> None:
        """Lock the job against runs of its copies, until `close`.

        Raises:
            JobLocked: a run has a copy of the job.
        """
        if self._state is None or not job_id.isalnum():  # a journal this program did not write
            return
        lock = JobLock(self._state, job_id)
        if not lock.acquire():
            other = self._known(job_id)
            raise JobLocked(
                tr(
                    "another run has a copy of the job in {root}: it runs in {other}",
                    root=self._folder.root,
                    other=other.folder if other else tr("an unknown folder"),
                )
            )
        self._lock, self._job_id = lock, job_id

    @property
    def unusable(self) -> bool:
        """Return whether the registry cannot be used, although there is a home."""
        return self._state is not None and self._registry is None

    def knows(self, job_id: str) -> bool:
        """Return whether this user has run the job before."""
        known = self._known(job_id)
        return known is not None and known.last_event > 0

    def _known(self, job_id: str) -> JobRecord | None:
        if self._registry is not None:
            try:
                return self._registry.job(job_id)
            except RegistryError as error:
                self.give_up(error)
        return None

    @property
    def last_event(self) -> int:
        """Return the last event that the journal is known to have had, 0 if unknown."""
        known = self._known(self._job_id)
        recorded = known.last_event if known else 0
        return max(recorded, self._lock.last_event if self._lock else 0)

    def set_last_event(self, number: int) -> None:
        """Record the number of the journal's last event, after its commit."""
        if self._lock is not None:
            self._lock.set_last_event(number)

    def start(self, *, account_key: str | None) -> None:
        """Record the job and where it is, and copy what its journal has.

        `account_key` is the API key of the run; None: it is not known.
        """
        if self._registry is None or not self._job_id:
            return
        try:
            with open_reader(self._folder.journal) as reader:
                self._account = self._registry.account_of(account_key) if account_key else ""
                self._record_job(self._registry, reader)
                pay_again = reader.keys_to_pay_again()
                self._registry.approve(self._service, self._job_id, pay_again)
                self._release(self._registry, reader)
        except (RegistryError, JournalUnreadable) as error:
            self.give_up(error)

    def _record_job(self, registry: Registry, reader: JournalReader) -> None:
        job, record = reader.job(), job_record(reader, self._folder.root)
        known = registry.job(job.id)
        if known is None:
            registry.record_job(record)
        self._provider, self._host = job.provider, service_host(job.origin)
        self._service = registry.service_number(self._provider, self._host)
        # An old record without a name was imported without the items.
        self._last_event = known.last_event if known is not None and known.name else 0
        if older := reader.last_event < self._last_event:  # which the user accepts
            self._last_event = -1  # copy all, and record the last event also where there is none
        self._copy_outcomes(registry, reader, only_paid=older)
        registry.record_job(record)

    def _copy_outcomes(
        self, registry: Registry, reader: JournalReader, *, only_paid: bool = False
    ) -> None:
        """Copy what has changed since `_last_event`; `only_paid`: unpaid items keep their claims.

        An older journal does not know of the submissions since then.
        """
        if reader.last_event == self._last_event:
            return
        last = reader.committed_up_to  # what is copied beyond it is copied again
        outcomes = (one for one in reader.outcomes(self._last_event) if one.paid or not only_paid)
        registry.store(
            self._service, self._job_id, outcomes, last_event=last, account=self._account
        )
        self._last_event = last

    def claim(self, keys: Sequence[str]) -> frozenset[str]:
        """See `registry.ClaimStore`."""
        with self._required() as registry:
            if registry is not None:
                return registry.claim(self._service, self._job_id, keys, account=self._account)
        return frozenset()

    def claims_of_others(self, keys: Sequence[str]) -> list[Claim]:
        """See `registry.ClaimStore`."""
        found: list[Claim] = []
        with self._required() as registry:
            if registry is not None:
                for start in range(0, len(keys), KEYS):
                    found += registry.claims_of_others(
                        self._provider, self._host, self._job_id, keys[start : start + KEYS]
                    )
        return found

    def approve(self, keys: Iterable[str]) -> None:
        """See `registry.ClaimStore`."""
        with self._required() as registry:
            if registry is not None:
                registry.approve(self._service, self._job_id, keys)

    def sync(self) -> None:
        """See `registry.ClaimStore`."""
        with self._turn:
            if (registry := self._usable) is None:
                return
            try:
                with open_reader(self._folder.journal) as reader:
                    self._copy_outcomes(registry, reader)
            except (RegistryError, JournalUnreadable) as error:
                # What is not copied now is copied later. The claims stand; a new one will fail if
                # the registry cannot be used any more.
                _logger.info("outcomes were not copied to the registry: %s", error)

    def close(self) -> None:
        """Copy what has changed, release what was not submitted, and unlock the job."""
        with self._turn:
            if (registry := self._usable) is not None:
                try:
                    self._close(registry)
                except (RegistryError, JournalUnreadable) as error:
                    self.give_up(error)
        if self._lock is not None:
            self._lock.close()

    def _close(self, registry: Registry) -> None:
        """Release claims only when the outcomes are copied: without them all look unsubmitted."""
        with open_reader(self._folder.journal) as reader:  # has the manifest's path now
            self._copy_outcomes(registry, reader)
            registry.record_job(job_record(reader, self._folder.root))
            self._release(registry, reader)
        registry.write_backup()
        if self._lock is not None:
            self._lock.remove()

    def _release(self, registry: Registry, reader: JournalReader) -> None:
        """Release what was not submitted, unless workers go on and may submit it."""
        if not reader.workers_may_submit():
            registry.release(self._job_id)

    @property
    def _usable(self) -> Registry | None:
        return self._registry if self._service else None

    @contextmanager
    def _required(self) -> Iterator[Registry | None]:
        """Yield the registry to one thread after the other; None: the run began without it.

        An error in the block is raised, and by every such block from then on: nobody knows what
        other jobs submit meanwhile.
        """
        with self._turn:
            if self._failure is not None:
                raise self._failure
            try:
                yield self._usable
            except RegistryError as error:
                self._registry, self._failure = None, error
                raise

    def give_up(self, error: RegistryError | JournalUnreadable) -> None:
        """Continue without the registry, with a warning, because of an error."""
        if self._registry is not None:
            warn(error)
            self._registry = None


def warn(error: Exception | str) -> None:
    """Log that the run continues without the registry."""
    _logger.warning("%s; this run continues without it", error)


def job_record(reader: JournalReader, root: Path) -> JobRecord:
    """Return what the registry stores of the job in `root`."""
    job = reader.job()
    return JobRecord(
        id=job.id,
        name=job.name,
        manifest=job.manifest,
        folder=utf8_text(Utf8Path(root).resolve()),
        mount=utf8_text(_mount_of(Utf8Path(root).resolve())),
        machine=socket.gethostname(),
    )


def _mount_of(path: Path) -> Path:
    while not os.path.ismount(path) and path != path.parent:
        path = path.parent
    return path
