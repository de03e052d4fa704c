"""Helpers of the integration tests: a run against the simulator in one event loop, and its audit.

Tests assert what the journal contains, what is on the disk and what the simulator's ledger counted,
not which method was called.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from anyio.to_thread import current_default_thread_limiter
from pydantic import SecretStr

from batch_runner.engine.build import build_run
from batch_runner.engine.run import BackgroundTask, execute
from batch_runner.engine.selection import SelectedItems
from batch_runner.engine.summary import RunSummary
from batch_runner.jobdir.identity import JobIdentity
from batch_runner.jobdir.open import open_job
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import results_of
from batch_runner.journal import ItemRow, open_reader
from batch_runner.journal.sql.group_commit import GroupCommit
from batch_runner.journal.sql.journal import SqlJournal
from batch_runner.lifecycle import ItemStatus
from batch_runner.models import UPLOAD_MARK, InputFile, ItemSpec
from batch_runner.providers import Provider, open_provider
from batch_runner.settings import Limits, Service, Settings
from batch_runner.simulator import Simulator, SimulatorSettings
from batch_runner.storage.verify import find_damage
from tests.clock import VirtualTimeLoop

KEY = "sk-a-key-that-must-not-leak"
IDENTITY = JobIdentity(job="cards", provider="baicai", origin="http://127.0.0.1")


def some_items(count: int, *, attempts: int = 1) -> list[ItemSpec]:
    """Return `count` items with different prompts."""
    return [an_item(number, attempts=attempts) for number in range(count)]


def an_item(number: int = 0, *, prompt: str | None = None, attempts: int = 1) -> ItemSpec:
    """Return one item; `prompt` None stands for one by which the ledger's entry can be found."""
    text = prompt or f"horse {number}"
    return ItemSpec(
        key=f"{number:032x}",
        position=number,
        id=f"item-{number}",
        name=f"card-{number}",
        prompt=text,
        workflow="year_of_the_horse_greeting_card",
        params={"6": {"text": text}},
        attempts=attempts,
    )


def with_photo(items: list[ItemSpec], photo: Path, content: bytes) -> list[ItemSpec]:
    """Return `items`, each with the input file `photo`, which had `content` when planned."""
    file = InputFile(path=photo, sha256=hashlib.sha256(content).hexdigest())
    for item in items:
        item.files = (file,)
        item.params = {**item.params, "113": {"url": f"{UPLOAD_MARK}{file.sha256}"}}
    return items


def some_settings(**limits: object) -> Settings:
    """Return settings with 20 submissions a second, and these limits."""
    return Settings(limits=Limits.model_validate({"rate": "20/s", "in_flight": 50, **limits}))


@asynccontextmanager
async def simulated_service(*faults: str, **options: object) -> AsyncIterator[Simulator]:
    """Run a simulator with tasks of 1 to 20 seconds and pictures of 3 kB."""
    values = {"service_time": "uniform:1,20", "image_bytes": 3000, **options}
    async with Simulator(SimulatorSettings(faults=faults, **values)) as simulator:  # type: ignore[arg-type]
        yield simulator


def service_at(simulator: Simulator) -> Service:
    """Return URL and key of a simulator."""
    return Service(provider="baicai", base_url=simulator.base_url, key=SecretStr(KEY))


async def run_job(
    root: Path,
    simulator: Simulator,
    items: Sequence[ItemSpec],
    settings: Settings | None = None,
    *,
    deadline: float | None = None,
    background_tasks: Sequence[BackgroundTask] = (),
    service: Service | None = None,
    suspended: Callable[[], float] = lambda: 0.0,
    selected: SelectedItems | None = None,
) -> RunSummary:
    """Run a job of `items` in the folder `root` once; `deadline` in seconds of the loop's clock.

    `service` None stands for the simulator, connected to directly. `suspended` returns how many
    seconds the computer has slept.
    """
    settings = settings or some_settings()
    async with open_provider(service or service_at(simulator), settings) as provider:
        return await run_provider_job(
            root,
            provider,
            items,
            settings,
            background_tasks=background_tasks,
            deadline=deadline,
            suspended=suspended,
            selected=selected,
        )


