"""`run` and `plan` with --only, --first and --sample."""

from __future__ import annotations

import dataclasses
import json

from tests.e2e.conftest import Command, Service


def test_sample_is_paid_first_and_the_rest_later(command: Command, service: Service) -> None:
    plan = command("plan", "--sample", "3", "--seed", "1", "--json")
    sample = command("run", "--sample", "3", "--seed", "1")
    paid = service.paid()
    again = command("run", "--sample", "3", "--seed", "1")
    rest = command("run")

    planned = json.loads(plan.stdout)
    assert (planned["items"], planned["selected"], planned["submissions"]) == (8, 3, 3)
    assert (sample.returncode, len(paid)) == (0, 3)
    assert "3 submissions" in sample.stderr
    assert "selected: 3 of 3 items done; 5 items were not selected" in sample.stdout
    assert (again.returncode, rest.returncode) == (0, 0)
    assert list(service.paid().values()) == [1] * 8


def test_only_takes_names_and_patterns(command: Command, service: Service) -> None:
    run = command("run", "--only", "card-7.png", "--only", "card-[01]", "--json")

    summary = json.loads(run.stdout.splitlines()[-1])
    assert (run.returncode, summary["exit_code"], summary["submissions"]) == (0, 0, 3)
    assert (summary["selected"]["done"], summary["not_selected"]) == (3, 5)
    assert [path.stem for path in command.pictures()] == ["card-0", "card-1", "card-7"]


def test_unknown_name_sends_nothing_and_makes_no_folder(command: Command, service: Service) -> None:
    for name in ("plan", "run"):
        wrong = command(name, "--only", "crad-3")
        assert wrong.returncode == 2
        assert 'file name "crad-3"; did you mean card-3?' in wrong.stderr
    assert command("run", "--first", "2", "--sample", "2").returncode == 2
    assert command("run", "--seed", "2").returncode == 2
    assert command("run", "--first", "0").returncode == 2
    assert not command.out.exists()
    assert service.paid() == {}


def test_first_is_rehearsed(command: Command) -> None:
    run = command("run", "--first", "2", "--rehearse")

    assert run.returncode == 0
    assert "selected: 2 of 2 items done" in run.stdout


def test_only_selected_items_are_taken_over(command: Command, service: Service) -> None:
    command("run")
    other = dataclasses.replace(command, folder=command.folder / "new")

    plan = other("plan", "--first", "3")
    run = other("run", "--first", "3")

    assert "3 reused: their files are copied" in plan.stdout
    assert run.returncode == 0
    assert sorted(other.statuses().values()) == ["done"] * 3 + ["pending"] * 5
    assert other("run").returncode == 0
    assert list(service.paid().values()) == [1] * 8
