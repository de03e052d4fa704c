"""Give the items of a job to the workers, and follow them to the end of the run.

These are the stages of `run --cluster`; whatever else belongs to a run is that of any run. If it is
interrupted, the workers go on, and the next `run --cluster` follows them again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import anyio
from anyio.to_thread import run_sync

from batch_runner.cluster import jobs
from batch_runner.cluster.contents import InputStore
from batch_runner.cluster.descriptions import digest_of
from batch_runner.cluster.orders import Order
from batch_runner.cluster.shard_run import reason_of
from batch_runner.engine.context import Run
from batch_runner.engine.reuse import ResultReuse
from batch_runner.engine.selection import is_selected
from batch_runner.errors import JournalError, RegistryError
from batch_runner.jobdir.open import OpenJob
from batch_runner.journal.base import DatabaseRestored
from batch_runner.journal.postgres import contents, shards
from batch_runner.journal.postgres.figures import Figures, figures_of
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.journal.postgres.shards import RunOrder, Stop
from batch_runner.journal.sql.connection import Connection
from batch_runner.journal.sql.rows import count_by_status
from batch_runner.lifecycle import ItemStatus
from batch_runner.settings import Service
from batch_runner.util.locale import items_text

log = logging.getLogger(__name__)

#: Items that are claimed in the registry at a time.
PAGE = 500
#: Seconds between two looks at the database, and at least this many times what a look takes.
LOOK_EVERY, LEAST_PAUSE = 1.0, 10.0
#: Seconds without any worker after which that is reported.
MISSED_AFTER = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the workers are."""

    unfinished: int  # shards
    counts: dict[ItemStatus, int]
    figures: Figures
    stops: list[Stop]
    attended: bool  # a worker is there


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """Gives a job to the workers of a cluster; an instance is the `Stages` of a run."""

    dsn: str
    schema: str
    journal: PostgresJournal
    account: str
    order: str  # of the run, as JSON
    description: bytes | None  # of the service, by the user; None: the provider is built in
    seconds_left: float | None  # until the run must end; None: it need not

    async def __call__(self, run: Run, number: int) -> None:
        """Let workers process what can be, and wait until they have."""
        control = run.state.control
        control.submissions_finished()  # by this process: there are none
        with control.cancel_on_shutdown():
            try:
                await ResultReuse(run).take_over()
                if control.submitting:
                    await self._give(run, number)
                    await self._follow(run, number)
            except JournalError as error:
                run.recorder.journal_failed(error)

    async def _give(self, run: Run, number: int) -> None:
        """Claim the pending items, and let workers process the rest."""
        selected = run.context.selected
        excluded = await self._prepare_all(run)
        chosen: Sequence[int] | None = None
        if not run.state.control.submitting:
            chosen = ()
        elif selected is not None or excluded:
            listed = await self.journal.call(_pending_positions)
            chosen = [one for one in listed if is_selected(one, selected) and one not in excluded]
        left = self.seconds_left
        order = RunOrder(
            run=number,
            settings=self.order,
            selected=None if chosen is None else tuple(chosen),
            deadline=None if left is None else time.time() + left,
        )
        if (content := self.description) is not None:
            digest = digest_of(content)
            await self.journal.call(lambda connection: contents.store(connection, digest, content))
        prices = run.context.settings.limits.price
        await self.journal.call(lambda connection: shards.want_shards(connection, order, prices))
        await run_sync(self._activate, await self.journal.call(_job_row))

    def _activate(self, job: dict[str, object]) -> None:
        with jobs.connected(self.dsn) as connection:
            jobs.activate(connection, self.schema, job, self.account)

    async def _prepare_all(self, run: Run) -> set[int]:
        """Claim every pending item in the registry, and store its input files for the workers.

        Return the positions of what others have, and of what lacks a file.
        """
        excluded: set[int] = set()
        lacking: set[int] = set()
        inputs, after = InputStore(run, self.journal), -1
        while page := await run.recorder.read(run.context.journal.pending_items(after, PAGE)):
            after = page[-1].position
            wanted = [one for one in page if is_selected(one.position, run.context.selected)]
            keys = [item.key for item in wanted]
            try:
                others = await run.context.offload(run.context.claims.claim, keys)
            except RegistryError as error:
                run.state.control.stop_without_registry(error)
                return excluded
            excluded |= {item.position for item in wanted if item.key in others}
            lacking |= await inputs.store(one for one in wanted if one.key not in others)
        if (count := len(excluded) - run.state.stats.waiting) > 0:
            log.warning("another job has just claimed %s, which stay pending", items_text(count))
        return excluded | lacking

    async def _follow(self, run: Run, number: int) -> None:
        """Keep the figures of the run up to date until every shard is finished."""
        present_at, reported, answered = time.monotonic(), False, True
        while True:
            started = time.monotonic()
            try:
                progress = await self.journal.call(lambda connection: _look(connection, number))
            except DatabaseRestored as error:
                await run_sync(jobs.pause_restored, self.dsn, self.schema, str(error))
                raise
            except JournalError as error:
                if answered:
                    log.warning("the database does not answer, and is asked again: %s", error)
                answered = False
                await anyio.sleep(LOOK_EVERY)
                continue
            answered = True
            _show(run, progress)
            if not progress.unfinished:
                break
            if any(stop.reason == jobs.RESTORED for stop in progress.stops):
                break  # no worker does anything until a person approves
            if progress.attended:
                present_at, reported = started, False
            elif started - present_at > MISSED_AFTER and not reported:
                reported = True
                log.warning(
                    "no worker is processing this job: run `batch-runner worker` on some hosts, "
                    "with the same key"
                )
            await anyio.sleep(max(LOOK_EVERY, LEAST_PAUSE * (time.monotonic() - started)))
        for stop in progress.stops:
            run.state.control.stop_submitting(reason_of(stop))
        with suppress(JournalError):  # else the workers and the next run do it
            await self.journal.call(contents.delete_all)
            await run_sync(self._deactivate)

    def _deactivate(self) -> None:
        with jobs.connected(self.dsn) as connection:
            jobs.deactivate_if_done(connection, self.schema)


