"""One sweep of one kind: its folder, its random numbers, its service, its jobs, and what was found.

At the end the faults are over, every job is run to its end, and service, journals, registry and
files are compared.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import results_of
from batch_runner.journal import ItemRow, journal_exists, open_reader
from batch_runner.lifecycle import FINAL, ItemStatus
from batch_runner.storage.verify import find_damage
from tests.crash.processes import Job, start_service
from tests.e2e.conftest import KEY

#: Statuses that need a reason.
_NAMED = (ItemStatus.HELD, ItemStatus.FAILED, ItemStatus.REJECTED, ItemStatus.DOWNLOAD_PENDING)


class Scene:
    """What one sweep works with."""

    def __init__(
        self,
        kind: str,
        seed: int,
        *,
        faults: Sequence[str] = (),
        program: Sequence[str] = ("-m", "batch_runner"),
    ) -> None:
        self.seed = seed
        self.random = random.Random(f"{kind} {seed}")
        self.folder = Path(tempfile.mkdtemp(prefix=f"soak-{kind}-{seed}-"))
        self.counts: Counter[str] = Counter()
        self.found: list[str] = []
        self.jobs: list[Job] = []
        self.deleted = False  # an output folder was deleted: the registry alone knows its items
        self._program = program
        self.service = start_service(seed, faults)

    def close(self) -> None:
        """Stop the service; keep the folder if something was found."""
        self.service.process.terminate()
        self.service.process.communicate()
        if not self.found:
            shutil.rmtree(self.folder)

    def job(self, name: str = "cards", *, url: str | None = None) -> Job:
        """Add a job; all jobs have the same items and share the state directory."""
        job = Job(
            self.folder, url or self.service.url, self.counts, name=name, program=self._program
        )
        self.jobs.append(job)
        return job

    def check(self, condition: object, text: str) -> None:
        """Note a violation unless the condition is true."""
        if not condition:
            self.found.append(text)

    def paid(self) -> int:
        """Return how many submissions the service has accepted."""
        return len(self.service.ledger()["submissions"])

    def finish(self) -> None:
        """Run every job to its end without faults, and audit."""
        self.service.set_faults()
        for job in self.jobs[:-1]:  # a job may wait for items that the next one finishes
            job.run()
        for job in reversed(self.jobs):
            if job.run() not in (0, 1):
                self.found.append(f"the last run exited {job.code}: {job.said[-1][-600:]}")
        self.found += self.audit()

    def audit(self) -> Iterator[str]:
        """Yield every promise that is broken after the last runs."""
        ledger = self.service.ledger()
        rows = {job: items_of(job) for job in self.jobs}
        yield from self._audit_submissions(ledger, rows)
        for job, items in rows.items():
            yield from self._audit_items(job, items)
            yield from _audit_files(job, items)
            yield from _audit_deliveries(job, items)
        if ledger["leaks"] or _leaks(self.folder, self.jobs):
            yield "the key leaked"
        for job in self.jobs:
            if any("Traceback" in text for text in job.said):
                yield "a run printed a traceback: " + "\n".join(job.said)[-1500:]

    def _audit_submissions(
        self, ledger: dict[str, Any], rows: dict[Job, list[ItemRow]]
    ) -> Iterator[str]:
        every = [row for items in rows.values() for row in items]
        held = {row.prompt for row in every if row.status is ItemStatus.HELD}
        known = {task for job in self.jobs for task in _task_ids(job)}
        claimed = _claims(self.jobs[0].state) if self.deleted and self.jobs else {}
        keys = {row.prompt: row.key for row in every}
        paid = [(prompt_of(one), one["task_id"]) for one in ledger["submissions"]]
        self.counts["submissions"] += len(paid)
        self.counts["held"] += len(held)
        for prompt, count in Counter(prompt for prompt, _ in paid).items():
            if count > 1:
                yield f"{prompt} was paid {count} times"
        for prompt, task_id in paid:
            if task_id in known or prompt in held:
                continue
            if not (self.deleted and (prompt not in keys or keys[prompt] in claimed)):
                yield f"task {task_id} of {prompt} is not in the journal"

    def _audit_items(self, job: Job, items: list[ItemRow]) -> Iterator[str]:
        if not items:
            yield f"{job.manifest.name} has no items"
        for row in items:
            if row.status not in FINAL:
                yield f"{row.id} ends as {row.status}"
            if row.status in _NAMED and not (row.reason and row.message):
                yield f"{row.id} is {row.status} without a reason"


def prompt_of(submission: dict[str, Any]) -> str:
    """Return the prompt of a row of the ledger."""
    return str(json.loads(submission["body"])["params"]["6"]["text"])


def items_of(job: Job) -> list[ItemRow]:
    journal = JobFolder(job.out).journal
    if not journal_exists(journal):
        return []
    with open_reader(journal) as reader:
        return list(reader.items())


def _task_ids(job: Job) -> set[str | None]:
    journal = JobFolder(job.out).journal
    if not journal_exists(journal):
        return set()
    with open_reader(journal) as reader:
        keys = [row.key for row in reader.items()]
        return {event.task_id for key in keys for event in reader.events(key)}


def _claims(state: Path) -> dict[str, str]:
    path = state / "batch-runner" / "registry.sqlite"
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path)) as database:
        return dict(database.execute("SELECT key, status FROM claims").fetchall())


def _audit_files(job: Job, items: list[ItemRow]) -> Iterator[str]:
    done = [row for row in items if row.status is ItemStatus.DONE]
    for row in done:
        for file in row.files:
            if (damage := find_damage(results_of(JobFolder(job.out)), file, deep=True)) is not None:
                yield damage
    placed = {file.name for row in done for file in row.files} | {"index.html"}
    for path in job.out.iterdir() if job.out.is_dir() else ():
        if path.is_file() and path.name not in placed and not path.name.startswith("."):
            yield f"{path.name} belongs to no item"


def _audit_deliveries(job: Job, items: list[ItemRow]) -> Iterator[str]:
    if job.delivered is None:
        return
    lines = job.delivered.read_text().splitlines() if job.delivered.exists() else []
    told = {(item["id"], item["status"]) for item in map(json.loads, lines)}
    for row in items:
        if row.status in FINAL and (row.id, row.status.value) not in told:
            yield f"{row.id} is {row.status}, and on_item was not told"


def _leaks(folder: Path, jobs: list[Job]) -> bool:
    files = [path for path in folder.rglob("*") if path.is_file()]
    written = any(KEY.encode() in path.read_bytes() for path in files)
    return written or any(KEY in text for job in jobs for text in job.said)
