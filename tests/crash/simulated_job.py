"""One job from one seed: runs with faults and kills, then a last run without faults."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import random
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from batch_runner.engine.build import build_run
from batch_runner.engine.run import execute
from batch_runner.engine.summary import ExitCode, RunSummary
from batch_runner.jobdir.identity import service_host
from batch_runner.jobdir.open import OpenJob, open_job
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import Change, ItemRow, TaskIdTaken, open_reader
from batch_runner.lifecycle import PAYS_AGAIN, Event, ItemStatus
from batch_runner.models import UPLOAD_MARK, InputFile, ItemSpec
from batch_runner.ratelimit.shared_rate import open_shared_rate, shared_rate_path
from batch_runner.registry import read_registry
from batch_runner.settings import (
    Downloads,
    Limits,
    Polling,
    Retries,
    Settings,
    Timeouts,
    Uploads,
)
from tests.crash.audit import (
    AuditData,
    beyond_limits,
    read_audit_data,
    violations,
    violations_at_the_end,
)
from tests.crash.clock import SharedTime, SimulationLoop, in_a_loop
from tests.crash.crash import CrashPoint, Killed
from tests.crash.inline import InlineCommitter, InlineOffload
from tests.crash.service import Kind, PaidTask, SimulatedService, kind_of
from tests.harness import IDENTITY, an_item

#: Wall-clock seconds since the epoch at the start.
START = 1_700_000_000.0
#: The input file of those items that have one.
PHOTO = b"two people, smiling"
#: Events of a held submission whose outcome a run has found out, or tried to.
_SETTLED = (Event.ATTACHED, Event.NOT_SUBMITTED, Event.SUBMIT_REPEATED)
#: Seconds from the last run with faults to the one without: no Retry-After lasts longer.
UNTIL_LAST_RUN = 2 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What happened to one job: every call, every event of the journal, every broken promise."""

    seed: int | str
    lines: tuple[str, ...]
    violations: tuple[str, ...]
    runs: int
    crashes: int
    faults: int
    submissions: int
    settled: int  # submissions without a response of which a run found out what became of them
    held: int  # items that are held at the end


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What was drawn for one run. None: it does not happen."""

    crash_at: int | None = None  # step
    full_from: int | None = None  # commit from which on the journal's disk is full
    deadline: float | None = None  # seconds
    chance: int = 0  # seed of the client's own jitter


class SimulatedJob:
    """A job, its service, and the time that they share."""

    def __init__(
        self,
        seed: int | str,
        root: Path,
        *,
        time: SharedTime | None = None,
        state: Path | None = None,
        kind: Kind | None = None,
        tasks: list[PaidTask] | None = None,
    ) -> None:
        """`state`: the state directory with the registry; None: there is none.

        `kind` of service; None: as the seed decides. `tasks`: those of all jobs at the service;
        None: there is no other job.
        """
        self._seed = seed
        self._root = root
        self._state = state
        self._identity = dataclasses.replace(IDENTITY, job=root.name)
        self._dice = random.Random(seed)
        self._time = time or SharedTime()
        self._lines: list[str] = []
        self._service = SimulatedService(
            seed, self._time, self._note, kind=kind or kind_of(seed), tasks=tasks
        )
        self._items = self._draw_items()
        self._settings = self._draw_settings()
        self._approved: Counter[str] = Counter()
        self._shared: list[str] = []  # keys that the user agrees to pay for again
        self._removed: set[str] = set()
        self._left_out: set[str] = set()
        self._unlisted: ItemSpec | None = None  # the item that is not listed in this run
        self._violations: list[str] = []
        self._runs = self._crashes = self._last_event = self._settled = self._held = self._ids = 0

    def simulate(self) -> Trace:
        """Make all runs, or stop after the first that breaks a promise."""
        for _ in range(self._dice.randint(1, 4)):
            self.run_once()
            if self._violations:
                break
        else:
            self.last_run()
        return self.trace

    def run_once(self, *, decide: bool = True) -> None:
        """Make one run, with faults; then the user may decide, and time passes."""
        self._run(self._draw_plan(), self._settings)
        if decide and not self._violations:
            self._let_the_user_decide()
        self._time.now += self._dice.choice((1.0, 600.0, 36000.0))

    @property
    def trace(self) -> Trace:
        """Return what has happened."""
        return Trace(
            seed=self._seed,
            lines=tuple(self._lines),
            violations=tuple(self._violations),
            runs=self._runs,
            crashes=self._crashes,
            faults=self._service.faults,
            submissions=len(self._service.ledger),
            settled=max(0, self._settled),
            held=self._held,
        )

    # What is drawn.

    def _draw_items(self) -> list[ItemSpec]:
        items = [
            an_item(number, prompt=f"item-{number}", attempts=self._dice.choice((1, 1, 1, 2, 3)))
            for number in range(self._dice.randint(3, 12))
        ]
        photo = self._root.with_name("photo.jpg")
        photo.write_bytes(PHOTO)
        file = InputFile(path=photo, sha256=hashlib.sha256(PHOTO).hexdigest())
        for item in items if self._dice.random() < 0.3 else ():
            if self._dice.random() < 0.7:
                item.files = (file,)
                item.params = {**item.params, "9": {"url": f"{UPLOAD_MARK}{file.sha256}"}}
        return items

    def _draw_settings(self) -> Settings:
        draw = self._dice.choice
        settings = Settings(
            limits=Limits.model_validate(
                {
                    "rate": draw(("1/s", "5/s", "50/s")),
                    "in_flight": draw((1, 3, 12)),
                    "poll_rate": draw(("1/s", "20/s")),
                    "max_submissions": draw((None, None, None, 5)),
                }
            ),
            timeouts=Timeouts(task=draw((300.0, 7200.0)), unknown=draw((3.0, 60.0))),
            polling=Polling(concurrency=draw((1, 4))),
            retries=Retries(max_tries=draw((1, 3, 6)), budget=draw((3, 20))),
            downloads=Downloads(concurrency=draw((1, 3)), free_bytes=1),
            uploads=Uploads(reuse_for=draw((1.0, 86400.0))),
        )
        at_once = {"concurrent_submissions": draw((1, 2, 8))}
        return settings.model_copy(update={"limits": settings.limits.model_copy(update=at_once)})

    def _draw_plan(self) -> RunPlan:
        draw, steps = self._dice, 20 * len(self._items)
        return RunPlan(
            crash_at=draw.randint(1, steps) if draw.random() < 0.7 else None,
            full_from=draw.randint(1, 30) if draw.random() < 0.1 else None,
            deadline=draw.uniform(1, 200) if draw.random() < 0.2 else None,
            chance=draw.getrandbits(32),
        )

    # What happens.

    def last_run(self) -> None:
        """Run once more without faults; every item must have a final status."""
        self._service.faultless = True
        self._time.now += UNTIL_LAST_RUN
        limits = Limits.model_validate({"rate": "5/s"})
        self._run(RunPlan(), Settings(limits=limits, downloads=Downloads(free_bytes=1)))
        if (data := self._audit_data()) is not None:
            claimed = self._claimed_by_others()
            self._violations += violations_at_the_end(data, len(self._items), claimed)

    # What other jobs share.

    def approve(self) -> None:
        """Let the user agree to pay for items that another job has, from the next run on."""
        self._shared = sorted(self._claimed_by_others())
        self._note(f"USER approves {len(self._shared)} items of other jobs")
        self._approved.update(item.id for item in self._items if item.key in self._shared)

    def paid(self) -> Counter[str]:
        """Return how often each item was paid for by this job."""
        return Counter(task.item for task in self._service.ledger)

    def allowed(self) -> Counter[str]:
        """Return how many submissions of each item are allowed beyond the first of all jobs."""
        told = Counter(task.item for task in self._service.ledger if task.told_failed)
        further = {one.id: min(one.attempts - 1, told[one.id]) for one in self._items}
        lost = Counter(t.item for t in self._service.ledger if t.is_lost(self._time.now))
        return self._approved + Counter(further) + lost

    def _claimed_by_others(self) -> frozenset[str]:
        registry = None if self._state is None else read_registry(self._state)
        folder = JobFolder(self._root)
        if registry is None or not folder.marker.exists():
            return frozenset()
        with registry, open_reader(folder.journal) as reader:
            job_id, host = reader.job().id, service_host(self._identity.origin)
            keys = [item.key for item in self._items]
            claims = registry.claims_of_others(self._identity.provider, host, job_id, keys)
        return frozenset(claim.key for claim in claims)

    def _run(self, plan: RunPlan, settings: Settings) -> None:
        self._runs += 1
        omit = not self._service.faultless and self._dice.random() < 0.2
        self._unlisted = self._dice.choice(self._items) if omit else None
        if self._unlisted is not None:
            self._left_out.add(self._unlisted.id)
        paid_before = self._paid_unlisted()
        self._note(f"RUN {self._runs} {plan} without {self._unlisted and self._unlisted.id}")
        self._service.sent_at.clear()
        crash = self._service.crash = CrashPoint(plan.crash_at, self._note)
        try:
            self._process(crash, plan, settings)
        except Killed:
            self._crashes += 1
            self._service.run_ended(killed=True)
        except Exception as error:  # noqa: BLE001  any exception is a violation
            self._violations.append(f"the run ended by {error!r}")
        limits, service = settings.limits, self._service
        paid = sum(not task.is_lost(self._time.now) for task in service.ledger)
        self._violations += beyond_limits(limits, paid, service.sent_at)
        if self._unlisted is not None and self._paid_unlisted() > paid_before:
            self._violations.append(f"{self._unlisted.id} was paid for, and is not listed")
        self._audit()

    def _paid_unlisted(self) -> int:
        unlisted = self._unlisted
        if unlisted is None:
            return 0
        return sum(task.item == unlisted.id for task in self._service.ledger)

    def _process(self, crash: CrashPoint, plan: RunPlan, settings: Settings) -> None:
        """Run one process, from the lock to the summary."""

        def wall_clock() -> float:
            if not in_a_loop():
                crash.step("in a transaction before the run")
            return self._wall_time()

        with open_job(self._root, self._identity, state=self._state, wall_clock=wall_clock) as job:
            self._removed.clear()  # missing files have been noticed
            job.claims.approve(self._shared)
            job.journal.import_items(item for item in self._items if item is not self._unlisted)
            loop = SimulationLoop(self._time)
            try:
                summary = loop.run_until_complete(self._work(job, crash, plan, settings))
            except Killed:
                job.claims._registry = None  # a killed process does not close it in good order
                raise
            finally:
                crash.killed = True
                loop.discard()
        self._service.run_ended(killed=False)
        self._note(f"EXIT {summary.exit_code.name} {summary.stop and summary.stop.reason}")
        if summary.stop and summary.stop.reason == "journal" and plan.full_from is None:
            self._violations.append(f"the journal was lost: {summary.stop.message}")
        listed = len(self._items) - (self._unlisted is not None)
        if summary.exit_code is ExitCode.DONE and summary.counts[ItemStatus.DONE] < listed:
            self._violations.append("exit code 0 although not every item is done")

    async def _work(
        self, job: OpenJob, crash: CrashPoint, plan: RunPlan, settings: Settings
    ) -> RunSummary:
        path = None if job.state is None else shared_rate_path(job.state, "service", "key")
        committer = functools.partial(InlineCommitter, crash=crash, full_from=plan.full_from)
        with open_shared_rate(path, settings.limits.rate) as shared_rate:
            run = build_run(
                job,
                settings,
                self._service,
                deadline=plan.deadline,
                seed=plan.chance,
                wall_clock=self._wall_time,
                offload=InlineOffload(crash),
                shared_rate=shared_rate,
                new_id=self._new_id,
            )
            start = functools.partial(job.journal.start, committer)
            return await execute(run, start_journal=start)

    def _let_the_user_decide(self) -> None:
        """Let the user resolve or retry some items, or remove a file."""
        if (data := self._audit_data()) is None:
            return
        with open_job(self._root, None, state=self._state, wall_clock=self._wall_time) as job:
            for row in data.rows:
                status = job.journal.status_of(row.key)
                if status is ItemStatus.DONE and self._dice.random() < 0.05:
                    self._note(f"USER removes the file of {row.id}")
                    self._removed.add(row.files[0].name)
                    data.folder.root.joinpath(row.files[0].name).unlink()
                elif (change := self._decision(data, row, status)) is not None:
                    self._decide(job, change, row.id)

    def _decide(self, job: OpenJob, change: Change, item_id: str) -> None:
        self._note(f"USER {change.event} {item_id}")
        self._approved[item_id] += change.event in PAYS_AGAIN
        try:
            job.journal.apply(change)
        except TaskIdTaken as error:  # given twice by the service, and just found in a log
            self._note(f"USER is told: {error}")
        else:
            self._settled -= change.event is Event.ATTACHED

    def _decision(self, data: AuditData, row: ItemRow, status: ItemStatus | None) -> Change | None:
        ended = (ItemStatus.FAILED, ItemStatus.REJECTED, ItemStatus.DROPPED)
        if status in ended and self._dice.random() < 0.2:
            return Change(key=row.key, event=Event.RETRIED)
        if status is not ItemStatus.HELD or self._dice.random() < 0.5:
            return None
        owned = {event.task_id for events in data.events.values() for event in events}
        found = [task.id for task in data.paid.get(row.id, []) if task.id not in owned]
        if found:
            return Change(key=row.key, event=Event.ATTACHED, task_id=found[-1])
        event = self._dice.choice((Event.RESUBMITTED, Event.DROPPED))
        return Change(key=row.key, event=event, reason="dropped", message="given up by the user")

    # What is observed.

    def _audit(self) -> None:
        if (data := self._audit_data()) is None:
            if self._service.ledger:
                self._violations.append("something was paid for before there was a journal")
            return
        self._violations += violations(data)
        self._violations += self._service.broken
        self._held = sum(row.status is ItemStatus.HELD for row in data.rows)
        recorded = [event for events in data.events.values() for event in events]
        for event in sorted(recorded, key=lambda event: event.seq):
            if event.seq > self._last_event:
                self._settled += event.event in _SETTLED
                moment = event.at - START
                self._lines.append(
                    f"{moment:12.3f}    journal {event.seq} {event.key[-2:]} {event.event} "
                    f"{event.attempt} {event.task_id or ''} {event.reason or ''}"
                )
        self._last_event = max((event.seq for event in recorded), default=self._last_event)

    def _audit_data(self) -> AuditData | None:
        return read_audit_data(
            self._root,
            self._service,
            now=self._time.now,
            approved=self._approved,
            left_out=self._left_out,
            removed=self._removed,
        )

    def _new_id(self) -> str:
        self._ids += 1
        random_bits = random.Random(f"{self._seed} id {self._ids}").getrandbits(128)
        return str(uuid.UUID(int=random_bits, version=4))

    def _wall_time(self) -> float:
        return START + self._time.now

    def _note(self, line: str) -> None:
        self._lines.append(f"{self._time.now:12.3f} {line}")