def follow(
    dsn: str,
    job: OpenJob,
    order: Order,
    service: Service,
    *,
    description: bytes | None,
    seconds_left: float | None,
) -> Following:
    """Return the stages of a run of a cluster job."""
    if not isinstance(job.journal, PostgresJournal):
        raise TypeError("no cluster job")
    return Following(
        dsn=dsn,
        schema=job.journal.schema,
        journal=job.journal,
        account=jobs.account_of(service),
        order=order.to_json(),
        description=description,
        seconds_left=seconds_left,
    )


def _pending_positions(connection: Connection) -> list[int]:
    query = (
        "SELECT position FROM items WHERE status = 'pending' "
        "AND import_number = (SELECT import_number FROM job)"
    )
    return [row[0] for row in connection.execute(query).fetchall()]


def _job_row(connection: Connection) -> dict[str, object]:
    return dict(connection.execute("SELECT * FROM job").fetchone())


def _look(connection: Connection, run: int) -> Progress:
    stop = shards.latest_stop(connection)
    return Progress(
        unfinished=shards.unfinished_shards(connection),
        counts=count_by_status(connection),
        figures=figures_of(connection, run),
        stops=[*([] if stop is None else [stop]), *shards.stops(connection, run)],
        attended=shards.is_attended(connection),
    )


def _show(run: Run, progress: Progress) -> None:
    """Make what the workers have done the figures of this run."""
    stats, done = run.state.stats, progress.figures
    stats.counts = progress.counts
    stats.paid = stats.submissions = done.submissions
    stats.polls, stats.limited, stats.retries = done.polls, done.limited, done.retries
