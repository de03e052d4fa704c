from __future__ import annotations

import dataclasses
import multiprocessing
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batch_runner.errors import RegistryError
from batch_runner.models import ItemOutcome
from batch_runner.registry import (
    JobRecord,
    Registry,
    connection,
    open_registry,
    read_registry,
    store,
)

A, B = (
    JobRecord(id=name * 32, name=name, manifest="", folder=f"/{name}", mount="/", machine="host")
    for name in "ab"
)
HOST = "api.example"
KEYS = [f"{number:032x}" for number in range(4)]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with open_registry(tmp_path) as registry:
        registry.record_job(A)
        registry.record_job(B)
        yield registry


@pytest.fixture
def service(registry: Registry) -> int:
    return registry.service_number("baicai", HOST)


def outcome(key: str, status: str = "done", *, paid: bool = True) -> ItemOutcome:
    return ItemOutcome(key=key, status=status, paid=paid, task_id="f" * 32, files="[]")


def claimed_by_others(registry: Registry, job: JobRecord | None) -> dict[str, str]:
    claims = registry.claims_of_others("baicai", HOST, job.id if job else None, KEYS)
    return {claim.key: claim.status for claim in claims}


def test_claimed_item_is_refused_to_another_job(registry: Registry, service: int) -> None:
    assert registry.claim(service, A.id, KEYS[:2], account="") == frozenset()

    assert registry.claim(service, B.id, KEYS[1:], account="") == {KEYS[1]}

    assert claimed_by_others(registry, A) == dict.fromkeys(KEYS[2:], "claimed")
    assert registry.claim(service, A.id, KEYS[:2], account="") == frozenset()


def test_release_keeps_what_was_submitted(registry: Registry, service: int) -> None:
    registry.claim(service, A.id, KEYS, account="")
    unpaid = outcome(KEYS[2], "rejected", paid=False)
    registry.store(service, A.id, [outcome(KEYS[0]), unpaid], last_event=9)

    registry.release(A.id)

    assert claimed_by_others(registry, B) == {KEYS[0]: "done"}
    job = registry.job(A.id)
    assert job is not None
    assert job.last_event == 9


def test_item_that_was_not_sent_after_all_is_released(registry: Registry, service: int) -> None:
    registry.claim(service, A.id, KEYS[:1], account="")
    registry.store(service, A.id, [outcome(KEYS[0], "submitting")], last_event=1)
    registry.store(service, A.id, [outcome(KEYS[0], "pending", paid=False)], last_event=2)
    assert claimed_by_others(registry, B) == {KEYS[0]: "claimed"}  # may be sent again

    registry.release(A.id)

    assert claimed_by_others(registry, B) == {}


def test_approved_item_belongs_to_both_jobs(registry: Registry, service: int) -> None:
    registry.store(service, A.id, [outcome(KEYS[0])], last_event=1)
    assert claimed_by_others(registry, B) == {KEYS[0]: "done"}

    registry.approve(service, B.id, KEYS[:1])
    registry.release(B.id)

    assert claimed_by_others(registry, B) == {}
    assert registry.claim(service, B.id, KEYS[:1], account="") == frozenset()
    assert claimed_by_others(registry, None) == {KEYS[0]: "done"}


def test_other_provider_and_host_have_items_of_their_own(registry: Registry) -> None:
    for provider, host in (("baicai", "other.example"), ("comfyui", HOST)):
        number = registry.service_number(provider, host)
        registry.store(number, A.id, [outcome(KEYS[0])], last_event=1)

    assert claimed_by_others(registry, None) == {}


def test_job_is_updated_in_place(registry: Registry, service: int) -> None:
    registry.store(service, A.id, [], last_event=5)

    registry.record_job(dataclasses.replace(A, folder="/moved"))

    assert [(job.folder, job.last_event) for job in registry.jobs()] == [("/moved", 5), ("/b", 0)]
    assert registry.job("none") is None


def test_account_hides_the_key_and_differs_by_registry(registry: Registry, tmp_path: Path) -> None:
    first = registry.account_of("sk-secret")
    with open_registry(tmp_path / "other") as other:
        second = other.account_of("sk-secret")

    assert first == registry.account_of("sk-secret")
    assert len({first, second, registry.account_of("sk-other"), "sk-secret"}) == 4


def _claim_all(state: Path, job: JobRecord, won: multiprocessing.Queue[int]) -> None:
    with open_registry(state) as registry:
        service = registry.service_number("baicai", HOST)
        keys = [f"{number:032x}" for number in range(300)]
        taken = [registry.claim(service, job.id, [key], account="") for key in keys]
        won.put(sum(not one for one in taken))


