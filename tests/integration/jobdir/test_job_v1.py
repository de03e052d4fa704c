"""A job folder written by the program of journal version 1 is migrated and finished.

`tests/fixtures/make_job_v1.py` wrote it and lists what is in it. The name of each item begins with
its status, in the words of version 1.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import tests
from batch_runner.errors import JournalError, JournalUnreadable
from batch_runner.jobdir.identity import service_host
from batch_runner.jobdir.open import open_job
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import Journal
from batch_runner.journal.sqlite.connection import connect
from batch_runner.journal.sqlite.migrations import STEPS, migrate
from batch_runner.lifecycle import ItemStatus
from batch_runner.models import JobFacts
from batch_runner.registry import read_registry
from tests.e2e.conftest import KEY, Command, Service
from tests.harness import IDENTITY, rows
from tests.harness.commands import bare_environment, simulator_process

STORED = Path(tests.__file__).parent / "fixtures" / "job-v1"
#: The words in the stored journal: never to be changed.
STATUSES_V1 = {
    *("pending", "submitting", "submitted", "fetching", "done"),
    *("failed", "refused", "held", "unfetched"),
}
EVENTS_V1 = {
    *("listed", "submit_started", "submit_confirmed", "submit_unsent", "submit_refused"),
    *("submit_unanswered", "submit_interrupted", "task_completed", "task_failed", "task_unknown"),
    *("fetch_failed", "fetch_interrupted", "fetch_resumed", "placed", "file_missing", "retried"),
    *("attached", "corrected", "resubmitted", "dropped"),
}

#: The status after opening, by the beginning of the item's name; nothing is sent for it.
OPENED = {
    "pending": ItemStatus.PENDING,
    "submitting-confirmed": ItemStatus.SUBMITTED,  # its task id is in the fallback log
    "submitting-unanswered": ItemStatus.HELD,  # as the fallback log says
    "submitting-cut": ItemStatus.HELD,
    "submitted": ItemStatus.SUBMITTED,
    "fetching": ItemStatus.SUBMITTED,
    "unfetched": ItemStatus.SUBMITTED,
    "done": ItemStatus.DONE,
    "failed-dropped": ItemStatus.DROPPED,
    "failed": ItemStatus.FAILED,
    "refused": ItemStatus.REJECTED,
    "held": ItemStatus.HELD,
}
#: The status after a run without faults, by the status after opening.
FINISHED = {ItemStatus.PENDING: ItemStatus.DONE, ItemStatus.SUBMITTED: ItemStatus.DONE}


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """Return a copy of the stored folder; its journal is refused as a copy."""
    return shutil.copytree(STORED, tmp_path / "job")


@pytest.fixture
def out(job: Path) -> Path:
    """Return the copied output folder, accepted as documented, by removing its marker."""
    folder = JobFolder(job / "out")
    folder.marker.unlink()
    return folder.root


@pytest.fixture
def service(job: Path) -> Iterator[Service]:
    """Run a simulator that knows the tasks of the stored job."""
    state = str(job / "simulator.jsonl")
    options = ("--image-bytes", "600", "--state", state, "--service-time", "0.2s")
    with simulator_process(*options) as (process, url):
        yield Service(process, url)


@pytest.fixture
def command(job: Path, service: Service) -> Command:
    """Return the command line of the copied job."""
    environment = bare_environment(
        XDG_STATE_HOME=str(job / "state"),
        XDG_CONFIG_HOME=str(job / "config"),
        BAICAI_BASE_URL=service.url,
        BAICAI_API_KEY=KEY,
    )
    return Command(job, job / "horse.yaml", environment)


def state_of(job: Path) -> Path:
    return job / "state" / "batch-runner"


def stored(query: str) -> list[tuple[str | int, ...]]:
    """Return the rows of a query on the stored journal."""
    journal = JobFolder(STORED / "out").journal
    with closing(sqlite3.connect(f"file:{journal}?immutable=1", uri=True)) as connection:
        return connection.execute(query).fetchall()


def expected_after_opening() -> dict[str, ItemStatus]:
    """Return the status of each stored item after opening, by id."""
    names = [str(name) for (name,) in stored("SELECT id FROM items")]
    return {
        name: next(status for start, status in OPENED.items() if name.startswith(start))
        for name in names
    }


def status_by_id(root: Path) -> dict[str, ItemStatus]:
    return {row.id: row.status for row in rows(root)}


def test_every_status_and_event_of_version_1_is_stored() -> None:
    assert stored("PRAGMA user_version") == [(1,)]
    assert {word for (word,) in stored("SELECT status FROM items")} == STATUSES_V1
    assert {word for (word,) in stored("SELECT event FROM events")} == EVENTS_V1


@pytest.mark.slow
def test_run_submits_only_pending_items(out: Path, service: Service, command: Command) -> None:
    """Nothing is sent for items that are done, held, submitted or otherwise ended."""
    opened = expected_after_opening()
    before = Counter(service.paid())

    ended = command("run")

    submitted = " ".join((Counter(service.paid()) - before).elements())
    pending = [name for name in opened if name.startswith("pending")]
    assert ended.returncode == 1, ended.stderr
    assert sorted(re.findall(r"card ([^:]+)", submitted)) == sorted(pending)
    after = {name: FINISHED.get(status, status) for name, status in opened.items()}
    assert status_by_id(out) == after
    assert (out / "index.html").exists()
    checked = map(json.loads, command("verify", "--json").stdout.splitlines())
    assert {row["id"] for row in checked if row["ok"]} == {
        name for name, status in after.items() if status is ItemStatus.DONE
    }


def test_opening_replays_the_fallback_log(job: Path, out: Path) -> None:
    for _ in range(2):  # the second finds nothing left to do
        with open_job(out, None, state=state_of(job)) as opened:
            assert [(opened.journal.spent_now(),)] == stored("SELECT sum(attempt) FROM items")
            assert list(opened.fallback_log.entries()) == []
            assert status_by_id(out) == expected_after_opening()

    confirmed, unanswered, cut = (row for row in rows(out) if row.id.startswith("submitting"))
    assert confirmed.task_id is not None
    assert confirmed.task_id in (job / "simulator.jsonl").read_text()
    assert (unanswered.task_id, unanswered.reason) == (None, "no-response")
    assert (cut.task_id, cut.reason) == (None, "interrupted")


def test_old_words_in_the_fallback_log_are_translated(job: Path, out: Path) -> None:
    """Both logs are replayed: that of version 1, and that of a run since the migration."""
    folder = JobFolder(out)
    cut, confirmed = (
        stored(f"SELECT key FROM items WHERE id = '{name}'")[0][0]  # noqa: S608  constants
        for name in ("submitting-cut", "submitting-confirmed")
    )
    rejected = {"key": cut, "event": "submit_refused", "reason": "refused", "message": "no"}
    unanswered = {"key": confirmed, "event": "submit_unanswered", "reason": "no-response"}
    folder.old_fallback_log.write_text(json.dumps(rejected) + "\n")
    folder.fallback_log.write_text(json.dumps(unanswered) + "\n")

    with open_job(out, None, state=state_of(job)):
        pass

    ended = {row.id: (row.status, row.reason) for row in rows(out)}
    assert ended["submitting-cut"] == (ItemStatus.REJECTED, "rejected")
    assert ended["submitting-confirmed"] == (ItemStatus.HELD, "no-response")
    assert not folder.old_fallback_log.exists()


def test_copy_with_its_marker_is_refused_and_unchanged(job: Path) -> None:
    folder = JobFolder(job / "out")

    with pytest.raises(JournalUnreadable, match="copy"), open_job(folder.root, None):
        pass

    for path in (folder.journal, folder.old_fallback_log, folder.marker):
        assert path.read_bytes() == STORED.joinpath(path.relative_to(job)).read_bytes()


@pytest.mark.slow
def test_reading_commands_ask_for_one_run_first(
    job: Path, out: Path, service: Service, command: Command
) -> None:
    journal = JobFolder(out).journal
    before = journal.read_bytes()
    picks = job / "picks.json"
    picks.write_text('{"picks": []}')

    for verb, *options in [
        *(["plan"], ["status"], ["status", "--watch"], ["resolve"], ["verify"], ["report"]),
        ["export", "--picks", str(picks), "--to", str(job / "chosen")],
    ]:
        ended = command(verb, *options)
        assert ended.returncode == 2, verb
        assert "`batch-runner run` once to migrate it" in ended.stderr
        assert ended.stderr.count("\n") == 1, ended.stderr

    assert journal.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "decision",
    [["retry", "failed-dropped"], ["resolve", "held-unanswered", "drop"]],
    ids=["retry", "resolve"],
)
def test_decisions_migrate_the_journal(
    decision: list[str], out: Path, service: Service, command: Command
) -> None:
    paid = service.paid()

    ended = command(*decision)

    assert ended.returncode == 0, ended.stderr
    assert service.paid() == paid
    assert command("status").returncode == 3


def put_in_place(folder: JobFolder) -> None:
    """Record the present location in the journal, as if it were no copy."""
    stat = folder.journal.stat()
    location = (str(folder.root.resolve()), f"{stat.st_dev}:{stat.st_ino}")
    with closing(sqlite3.connect(folder.journal)) as journal:
        journal.execute("UPDATE job SET folder = ?, inode = ?", location)
        journal.commit()


@pytest.mark.parametrize("events_lost", [0, 1])
def test_state_record_reveals_an_older_copy(job: Path, events_lost: int) -> None:
    folder = JobFolder(job / "out")
    put_in_place(folder)
    (record,) = state_of(job).rglob("*.json")
    content = json.loads(record.read_text())
    seen = f"{int(content['events']) + events_lost:015d}"
    record.write_text(json.dumps({**content, "events": seen}) + "\n")

    if events_lost:
        with (
            pytest.raises(JournalUnreadable, match="older copy"),
            open_job(folder.root, None, state=state_of(job)),
        ):
            pass
    else:
        with open_job(folder.root, None, state=state_of(job)):
            assert status_by_id(folder.root) == expected_after_opening()


def cut_off_a_commit(journal: Path, scratch: Path) -> None:
    """Leave `journal` as a power cut during a commit does, with a rollback journal."""
    shutil.copy(journal, scratch)
    with closing(sqlite3.connect(scratch, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA cache_size = 2")  # pages are written before the commit
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE items SET status = 'pending', message = hex(randomblob(500))")
        for suffix in ("", "-journal"):
            shutil.copy(f"{scratch}{suffix}", f"{journal}{suffix}")


def test_interrupted_commit_is_rolled_back(job: Path, out: Path, tmp_path: Path) -> None:
    journal = JobFolder(out).journal
    original = journal.read_bytes()
    cut_off_a_commit(journal, tmp_path / "scratch.sqlite")
    assert journal.read_bytes() != original

    with open_job(out, None, state=state_of(job)):
        assert status_by_id(out) == expected_after_opening()


def sql_of(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [*connection.iterdump(), *map(str, connection.execute("PRAGMA user_version"))]


def migrate_until(path: Path, statement: int) -> None:
    """Migrate in this process, and kill it before the statement of this number."""
    connection = connect(path)
    connection.execute("PRAGMA cache_size = 1")  # pages are written before the commit
    seen = itertools.count()

    def kill_at(_sql: str) -> None:
        if next(seen) == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    connection.set_trace_callback(kill_at)
    migrate(connection, path)


def migrate_on_full_disk(path: Path) -> None:
    """Migrate in this process, whose files cannot grow beyond a few pages."""
    connection = connect(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    with pytest.raises(JournalError, match="cannot be written"):
        migrate(connection, path)


def forked(target: Callable[..., None], *args: object) -> int:
    """Call `target` in a process of its own; return how that ended, as `exitcode` does."""
    process = multiprocessing.get_context("fork").Process(target=target, args=args)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def test_migration_killed_at_any_statement_can_be_repeated(
    job: Path, out: Path, tmp_path: Path
) -> None:
    journal, original = JobFolder(out).journal, tmp_path / "original.sqlite"
    shutil.copy(journal, original)
    before = sql_of(original)

    for statement in itertools.count():
        shutil.copy(original, journal)
        if forked(migrate_until, journal, statement) == 0:
            break
        assert sql_of(journal) == before
    with open_job(out, None, state=state_of(job)):
        assert status_by_id(out) == expected_after_opening()

    assert statement > 2 * len(STEPS[1])  # the last one came to its end
    assert sql_of(journal) != before


def test_opening_repeats_a_killed_migration(job: Path, out: Path) -> None:
    journal = JobFolder(out).journal
    assert forked(migrate_until, journal, len(STEPS[1])) == -signal.SIGKILL

    with open_job(out, None, state=state_of(job)):
        assert status_by_id(out) == expected_after_opening()


def test_migrated_schema_equals_a_new_one(job: Path, out: Path, tmp_path: Path) -> None:
    new = tmp_path / ".batch" / "journal.sqlite"
    new.parent.mkdir()
    Journal.create(new, job="horse", provider="baicai", origin="o").close()

    with open_job(out, None, state=state_of(job)):
        pass

    assert columns_of(JobFolder(out).journal) == columns_of(new)


def test_migrated_journal_has_the_day_of_its_creation(job: Path, out: Path) -> None:
    with open_job(out, None, state=state_of(job)) as opened:
        created = time.localtime(opened.journal.job()["created_at"])
        assert opened.journal.facts() == JobFacts(today=time.strftime("%Y-%m-%d", created))


def columns_of(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]
        return {
            name: connection.execute("SELECT * FROM pragma_table_xinfo(?)", (name,)).fetchall()
            for name in tables
        }


def test_migration_of_an_unknown_status_changes_nothing(job: Path, out: Path) -> None:
    journal = JobFolder(out).journal
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute("UPDATE items SET status = 'lost' WHERE id = 'done-plain'")
        connection.commit()
    before = sql_of(journal)

    with (
        pytest.raises(JournalUnreadable, match="unknown words lost; it was left as it is"),
        open_job(out, None, state=state_of(job)),
    ):
        pass

    assert sql_of(journal) == before


def test_full_disk_during_migration_changes_nothing(out: Path) -> None:
    journal = JobFolder(out).journal
    before = sql_of(journal)

    assert forked(migrate_on_full_disk, journal) == 0

    assert sql_of(journal) == before


def test_registry_takes_over_the_state_record(job: Path, out: Path) -> None:
    state = state_of(job)
    (record,) = state.rglob("*.json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "folder": str(out)}))
    ((origin,),) = stored("SELECT origin FROM job")
    paid = stored("SELECT key FROM items WHERE attempt > 0")
    keys = [str(key) for (key,) in stored("SELECT key FROM items")]

    with open_job(job / "another", IDENTITY, state=state):
        pass

    assert not (state / "jobs").exists()
    registry = read_registry(state)
    assert registry is not None
    with registry:
        claims = registry.claims_of_others("baicai", service_host(str(origin)), None, keys)
    assert {claim.key for claim in claims} == {key for (key,) in paid}
    assert {claim.folder for claim in claims} == {str(out)}