async def run_provider_job(
    root: Path,
    provider: Provider,
    items: Sequence[ItemSpec],
    settings: Settings | None = None,
    *,
    background_tasks: Sequence[BackgroundTask] = (),
    wall_clock: Callable[[], float] = time.time,
    state: Path | None = None,
    **options: Any,
) -> RunSummary:
    """Run a job of `items` with a provider once; `options` are those of `build_run`.

    `state` is the user's state folder, None: there is none.
    """
    key = None if state is None else KEY
    with open_job(root, IDENTITY, state=state, key=key, wall_clock=wall_clock) as job:
        job.journal.import_items(items)
        run = build_run(
            job, settings or some_settings(), provider, seed=1, wall_clock=wall_clock, **options
        )
        stop_clock_while_busy(job.journal)
        # The pause before a commit is real time, in which the virtual clock stands still.
        without_pause = functools.partial(GroupCommit, pause=0.0)
        return await execute(
            run,
            background_tasks=background_tasks,
            start_journal=functools.partial(job.journal.start, without_pause),
        )


def stop_clock_while_busy(journal: SqlJournal) -> None:
    """Stop the clock of a virtual loop also while the journal is written."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualTimeLoop):
        threads = current_default_thread_limiter()
        loop.never_jump_while(lambda: threads.borrowed_tokens > 0 or journal.busy)


def rows(root: Path) -> list[ItemRow]:
    """Return the journal's row of every item."""
    with open_reader(JobFolder(root).journal) as reader:
        return list(reader.items())


def statuses(root: Path) -> Counter[ItemStatus]:
    """Return the number of items in each status."""
    return Counter(row.status for row in rows(root))


def submissions_per_prompt(simulator: Simulator) -> Counter[str]:
    """Return the number of submissions that the service accepted, for each prompt."""
    return Counter(task.prompt for task in simulator.ledger.submissions)


def check_invariants(root: Path, simulator: Simulator, *, approved: int = 1) -> list[str]:
    """Return every broken promise that journal, disk and ledger show, [] if there is none.

    `approved` is the number of submissions that each item may have.
    """
    folder, found = JobFolder(root), []
    for prompt, count in submissions_per_prompt(simulator).items():
        if count > approved:
            found.append(f"{prompt!r} was paid {count} times")
    known = {row.prompt: row for row in rows(root)}
    for task in simulator.ledger.submissions:
        row = known[task.prompt]
        if row.status is ItemStatus.REJECTED or row.status is ItemStatus.PENDING:
            found.append(f"{row.id} is {row.status}, but its task {task.id} was paid")
    for row in known.values():
        found += _broken_item(folder, row)
    followed = [entry for entry in simulator.ledger.redirected if entry.get("key")]
    if simulator.ledger.leaks or followed:
        found.append("the key was sent to another origin")
    found += _unknown_files(folder, known.values())
    return found


def _broken_item(folder: JobFolder, row: ItemRow) -> list[str]:
    if row.status is ItemStatus.DONE:
        results = results_of(folder)
        wrong = [why for file in row.files if (why := find_damage(results, file, deep=True))]
        return wrong + ([] if row.files else [f"{row.id} is done without a file"])
    if row.status in (
        ItemStatus.HELD,
        ItemStatus.FAILED,
        ItemStatus.REJECTED,
        ItemStatus.DOWNLOAD_PENDING,
        ItemStatus.DROPPED,
    ):
        return [] if row.reason and row.message else [f"{row.id} is {row.status} without a reason"]
    return []


def _unknown_files(folder: JobFolder, items: object) -> list[str]:
    mine = {file.name for row in items for file in row.files}  # type: ignore[attr-defined]
    there = {path.name for path in folder.root.iterdir() if not path.name.startswith(".")}
    unknown = sorted(there - mine - {"index.html"})
    return [f"{name} belongs to no item" for name in unknown]


def files_with_the_key(root: Path) -> list[Path]:
    """Return every file below `root` that contains the key."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return [path for path in files if KEY.encode() in path.read_bytes()]
