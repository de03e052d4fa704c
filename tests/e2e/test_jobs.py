"""`jobs` and its subcommands, as a user calls them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Command, Service, write_manifest
from tests.harness.commands import run_command


@pytest.fixture
def command(command: Command) -> Command:
    write_manifest(command.manifest, 3, more="")
    text = command.manifest.read_text().replace("limits: {", "limits: {price: 0.12 CNY, ")
    command.manifest.write_text(text)
    return command


def jobs(command: Command, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run_command("jobs", *arguments, environment=command.environment, folder=command.folder)


def test_jobs_and_costs_before_and_after_a_run(command: Command) -> None:
    before = jobs(command)
    command("run")
    listed, costs = jobs(command, "--json"), jobs(command, "--costs", "--since", "2026-01-01")

    assert (before.returncode, before.stderr) == (0, "")
    assert "no job of this user" in before.stdout
    job = json.loads(listed.stdout)
    assert (job["folder"], job["manifest"]) == (str(command.out), str(command.manifest))
    assert (job["items"], job["cost"], job["problem"]) == ({"done": 3}, "0.36 CNY", None)
    assert job["last_run"]["exit_code"] == 0
    assert "baicai: 3 submissions, 0.36 CNY" in costs.stdout


def test_forget_asks_for_approval_and_keeps_held_items(command: Command, service: Service) -> None:
    service.set_faults("lose_answer:submit:times=1")
    command("run")
    held = jobs(command, "forget", command.out, "--yes")
    costs = jobs(command, "--costs")
    (item,) = [name for name, status in command.statuses().items() if status == "held"]
    command("resolve", item, "drop")

    refused = jobs(command, "forget", command.out)
    forgotten = jobs(command, "forget", command.out, "--yes")

    assert (held.returncode, refused.returncode, forgotten.returncode) == (2, 2, 0)
    assert "has 1 item in flight or held" in held.stderr
    assert f"1 of them held, counted as paid\nheld, counted as paid, in {command.out}: {item}" in (
        costs.stdout
    )
    assert "has paid for 3 items, or may have" in refused.stderr
    assert "add --yes" in refused.stderr
    assert "no job of this user" in jobs(command).stdout


def test_moved_job_continues_in_its_new_folder(command: Command, service: Service) -> None:
    command("run")
    moved = jobs(command, "move", "out", "archive")
    shutil.move(command.folder / "archive", command.folder / "again")
    recorded = jobs(command, "move", "archive", "again")
    gone = jobs(command, "move", "archive", "again")
    words = ("run", command.manifest, "--output", "again")
    again = run_command(*words, environment=command.environment, folder=command.folder)

    assert [one.returncode for one in (moved, recorded, gone, again)] == [0, 0, 2, 0]
    assert sum(service.paid().values()) == 3
    assert json.loads(jobs(command, "--json").stdout)["folder"] == str(command.folder / "again")


def test_rescan_prevents_a_payment_after_the_registry_was_lost(
    command: Command, service: Service
) -> None:
    command("run")
    shutil.rmtree(command.environment["XDG_STATE_HOME"])

    found = jobs(command, "rescan", ".", "--json")

    assert (found.returncode, json.loads(found.stdout)["finding"]) == (0, "added")
    shutil.rmtree(command.out)
    command("run")
    assert sum(service.paid().values()) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "2026-11-01"), "--since and --until need --costs"),
        (("--costs", "--since", "11/2026"), "is not a date such as 2026-11-01"),
        (("--json", "rescan", "."), "write the options after `rescan`"),
        (("forget", "nothing"), "no job is known as"),
        (("move", "", "new"), "it is empty"),
        (("rescan", "nothing"), "does not exist"),
    ],
)
def test_mistake_is_refused_with_a_sentence(
    command: Command, arguments: tuple[str, ...], said: str
) -> None:
    done = jobs(command, *arguments)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_damaged_registry_is_named(command: Command) -> None:
    command("run")
    path = Path(command.environment["XDG_STATE_HOME"]) / "batch-runner" / "registry.sqlite"
    path.write_bytes(b"no database" * 1000)

    done = jobs(command)

    assert done.returncode == 1
    assert f"the registry {path} is damaged" in done.stderr


def test_cost_cap_stops_a_run_and_a_later_one(command: Command, service: Service) -> None:
    first = command("run", "--max-cost", "0.25 CNY")
    again = command("run", "--max-cost", "0.25 CNY", "--quiet")
    other = command("run", "--max-cost", "5 USD")
    plan = command("plan", "--max-cost", "0.3 CNY")

    assert [one.returncode for one in (first, again, other)] == [3, 3, 2]
    assert sum(service.paid().values()) == 2
    assert "the spend cap of 0.25 CNY is reached; 2 submissions, 0.24 CNY" in first.stdout
    assert "limits.max_cost is in USD, and limits.price in CNY" in other.stderr
    assert "the cap of 0.3 CNY is reached" in plan.stdout


def test_item_without_a_price_blocks_a_run_with_a_cost_cap(
    command: Command, service: Service
) -> None:
    text = command.manifest.read_text().replace("price: 0.12 CNY", "price: {other: 0.12 CNY}")
    command.manifest.write_text(text)

    plan = command("plan", "--max-cost", "9 CNY", "--detailed-exitcode")
    run = command("run", "--max-cost", "9 CNY", "--yes")

    said = "limits.price has none for year_of_the_horse_greeting_card"
    assert (plan.returncode, run.returncode) == (2, 2)
    assert said in plan.stdout
    assert said in run.stderr
    assert service.paid() == {}
