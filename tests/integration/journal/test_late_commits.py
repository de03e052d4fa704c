"""An event may be committed after one with a higher number: nobody who reads events misses it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path

import anyio
import psycopg
import pytest

from batch_runner.engine.build import build_run
from batch_runner.errors import IllegalTransition
from batch_runner.integrations.item_command import ItemCommands
from batch_runner.jobdir.claims import JobClaims
from batch_runner.jobdir.open import open_job
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.sidecars import Sidecars
from batch_runner.journal import Change
from batch_runner.journal.cluster_dsn import VARIABLE
from batch_runner.journal.postgres.commit import apply_all
from batch_runner.journal.postgres.connection import PostgresConnection, Transaction
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.journal.postgres.reader import open_reader
from batch_runner.journal.sql.transitions import Move
from batch_runner.lifecycle import Event
from batch_runner.manifest import OnItem
from batch_runner.models import ItemSpec, PlacedFile
from batch_runner.providers import open_provider
from batch_runner.registry import open_registry
from tests.harness import (
    IDENTITY,
    an_item,
    service_at,
    simulated_service,
    some_items,
    some_settings,
)
from tests.harness.postgres import PostgresServer, create_journal, new_schema

pytestmark = pytest.mark.anyio

#: Items in flight; one more is pending.
IN_FLIGHT = 3
ROUNDS = 150
FILE = PlacedFile(name="card.png", size=3, sha256="a" * 64, media_type="image/png")


def key(number: int) -> str:
    return an_item(number).key


@pytest.fixture
def slow(server: PostgresServer, schema: str) -> Iterator[PostgresJournal]:
    """Return the journal of a new job, as opened by a host that `late_end` delays."""
    with closing(create_journal(server, schema)) as journal:
        journal.import_items(some_items(IN_FLIGHT + 1))
        for number in range(IN_FLIGHT):
            journal.apply(Change(key=key(number), event=Event.SUBMIT_STARTED))
            confirmed, task_id = Event.SUBMIT_CONFIRMED, f"task-{number}"
            journal.apply(Change(key=key(number), event=confirmed, task_id=task_id))
        yield journal


@pytest.fixture
def fast(server: PostgresServer, schema: str, slow: PostgresJournal) -> Iterator[PostgresJournal]:
    """Return the same journal, as opened by another host."""
    with closing(PostgresJournal.open(server.dsn, schema)) as journal:
        yield journal


@pytest.fixture
def folder(
    server: PostgresServer, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> JobFolder:
    """Return the folder of the job."""
    monkeypatch.setenv(VARIABLE, server.dsn)
    folder = JobFolder(tmp_path / "out")
    folder.prepare()
    folder.cluster.write_text(json.dumps({"schema": schema}))
    return folder


def end(number: int) -> tuple[Change, ...]:
    """Return the changes that store the file of an item in flight."""
    completed = Change(key=key(number), event=Event.TASK_COMPLETED)
    return completed, Change(key=key(number), event=Event.PLACED, files=(FILE,))


@asynccontextmanager
async def late_end(
    server: PostgresServer, schema: str, slow: PostgresJournal
) -> AsyncIterator[None]:
    """Let the first item be done by a statement that ends when the block is left.

    The statement has written that event, and waits for a lock.
    """
    slow.start()
    with psycopg.connect(server.dsn) as other:
        other.execute(f'SELECT FROM "{schema}".items WHERE key = %s FOR UPDATE', (key(IN_FLIGHT),))
        last = Change(key=key(IN_FLIGHT), event=Event.SUBMIT_STARTED)
        recorded = slow.record(*end(0), last)
        await server.wait_for_blocked(1)
        yield
    await recorded


# What reads events.


async def test_end_that_commits_late_is_copied_to_the_registry(
    server: PostgresServer,
    schema: str,
    slow: PostgresJournal,
    fast: PostgresJournal,
    folder: JobFolder,
    tmp_path: Path,
) -> None:
    job_id = str(slow.job()["id"])

    def copied() -> dict[str, str]:
        own.sync()
        found = registry.claims_of_others("baicai", "x", None, [key(0), key(1)])
        return {claim.key: claim.status for claim in found}

    with open_registry(tmp_path) as registry:
        own = JobClaims(folder, registry, tmp_path)
        own.lock(job_id)
        own.start(account_key=None)
        async with late_end(server, schema, slow):
            fast.apply(end(1)[0])
            fast.apply(end(1)[1])
            assert copied() == {key(0): "submitted", key(1): "done"}

        assert copied() == {key(0): "done", key(1): "done"}
        record = registry.job(job_id)
        assert record is not None
        assert record.last_event == fast.last_event
        own.close()


async def test_end_that_commits_late_gets_a_sidecar(
    server: PostgresServer,
    schema: str,
    slow: PostgresJournal,
    fast: PostgresJournal,
    folder: JobFolder,
) -> None:
    (folder.root / FILE.name).write_bytes(b"png")
    written = Sidecars(folder)

    async with late_end(server, schema, slow):
        fast.apply(Change(key=key(1), event=Event.TASK_FAILED, reason="r", message="m"))
        assert written.sync() == 0

    assert written.sync() == 1
    assert json.loads((folder.root / "card.json").read_text("utf-8"))["id"] == "item-0"


async def test_end_that_commits_late_is_delivered_once(
    server: PostgresServer,
    schema: str,
    slow: PostgresJournal,
    fast: PostgresJournal,
    tmp_path: Path,
) -> None:
    looked = anyio.Event()
    commands = ItemCommands(
        OnItem(command="tee -a items.jsonl > /dev/null"),
        {},
        job="cards",
        manifest=tmp_path / "manifest.yaml",
        rehearsal=False,
        say=lambda text: looked.set(),
        end_seconds=1e9,
    )
    with closing(PostgresJournal.open(server.dsn, schema)) as journal:
        fast.start()
        journal.start()
        await journal.start_deliveries()
        async with (
            simulated_service() as simulator,
            open_provider(service_at(simulator), some_settings()) as provider,
            anyio.create_task_group() as tasks,
        ):
            with open_job(tmp_path / "out", IDENTITY) as job:
                run = build_run(replace(job, journal=journal), some_settings(), provider, seed=1)
            async with late_end(server, schema, slow):
                await fast.record(*end(1))
                tasks.start_soon(commands.deliver, run)
                finished = anyio.Event()

                async def finish() -> None:
                    await commands.finish(run)
                    looked.set()
                    finished.set()

                tasks.start_soon(finish)
                await looked.wait()
            await finished.wait()
            tasks.cancel_scope.cancel()

    lines = (tmp_path / "items.jsonl").read_text("utf-8").splitlines()
    assert sorted(json.loads(line)["id"] for line in lines) == ["item-0", "item-1"]
    assert commands.figures() == {"commands": 2, "failed": 0, "left": 0}


async def test_end_that_commits_after_the_first_start_is_delivered(
    server: PostgresServer, schema: str, slow: PostgresJournal, fast: PostgresJournal
) -> None:
    fast.start()
    async with late_end(server, schema, slow):
        await fast.record(*end(1))
        after = await fast.start_deliveries()
        assert await fast.ended_items(after, 9) == []

    assert "item-0" in [ended.item.id for ended in await fast.ended_items(after, 9)]


async def test_report_made_before_a_late_commit_is_not_current(
    server: PostgresServer, schema: str, slow: PostgresJournal, fast: PostgresJournal
) -> None:
    with open_reader(server.dsn, schema) as reader:
        async with late_end(server, schema, slow):
            fast.apply(end(1)[0])
            assert reader.items_mark() is None

        assert reader.items_mark() is not None


# The number up to which every event is committed.


def test_import_holds_the_number_back_until_it_is_committed(
    server: PostgresServer, schema: str, slow: PostgresJournal, fast: PostgresJournal
) -> None:
    before = fast.last_event
    found: list[tuple[int, int, int]] = []
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"

    def specs() -> Iterator[ItemSpec]:
        yield from some_items(1100)
        fast.apply(end(1)[0])
        locks = watcher.execute(query).fetchone()[0]
        found.append((reader.committed_up_to, reader.last_event, locks))

    with (
        open_reader(server.dsn, schema) as reader,
        closing(PostgresConnection(server.dsn, schema)) as watcher,
    ):
        slow.import_items(specs())
        assert reader.committed_up_to == fast.last_event

    ((committed, last, locks),) = found
    assert committed == before < last
    assert locks == 1


async def test_other_job_does_not_hold_the_number_back(
    server: PostgresServer, schema: str, slow: PostgresJournal
) -> None:
    other = new_schema()
    with closing(create_journal(server, other)) as journal:
        async with late_end(server, schema, slow):
            journal.import_items(some_items(2))
            with open_reader(server.dsn, other) as reader:
                assert reader.committed_up_to == journal.last_event == 2


@pytest.mark.parametrize("seed", range(3))
def test_followers_of_busy_hosts_read_every_event(
    server: PostgresServer, schema: str, seed: int
) -> None:
    """Hosts that write at the same time, also what is refused, in transactions of many sizes."""
    hosts, items, read = 4, 40, Counter[int]()
    with closing(create_journal(server, schema)) as journal:
        journal.import_items(some_items(hosts * items))

    def write(host: int) -> None:
        dice = random.Random(seed * hosts + host)
        with closing(PostgresConnection(server.dsn, schema)) as database:
            for _ in range(ROUNDS):
                numbers = [host * items + dice.randrange(items) for _ in range(dice.randint(1, 9))]
                event = dice.choice((Event.SUBMIT_STARTED, Event.SUBMIT_REJECTED, Event.RETRIED))
                moves = [Move(Change(key=key(number), event=event), 1.0) for number in numbers]
                if dice.random() < 0.5:
                    apply_all(database, [(move,) for move in moves])
                else:
                    with suppress(IllegalTransition), Transaction(database):
                        for move in moves:
                            move(database)

    def follow(database: PostgresConnection, after: int) -> int:
        up_to = int(database.execute("SELECT committed_up_to()").fetchone()[0])
        rows = database.execute("SELECT seq FROM events WHERE seq > ? AND seq <= ?", (after, up_to))
        read.update(row[0] for row in rows)
        return max(after, up_to)

    with (
        ThreadPoolExecutor(hosts) as threads,
        closing(PostgresConnection(server.dsn, schema)) as database,
    ):
        writing, last = [threads.submit(write, host) for host in range(hosts)], 0
        while not all(one.done() for one in writing):
            last = follow(database, last)
        follow(database, last)
        for one in writing:
            one.result()
        written = [row[0] for row in database.execute("SELECT seq FROM events")]

    assert read == Counter(written)
