"""Two jobs with the same items and one registry, whose runs are killed and whose folders go.

No item may be submitted by both, or by the successor of a deleted job, unless the user agrees; what
one has, the other reuses.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

from tests.crash.clock import SharedTime
from tests.crash.service import Kind, PaidTask, kind_of
from tests.crash.simulated_job import SimulatedJob, Trace


class SharedItems:
    """The jobs, those whose folder was deleted, and what the user agreed to pay for again.

    Each job has a view of the service with a ledger of its own, so that it can be audited alone.
    """

    def __init__(self, seed: int, folder: Path, *, kind: Kind | None = None) -> None:
        self._seed, self._folder, self._kind = seed, folder, kind or kind_of(seed)
        self._dice = random.Random(f"{seed} shared items")
        self._time = SharedTime()
        self._tasks: list[PaidTask] = []
        self._made = 0
        self._violations: list[str] = []
        self._jobs = [self._new_job("one"), self._new_job("two")]
        self._deleted: list[SimulatedJob] = []

    def simulate(self) -> Trace:
        """Make runs of both jobs in turn, or stop after the first that breaks a promise."""
        for _ in range(self._dice.randint(2, 6)):
            at = self._dice.randrange(2)
            if self._dice.random() < 0.15:
                self._jobs[at].approve()
            # A decision opens the job, which brings the registry up to date: not after every crash.
            self._jobs[at].run_once(decide=self._dice.random() < 0.4)
            if self._audit():
                break
            if self._dice.random() < 0.25:
                self._delete(at)
        else:
            for job in self._jobs:
                job.last_run()
            self._audit()
        return self._trace()

    def _new_job(self, name: str) -> SimulatedJob:
        self._made += 1
        return SimulatedJob(
            f"{self._seed} job {self._made}",
            self._folder / name,
            time=self._time,
            state=self._folder / "state",
            kind=self._kind,
            tasks=self._tasks,
        )

    def _delete(self, at: int) -> None:
        """Delete the folder of a job, whose next run begins a new one."""
        name = ("one", "two")[at]
        shutil.rmtree(self._folder / name, ignore_errors=True)
        self._deleted.append(self._jobs[at])
        self._jobs[at] = self._new_job(name)

    def _audit(self) -> bool:
        """Compare the submissions of all jobs; return whether a promise is broken."""
        jobs = [*self._deleted, *self._jobs]
        paid, allowed = Counter[str](), Counter[str]()
        for job in jobs:
            self._violations += job.trace.violations
            paid += job.paid()
            allowed += job.allowed()
        for item, count in paid.items():
            if count > 1 + allowed[item]:
                self._violations.append(
                    f"{item} was paid for {count} times by all jobs, {1 + allowed[item]} allowed"
                )
        return bool(self._violations)

    def _trace(self) -> Trace:
        traces = [job.trace for job in (*self._deleted, *self._jobs)]
        lines = [(line, n) for n, trace in enumerate(traces, 1) for line in trace.lines]
        return Trace(
            seed=self._seed,
            lines=tuple(f"{line[:12]} job {n}{line[12:]}" for line, n in sorted(lines)),
            violations=tuple(self._violations),
            runs=sum(trace.runs for trace in traces),
            crashes=sum(trace.crashes for trace in traces),
            faults=sum(trace.faults for trace in traces),
            submissions=sum(trace.submissions for trace in traces),
            settled=sum(trace.settled for trace in traces),
            held=sum(trace.held for trace in traces),
        )
