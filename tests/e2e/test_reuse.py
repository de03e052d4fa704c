"""Items that another job of this user has submitted are not paid for again."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.conftest import Command, Service, kill, write_manifest
from tests.e2e.test_run_question import on_a_terminal


@pytest.fixture
def renamed(command: Command) -> Command:
    """Return the command of the same manifest under another name, with two more items."""
    new = dataclasses.replace(
        command, folder=command.folder / "new", manifest=command.manifest.with_name("renamed.yaml")
    )
    write_manifest(new.manifest, 10)
    return new


def state_of(command: Command) -> Path:
    """Return the state folder."""
    return Path(command.environment["XDG_STATE_HOME"]) / "batch-runner"


def check_reused(command: Command, service: Service, items: int = 8) -> None:
    """Check that the items are done, and that none was paid for twice."""
    assert set(command.statuses().values()) == {"done"}
    assert len(command.pictures()) == items
    assert set(service.paid().values()) == {1}


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_renamed_manifest_copies_files_and_pays_for_new_items(
    command: Command, renamed: Command, service: Service, quiet: tuple[str, ...]
) -> None:
    command("run")

    plan, run = renamed("plan"), renamed("run", *quiet)

    assert f"8 reused: their files are copied from {command.out}" in plan.stdout
    assert "2 submissions" in plan.stdout
    assert run.returncode == 0, run.stderr
    assert ("reused: their files are copied" in run.stderr) == (not quiet)
    check_reused(renamed, service, 10)
    for path in command.pictures():
        copy = renamed.out / path.name
        assert copy.read_bytes() == path.read_bytes()
        assert not copy.samefile(path)
    assert json.loads(renamed("run", "--json").stdout.splitlines()[-1])["reused"] == 0
    assert renamed("verify").returncode == 0


def test_copy_has_the_name_of_this_jobs_item(command: Command, service: Service) -> None:
    command("run")
    other = dataclasses.replace(command, folder=command.folder / "new")
    other.manifest.write_text(
        other.manifest.read_text() + 'output: {name: "new-{{ id }}"}\n', encoding="utf-8"
    )

    assert other("run").returncode == 0
    assert {path.name for path in other.pictures()} == {f"new-card-{n}.png" for n in range(8)}
    check_reused(other, service)


def test_deleted_folder_is_downloaded_again(command: Command, service: Service) -> None:
    command("run")
    shutil.rmtree(command.out)

    plan = command("plan")
    run = command("run", "--json")

    assert "8 reused: downloaded again, not paid again" in plan.stdout
    assert run.returncode == 0, run.stderr
    summary = json.loads(run.stdout.splitlines()[-1])
    assert (summary["reused"], summary["submissions"]) == (8, 0)
    check_reused(command, service)


def test_changed_or_deleted_files_are_downloaded_again(
    command: Command, renamed: Command, service: Service
) -> None:
    command("run")
    changed, deleted = command.pictures()[:2]
    content = bytearray(changed.read_bytes())
    content[-20] ^= 1  # of the same size
    changed.write_bytes(content)
    deleted.unlink()

    assert renamed("run").returncode == 0
    check_reused(renamed, service, 10)
    assert (renamed.out / changed.name).read_bytes() != bytes(content)
    assert changed.read_bytes() == bytes(content)


def test_result_that_is_gone_everywhere_is_held(command: Command, service: Service) -> None:
    command("run")
    shutil.rmtree(command.out)
    service.set_faults("code:status:code=404")
    text = command.manifest.read_text() + "timeouts: {unknown: 1s}\n"
    command.manifest.write_text(text, encoding="utf-8")

    assert command("run").returncode == 1
    rows = [json.loads(line) for line in command("status", "--json").stdout.splitlines()]
    assert {(row["status"], row["reason"]) for row in rows} == {("held", "paid-before")}
    assert set(service.paid().values()) == {1}

    resolved = command("resolve", "card-0", "resubmit")
    assert resolved.returncode == 0, resolved.stderr
    service.set_faults()
    assert command("run").returncode == 1
    assert sorted(service.paid().values()) == [*[1] * 7, 2]
    assert command.statuses()["card-0"] == "done"


def test_folder_deleted_after_a_kill_is_not_paid_for_again(
    command: Command, service: Service
) -> None:
    service.set_faults("hang_late:submit:after=2")
    process = command.start("run")
    service.wait_for(lambda ledger: len(ledger["submissions"]) >= 4)
    kill(process)
    submitted = service.paid()
    shutil.rmtree(command.out)
    service.set_faults()

    assert command("run").returncode == 1
    assert service.paid() == submitted
    assert set(command.statuses().values()) <= {"done", "held"}


def test_unfinished_items_wait_for_the_other_job(
    command: Command, renamed: Command, service: Service
) -> None:
    service.set_faults("word:status")  # no task ends
    assert command("run", "--run-for", "2s").returncode == 3

    plan, waiting = renamed("plan"), renamed("run", "--run-for", "5s")

    text = f"the job in {command.out} has submitted"
    assert f"8 stay pending: {text}" in plan.stdout
    assert waiting.returncode == 3
    assert text in waiting.stderr
    assert f"8 of these wait: {text}" in renamed("status").stdout
    assert sorted(service.paid().values()) == [1] * 10
    service.set_faults()
    assert renamed("run").returncode == 3
    assert command("run").returncode == 0
    assert renamed("run").returncode == 0
    check_reused(renamed, service, 10)


def test_failed_elsewhere_is_failed_and_retry_pays(
    command: Command, renamed: Command, service: Service
) -> None:
    service.set_faults("fail")
    assert command("run").returncode == 1
    service.set_faults()

    assert renamed("run").returncode == 1
    assert sorted(renamed.statuses().values()) == ["done"] * 2 + ["failed"] * 8
    assert renamed("retry", "card-3").returncode == 0
    assert renamed("run").returncode == 1
    assert renamed.statuses()["card-3"] == "done"
    assert sorted(service.paid().values()) == [*[1] * 9, 2]


def test_held_item_stays_held_when_the_other_job_fails(
    command: Command, renamed: Command, service: Service
) -> None:
    service.set_faults("lose_answer:submit:times=1")
    assert command("run").returncode == 1
    assert renamed("run").returncode == 1
    (held,) = [name for name, status in renamed.statuses().items() if status == "held"]

    service.set_faults("fail")
    assert command("resolve", held, "resubmit").returncode == 0
    assert command("run").returncode == 1
    assert command.statuses()[held] == "failed"

    again = renamed("run")
    assert again.returncode == 1, again.stderr
    assert renamed.statuses()[held] == "held"
    assert sorted(service.paid().values()) == [*[1] * 9, 2]


def test_attempts_do_not_pay_for_what_failed_elsewhere(command: Command, service: Service) -> None:
    service.set_faults("fail")
    assert command("run").returncode == 1
    service.set_faults()
    shutil.rmtree(command.out)
    text = command.manifest.read_text() + "attempts: 3\n"
    command.manifest.write_text(text, encoding="utf-8")

    assert command("run").returncode == 1
    assert set(command.statuses().values()) == {"failed"}
    assert set(service.paid().values()) == {1}


def test_attempts_do_not_pay_for_a_reused_task_that_fails(
    command: Command, service: Service
) -> None:
    service.set_faults("fail", "word:status")  # its failure is not seen yet
    assert command("run", "--run-for", "2s").returncode == 3
    service.set_faults()
    shutil.rmtree(command.out)
    text = command.manifest.read_text() + "attempts: 3\n"
    command.manifest.write_text(text, encoding="utf-8")

    assert command("run").returncode == 1
    assert set(command.statuses().values()) == {"failed"}
    assert set(service.paid().values()) == {1}


@pytest.mark.parametrize("way", ["flag", "manifest", "environment"])
def test_never_pays_again_and_says_what_it_costs(
    command: Command, renamed: Command, service: Service, way: str
) -> None:
    command("run")
    text = renamed.manifest.read_text().replace("limits: {", "limits: {price: 0.12 CNY, ")
    flags = {"flag": ("--reuse", "never")}.get(way, ())
    if way == "manifest":
        text += "reuse: never\n"
    elif way == "environment":
        renamed.environment["BATCH_RUNNER_REUSE"] = "never"
    renamed.manifest.write_text(text, encoding="utf-8")

    plan, run = renamed("plan", *flags), renamed("run", *flags)

    said = f"8 items are paid for again, 0.96 CNY: the job in {command.out} has submitted them"
    assert said in plan.stdout
    assert said in run.stderr
    assert run.returncode == 0
    assert sorted(service.paid().values()) == [1, 1, *[2] * 8]
    assert "paid for again" not in renamed("plan", *flags).stdout


def test_ask_without_a_terminal_holds_and_always_uses_later(
    command: Command, renamed: Command, service: Service
) -> None:
    command("run")

    assert renamed("run", "--reuse", "ask").returncode == 1
    assert sorted(renamed.statuses().values()) == ["done"] * 2 + ["held"] * 8
    assert renamed("run").returncode == 0
    check_reused(renamed, service, 10)


@pytest.mark.parametrize(
    ("typed", "code", "paid"),
    [("u\n", 0, [1] * 10), ("p\n", 0, [1, 1, *[2] * 8]), ("\n", 3, [1] * 8)],
)
def test_ask_on_a_terminal_does_what_is_answered(
    command: Command, renamed: Command, service: Service, typed: str, code: int, paid: list[int]
) -> None:
    command("run")

    status, text = on_a_terminal(renamed, typed, "--reuse", "ask")

    assert "8 items have a result in another job" in text
    assert status == code
    assert sorted(service.paid().values()) == paid


def test_items_that_were_never_sent_are_free(
    command: Command, renamed: Command, service: Service
) -> None:
    assert command("run", "--max-submissions", "3").returncode == 3

    assert renamed("run").returncode == 0
    check_reused(renamed, service, 10)


def test_result_taken_back_is_flagged_where_it_was_reused(
    command: Command, renamed: Command, service: Service
) -> None:
    command("run")
    renamed("run")
    assert f"8 of these reused from {command.out}" in renamed("status").stdout
    assert "taken back" not in renamed("status").stdout

    assert command("resolve", "card-3", "hold").returncode == 0

    text = f"warning: card-3: reused from {command.out}, where it was taken back to held since"
    assert text in renamed("status").stdout
    assert renamed("report").returncode == 0
    head = next((renamed.out / ".batch/report").glob("head-*.js")).read_text()
    assert "taken-back" in head
    assert "card-3 hold" in head


def test_moved_folder_continues(command: Command, service: Service) -> None:
    command("run", "--max-submissions", "3")
    command.out.rename(command.folder / "moved")
    moved = dataclasses.replace(command, folder=command.folder / "moved" / "..")
    (command.folder / "moved").rename(moved.out)

    assert moved("run").returncode == 0
    assert list(service.paid().values()) == [1] * 8


def test_rehearsal_leaves_no_record(command: Command) -> None:
    assert command("run", "--rehearse").returncode == 0

    assert not state_of(command).exists()


def damage(path: Path) -> None:
    """Overwrite the beginning of the registry."""
    path.write_bytes(b"damaged" * 1000)


def make_newer(path: Path) -> None:
    """Give the registry the version of a newer program."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")


def put_folder_in_place(path: Path) -> None:
    """Put a folder in the place of the registry."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "word"),
    [(damage, "damaged"), (make_newer, "newer"), (put_folder_in_place, "cannot be used")],
)
def test_unusable_registry_refuses_only_a_new_job(
    command: Command,
    renamed: Command,
    service: Service,
    spoil: Callable[[Path], None],
    word: str,
) -> None:
    command("run", "--max-submissions", "3")
    path = state_of(command) / "registry.sqlite"
    spoil(path)

    old, new, plan = command("run"), renamed("run", "--quiet"), renamed("plan", "--json")

    assert old.returncode == 0, old.stderr
    assert old.stderr.count("this run continues without it") == 1
    assert word in old.stderr
    assert new.returncode == 2
    assert new.stderr.count("\n") == 1
    assert word in new.stderr
    assert not renamed.out.exists()
    assert word in json.dumps(json.loads(plan.stdout)["blockers"])
    assert sum(service.paid().values()) == 8
