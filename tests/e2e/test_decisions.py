"""What a person decides about items: what it does, and what it says that it does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import write_manifest

if TYPE_CHECKING:
    from tests.e2e.conftest import Command, Service

pytestmark = pytest.mark.slow


def change_prompts(command: Command) -> None:
    """Let every line of the manifest ask for something else."""
    text = command.manifest.read_text()
    command.manifest.write_text(text.replace("a horse number", "another horse number"))


def test_a_reason_that_there_is_none_of_names_those_that_there_are(
    command: Command, service: Service
) -> None:
    service.set_faults("fail:create:times=2")
    command("run")

    told = command("retry", "--reason", "the service says FAILED")

    assert told.returncode == 2
    assert "the reasons there are: service-failed" in told.stderr
    assert "[service-failed]" in command("status").stdout


def test_what_is_no_longer_listed_is_not_promised_to_be_created_again(
    command: Command, service: Service
) -> None:
    service.set_faults("moderation:create:times=2")
    command("run")
    change_prompts(command)
    command("run")
    creates = sum(service.paid().values())

    told = command("retry", "--all")

    assert told.returncode == 0
    assert told.stdout.startswith("0 items will be created again")
    assert "2 more are no longer listed" in told.stderr
    assert command("run").returncode == 0
    assert sum(service.paid().values()) == creates


def test_a_held_item_that_is_no_longer_listed_is_not_created_again(
    command: Command, service: Service
) -> None:
    service.set_faults("lose_answer:create:times=2")
    command("run")
    held = [name for name, status in command.statuses().items() if status == "held"]
    change_prompts(command)
    command("run")
    key = json.loads(command("resolve", "--json").stdout.splitlines()[0])["key"]

    one = command("resolve", key, "resubmit")
    everything = command("resolve", "all", "resubmit")

    assert one.returncode == 2
    assert "no longer listed" in one.stderr
    assert everything.stdout.startswith("0 items: resubmit")
    assert all(name in everything.stderr for name in held)
    assert command("resolve", "all", "drop").stdout.startswith("2 items: drop")


def test_all_means_all_and_never_one_of_that_name(command: Command, service: Service) -> None:
    write_manifest(command.manifest, 2)
    command.manifest.write_text(command.manifest.read_text().replace("card-1", "all"))
    nothing_held = command("run").returncode, command("resolve", "all", "drop").returncode
    service.set_faults("lose_answer:create")
    change_prompts(command)
    command("run")

    told = command("resolve", "all", "drop")

    assert nothing_held == (0, 0)
    assert told.returncode == 2
    assert "name each by its key" in told.stderr
    assert command.statuses()["card-0"] == "held"


def test_a_task_id_that_another_item_has_is_refused(command: Command, service: Service) -> None:
    service.set_faults("lose_answer:create:times=1")
    command("run")
    (held,) = [name for name, status in command.statuses().items() if status == "held"]
    other = next(one for one in service.ledger()["creates"] if one["task_id"])
    taken = [one["task_id"] for one in service.ledger()["creates"] if one is not other]

    told = command("resolve", held, "attach", taken[-1])

    assert told.returncode == 2
    assert "nothing was changed" in told.stderr


def test_a_missing_file_counts_among_those_that_will_be_fetched_again(
    command: Command, service: Service
) -> None:
    command("run")
    first, second, *_ = command.pictures()
    first.unlink()
    second.write_bytes(b"edited")

    told = command("verify", "--fetch")

    assert "2 items will be fetched again" in told.stderr
    assert command("run").returncode == 0
    assert command("verify").returncode == 0
    assert list(service.paid().values()) == [1] * 8
