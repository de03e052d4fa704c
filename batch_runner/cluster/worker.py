"""A worker: process the shards of every active job of the cluster whose key this host has."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import psycopg
from anyio.abc import TaskGroup
from anyio.to_thread import run_sync

from batch_runner.cluster import jobs
from batch_runner.cluster.descriptions import take_description
from batch_runner.cluster.jobs import ClusterJob, account_of
from batch_runner.cluster.leases import SPAN, CutOff, worker_name
from batch_runner.cluster.local_state import LocalState, schemas_with_outcomes
from batch_runner.cluster.orders import Order
from batch_runner.cluster.serving import ServedJob, Serving, open_checked, open_serving
from batch_runner.errors import BatchRunnerError, JournalError
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import settle_place
from batch_runner.journal.base import DatabaseRestored
from batch_runner.journal.postgres import shards
from batch_runner.journal.postgres.connection import PostgresConnection
from batch_runner.journal.postgres.figures import Figures
from batch_runner.providers import PROVIDERS
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path

log = logging.getLogger(__name__)

#: Seconds between two looks for jobs, and until a job that failed is tried again.
LOOK_EVERY, TRY_AGAIN = 2.0, 1.0
#: Seconds until a worker looks again at a job that it cannot process.
REFUSED_FOR = 30.0


@dataclass(slots=True, kw_only=True)
class Worker:
    """One worker process.

    `environment` has the keys of this host. `state` is the user's state folder. `span` is after how
    many seconds another worker takes the shards of one that was killed.
    """

    dsn: str
    environment: Mapping[str, str]
    state: Path
    span: float = SPAN
    until_idle: bool = False  # end when no job has anything to do
    _name: str = field(default_factory=worker_name)
    _figures: dict[tuple[str, int], Figures] = field(default_factory=dict)  # by schema and run
    _serving: dict[str, Serving | None] = field(default_factory=dict)  # by schema; None: opening
    _refused: dict[str, tuple[str, float]] = field(default_factory=dict)  # why and when, by schema
    _stopping: anyio.Event = field(default_factory=anyio.Event)
    _unreachable: bool = False

    def stop(self) -> None:
        """Submit nothing more, journal what was sent, and end."""
        self._stopping.set()
        for serving in self._serving.values():
            if serving is not None:
                serving.stop()

    @property
    def figures(self) -> Figures:
        """Return what this worker has done for all jobs."""
        return sum(self._figures.values(), Figures())

    async def work(self) -> None:
        """Process shards until `stop`."""
        async with anyio.create_task_group() as tasks:
            while not self._stopping.is_set():
                await self._look(tasks)
                if self.until_idle and not self._serving and not self._unreachable:
                    return
                with anyio.move_on_after(LOOK_EVERY):
                    await self._stopping.wait()

    async def _look(self, tasks: TaskGroup) -> None:
        """Begin with the jobs that have something to do and that this worker does not serve yet."""
        try:
            found = await run_sync(self._served_jobs, frozenset(self._serving))
        except JournalError as error:
            if not self._unreachable:
                log.warning("%s; this worker tries again and again", error)
            self._unreachable = True
            return
        if self._unreachable:
            log.info("the database can be reached again")
            self._unreachable = False
        for job in found:
            self._serving[job.schema] = None
            tasks.start_soon(self._serve, job)

    def _served_jobs(self, known: frozenset[str]) -> list[ServedJob]:
        found = []
        with jobs.connected(self.dsn) as connection:
            for job in jobs.open_jobs(connection, schemas_with_outcomes(self.state)):
                if job.schema in known or not self._may_be_usable(job):
                    continue
                run = None
                if job.active:
                    run = jobs.takeable_run(connection, job.schema, self._name)
                if run is not None:
                    found += self._served_job(job, run)
                elif self._store_outcomes(job):
                    jobs.activate_if_unfinished(connection, job.schema)
                elif job.active:
                    jobs.deactivate_if_done(connection, job.schema)
        return found

    def _store_outcomes(self, job: ClusterJob) -> bool:
        """Store late outcomes of a job that nobody processes; return whether there were any."""
        local = LocalState(self.state, job.schema)
        if not local.has_abandoned_logs:
            return False
        try:
            folder = JobFolder(Utf8Path(job.folder))
            open_checked(self.dsn, job.schema, folder, local, job.approvals).close()
        except DatabaseRestored as error:
            self._pause(job.schema, error)
            return False
        except OSError as error:
            log.warning("%s", error)
            return False
        return True

    def _served_job(self, job: ClusterJob, run: int) -> list[ServedJob]:
        """Return a job with what this host needs to process it; none: it cannot."""
        try:
            return [self._prepared(job, run)]
        except (BatchRunnerError, OSError) as error:
            why, _ = self._refused.get(job.schema, ("", 0.0))
            self._refused[job.schema] = str(error), time.monotonic()
            if why != str(error):
                log.warning('this worker does not process the job "%s": %s', job.name, error)
            return []

    def _may_be_usable(self, job: ClusterJob) -> bool:
        _, at = self._refused.get(job.schema, ("", -math.inf))
        return time.monotonic() - at > REFUSED_FOR

    def _prepared(self, job: ClusterJob, run: int) -> ServedJob:
        with PostgresConnection(self.dsn, job.schema) as connection:
            row = shards.order_of(connection, run)
            order = Order.from_json(row.settings, self.environment)
            provider = order.provider
            if order.description is not None:
                provider = take_description(connection, self.state, provider, order.description)
        service = order.service(self.environment, provider)
        if account_of(service) != job.account:
            raise JournalError(
                tr(
                    "it uses another key of {origin} than this host has, or another address",
                    origin=job.origin,
                )
            )
        folder = self._folder_of(job, order)
        return ServedJob(
            dsn=self.dsn,
            schema=job.schema,
            account=job.account,
            folder=folder,
            service=service,
            settings=order.settings,
            order=row,
            state=self.state,
            own_server=PROVIDERS[service.provider].own_server,
            worker=self._name,
            before=self._figures.get((job.schema, run), Figures()),
            approvals=job.approvals,
            span=self.span,
        )

    def _folder_of(self, job: ClusterJob, order: Order) -> JobFolder:
        """Return the folder where this worker stores files, or receives those for an object store.

        Raises:
            JournalError: the job's output folder is not on this host.
            FolderRefused: the object store cannot be used.
        """
        if order.files is None:
            folder = JobFolder(Utf8Path(job.folder))
            _check_folder(folder, job)
        else:
            folder = JobFolder(self.state / "cluster" / job.schema / "files")
            settle_place(folder, order.files, is_new=True)
        folder.clear_parts(shared=True)
        return folder

    async def _serve(self, job: ServedJob) -> None:
        """Process shards of one job; after a failure, begin again a little later."""
        try:
            async with open_serving(job) as serving:
                self._serving[job.schema] = serving
                if self._stopping.is_set():
                    return
                log.info("processing the job in %s, run %d", job.folder.root, job.order.run)
                try:
                    await serving.process_shards()
                finally:
                    done = self._figures[job.schema, job.order.run] = serving.figures
                    log.info(
                        "leaving the job in %s after %d submissions and %d polls in this run",
                        *(job.folder.root, done.submissions, done.polls),
                    )
        except DatabaseRestored as error:
            await run_sync(self._pause, job.schema, error)
        except (BatchRunnerError, OSError, psycopg.Error) as error:
            log.warning("the job in %s is left for a moment: %s", job.folder.root, error)
            cut_off = isinstance(error, CutOff)
            with anyio.move_on_after(job.settings.timeouts.outage if cut_off else TRY_AGAIN):
                await self._stopping.wait()
        finally:
            del self._serving[job.schema]

    def _pause(self, schema: str, error: DatabaseRestored) -> None:
        log.error("%s", error)
        try:
            jobs.pause_restored(self.dsn, schema, str(error))
        except JournalError as problem:
            log.warning("%s", problem)


def _check_folder(folder: JobFolder, job: ClusterJob) -> None:
    """Check that the job's output folder is the same on this host.

    Raises:
        JournalError: it is not.
    """
    try:
        marker = json.loads(folder.marker.read_bytes())
        if marker["job"] == job.id:
            return
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise JournalError(
        tr(
            "its output folder {folder} is not on this host; mount it at the same path",
            folder=folder.root,
        )
    )