def test_two_processes_never_claim_one_item(registry: Registry, tmp_path: Path) -> None:
    won: multiprocessing.Queue[int] = multiprocessing.Queue()
    both = [multiprocessing.Process(target=_claim_all, args=(tmp_path, job, won)) for job in (A, B)]
    for process in both:
        process.start()
    for process in both:
        process.join()

    assert won.get() + won.get() == 300


def test_reading_creates_nothing(tmp_path: Path) -> None:
    assert read_registry(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


def test_files_are_private(registry: Registry, tmp_path: Path) -> None:
    registry.write_backup()

    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("registry*")} == {0o600}


def test_missing_registry_is_restored_from_its_backup(tmp_path: Path) -> None:
    with open_registry(tmp_path) as registry:
        registry.record_job(A)
        registry.write_backup()
    path = tmp_path / connection.FILE
    for file in tmp_path.glob("registry.sqlite*"):
        if file.name != connection.BACKUP:
            file.unlink()
    read = read_registry(tmp_path)
    assert read is not None
    with read:
        assert read.jobs() == [A]

    with open_registry(tmp_path) as registry:
        assert registry.jobs() == [A]
    assert path.exists()


@pytest.mark.parametrize("content", [b"not a database" * 999, b"SQLite format 3\0" + b"x" * 5000])
def test_damaged_registry_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / connection.FILE
    path.write_bytes(content)

    for use in (open_registry, read_registry):
        with pytest.raises(RegistryError, match=r"damaged .* its backup copy .*\.backup takes"):
            use(tmp_path)

    assert path.read_bytes() == content


def test_damaged_page_is_found(tmp_path: Path) -> None:
    with open_registry(tmp_path) as registry:
        registry.record_job(A)
    path = tmp_path / connection.FILE
    raw = bytearray(path.read_bytes())
    raw[4096 * 3 : 4096 * 3 + 200] = b"\xff" * 200
    path.write_bytes(raw)

    with pytest.raises(RegistryError, match="damaged"):
        open_registry(tmp_path)


def test_registry_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    open_registry(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / connection.FILE)) as database:
        database.execute(f"PRAGMA user_version = {connection.VERSION + 1}")

    with pytest.raises(RegistryError, match="newer batch-runner"):
        open_registry(tmp_path)


def test_locked_registry_is_refused(
    registry: Registry, service: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(tmp_path / connection.FILE, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")

        with pytest.raises(RegistryError, match="locked"):
            open_registry(tmp_path)


def test_killed_creation_is_repeated(tmp_path: Path) -> None:
    (tmp_path / connection.FILE).touch()  # all that a kill before the first commit leaves

    with open_registry(tmp_path) as registry:
        assert registry.jobs() == []


def test_failed_commit_leaves_the_registry_to_others(
    registry: Registry, service: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry._connection.execute("PRAGMA busy_timeout = 50")
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(tmp_path / connection.FILE, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM jobs").fetchone()
        with pytest.raises(RegistryError, match="locked"):
            registry.claim(service, A.id, KEYS, account="")

    with open_registry(tmp_path) as other:
        assert other.claim(service, B.id, KEYS, account="") == frozenset()


_MANY_JOBS = """
WITH numbers(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers LIMIT 9999)
INSERT INTO jobs SELECT n, n, '', '', '', '', '', 0, 0, 0 FROM numbers WHERE n > 2
"""


def test_backup_is_not_spoiled_by_the_journal_of_the_lost_file(tmp_path: Path) -> None:
    with open_registry(tmp_path) as registry:
        registry.record_job(A)
        registry.write_backup()
        registry.record_job(B)
        registry._connection.execute("PRAGMA cache_size = 1")  # so that the file is changed at once
        registry._connection.execute("BEGIN IMMEDIATE")
        registry._connection.execute(_MANY_JOBS)
        copy = (tmp_path / "registry.sqlite-journal").read_bytes()
    (tmp_path / connection.FILE).unlink()
    (tmp_path / "registry.sqlite-journal").write_bytes(copy)  # of a process that was killed

    with open_registry(tmp_path) as registry:
        assert registry.jobs() == [A]


def test_many_items_are_stored_and_others_claim_meanwhile(
    registry: Registry, service: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "STORED_AT_ONCE", 2)
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.05)
    claimed = []

    def outcomes() -> Iterator[ItemOutcome]:
        for key in KEYS[:3]:
            yield outcome(key)
        with open_registry(tmp_path) as other:
            claimed.append(other.claim(service, B.id, KEYS, account=""))

    registry.store(service, A.id, outcomes(), last_event=3)

    assert claimed == [set(KEYS[:2])]
    job = registry.job(A.id)
    assert job is not None
    assert job.last_event == 3
