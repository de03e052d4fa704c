"""Items that another job of this user has paid for are not paid for again without a question."""

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


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_renamed_manifest_is_refused_every_time(
    command: Command, renamed: Command, service: Service, quiet: tuple[str, ...]
) -> None:
    command("run")
    for _ in range(2):
        plan, run = renamed("plan"), renamed("run", *quiet)

        text = f"the job in {command.out} has already submitted 8 items of this one"
        assert text in plan.stdout
        assert run.returncode == 2
        assert text in run.stderr
    assert sum(service.paid().values()) == 8

    assert renamed("run", "--yes").returncode == 0
    assert sorted(service.paid().values()) == [1, 1, *[2] * 8]
    assert "already submitted" not in renamed("plan").stdout


def test_answer_no_is_asked_again_and_yes_is_kept(
    command: Command, renamed: Command, service: Service
) -> None:
    command("run")
    for _ in range(2):
        code, text = on_a_terminal(renamed, "n\n")
        assert code == 3
        assert "already submitted 8 items" in text
    service.set_faults("word:status")  # no task ends

    code, _ = on_a_terminal(renamed, "y\n", "--run-for", "2s")

    assert code == 3
    assert sorted(service.paid().values()) == [1, 1, *[2] * 8]
    service.set_faults()
    assert renamed("run", "--quiet").returncode == 0


def test_approval_is_kept_for_items_not_yet_submitted(
    command: Command, renamed: Command, service: Service
) -> None:
    command("run")

    first = renamed("run", "--yes", "--max-submissions", "3")
    second = renamed("run", "--quiet")

    assert (first.returncode, second.returncode) == (3, 0)
    assert sorted(service.paid().values()) == [1, 1, *[2] * 8]


def test_deleted_folder_is_not_paid_for_again(command: Command, service: Service) -> None:
    command("run")
    shutil.rmtree(command.out)

    assert command("run").returncode == 2
    assert list(service.paid().values()) == [1] * 8


def test_folder_deleted_after_a_kill_is_not_paid_for_again(
    command: Command, service: Service
) -> None:
    service.set_faults("hang_late:submit")
    process = command.start("run")
    service.wait_for(lambda ledger: len(ledger["submissions"]) >= 2)
    kill(process)
    submitted = service.paid()
    shutil.rmtree(command.out)

    assert command("run").returncode == 2
    assert service.paid() == submitted


def test_items_that_were_never_sent_are_free_again(
    command: Command, renamed: Command, service: Service
) -> None:
    assert command("run", "--max-submissions", "3").returncode == 3

    refused = renamed("run")

    assert "already submitted 3 items" in refused.stderr
    shutil.rmtree(renamed.out)
    write_manifest(renamed.manifest, 8, more="")
    renamed.manifest.write_text(
        "".join(
            line
            for line in renamed.manifest.read_text().splitlines(keepends=True)
            if "card-0" not in line and "card-1," not in line and "card-2" not in line
        )
    )
    assert renamed("run").returncode == 0
    assert list(service.paid().values()) == [1] * 8


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
