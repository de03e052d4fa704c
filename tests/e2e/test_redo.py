"""`redo`: one more try of done items."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import Command, Service, write_manifest

pytestmark = pytest.mark.slow

SEEDED = 'params: {"6": {text: "{{ prompt }}"}, "3": {seed: "{{ seed() }}"}}\n'


def write_seeded(command: Command, count: int = 2, *, more: str = "") -> None:
    """Write a manifest whose repeats differ by a seed."""
    write_manifest(command.manifest, count, more=more)
    lines = command.manifest.read_text().splitlines(keepends=True)
    lines[1] = SEEDED
    command.manifest.write_text("".join(lines))


def test_redo_makes_one_more_file_and_keeps_the_old(command: Command, service: Service) -> None:
    write_seeded(command)
    command("run")
    before = {path.name: path.read_bytes() for path in command.pictures()}

    done = command("redo", "card-1")
    planned = json.loads(command("plan", "--json").stdout)
    run, again = command("run"), command("run")

    assert done.returncode == 0
    assert "card-1: one more try, card-1-2" in done.stdout
    assert "the next run adds 1 submission: " in done.stdout
    assert done.stderr == ""
    assert planned["submissions"] == 1
    assert [one["id"] for one in planned["first"]] == ["card-1-2"]
    assert (run.returncode, again.returncode) == (0, 0)
    after = {path.name: path.read_bytes() for path in command.pictures()}
    assert sorted(after) == ["card-0.png", "card-1-2.png", "card-1.png"]
    assert before.items() <= after.items()
    assert sorted(service.paid().values()) == [1, 1, 1]
    assert command.statuses() == {"card-0": "done", "card-1": "done", "card-1-2": "done"}
    assert command("verify").returncode == 0


def test_redo_twice_and_of_a_redone_item_adds_a_try_each(
    command: Command, service: Service
) -> None:
    write_seeded(command, 1)
    command("run")

    first, second = command("redo", "card-0"), command("redo", "card-0.png")
    command("run")
    third = command("redo", "card-0-2")
    command("run")

    assert [done.stdout.splitlines()[0] for done in (first, second, third)] == [
        "card-0: one more try, card-0-2",
        "card-0: one more try, card-0-3",
        "card-0-2: one more try, card-0-4",
    ]
    assert sorted(service.paid().values()) == [1, 1, 1, 1]


def test_raised_repeat_is_the_item_that_was_redone(command: Command, service: Service) -> None:
    write_seeded(command, 1)
    command("run")
    command("redo", "card-0")
    command("run")
    write_seeded(command, 1, more="repeat: 2\n")

    run = command("run")

    assert run.returncode == 0
    assert sum(service.paid().values()) == 2
    assert command.statuses() == {"card-0-1": "done", "card-0-2": "done"}
    assert command("verify").returncode == 0


def test_redo_passes_over_names_that_are_taken(command: Command, service: Service) -> None:
    write_seeded(command, 1)
    text = command.manifest.read_text()
    command.manifest.write_text(
        text + "  - {id: card-0-2, prompt: b}\n  - {id: x, name: CARD-0-3, prompt: c}\n"
    )
    command("run")

    done = command("redo", "card-0")

    assert "card-0: one more try, card-0-4" in done.stdout
    assert command("run").returncode == 0
    assert sum(service.paid().values()) == 4


def test_redo_of_a_lowered_repeat_is_a_new_try(command: Command, service: Service) -> None:
    write_seeded(command, 1, more="repeat: 2\n")
    command("run")
    write_seeded(command, 1)
    command("run")

    unlisted, done = command("redo", "card-0-2"), command("redo", "card-0")
    command("run")

    assert unlisted.returncode == 2
    assert "card-0-2 is no longer listed in the manifest" in unlisted.stderr
    assert "card-0: one more try, card-0-3" in done.stdout
    assert sum(service.paid().values()) == 3


def test_redo_of_other_items_names_the_right_command(command: Command, service: Service) -> None:
    write_seeded(command, 1)
    service.set_faults("lose_answer:submit:times=1")
    command("run")

    held, unknown = command("redo", "card-0"), command("redo", "card-9")

    assert (held.returncode, unknown.returncode) == (2, 2)
    assert "card-0 is held, not done; for it use `batch-runner resolve`" in held.stderr
    assert 'no item is named "card-9"' in unknown.stderr
    assert sum(service.paid().values()) == 1


def test_redo_of_several_items_is_all_or_nothing(command: Command, service: Service) -> None:
    write_seeded(command, 2)
    command("run")

    refused = command("redo", "card-0", "card-9")
    planned = json.loads(command("plan", "--json").stdout)
    both = command("redo", "card-0", "card-1", "card-0")

    assert refused.returncode == 2
    assert planned["submissions"] == 0
    assert "the next run adds 2 submissions" in both.stdout
    assert json.loads(command("plan", "--json").stdout)["submissions"] == 2


def test_redo_without_a_seed_warns(command: Command, service: Service) -> None:
    write_manifest(command.manifest, 1)
    command("run")

    done = command("redo", "card-0")

    assert done.returncode == 0
    assert 'in params use seed: "{{ seed() }}"' in done.stderr


def test_redo_of_a_deleted_picture_keeps_to_its_wish(command: Command, service: Service) -> None:
    write_seeded(command, 1)
    command("run")
    command.pictures()[0].unlink()

    done = command("redo", "card-0")

    assert done.returncode == 0
    assert command("run").returncode == 0
    assert [path.name for path in command.pictures()] == ["card-0-2.png", "card-0.png"]
    assert sum(service.paid().values()) == 2


def test_redo_states_the_cost(command: Command, service: Service) -> None:
    write_seeded(command, 1)
    text = command.manifest.read_text().replace("rate: 50/s", "rate: 50/s, price: 0.12 CNY", 1)
    command.manifest.write_text(text)
    command("run")

    assert "the next run adds 1 submission, 0.12 CNY: " in command("redo", "card-0").stdout


def test_redo_before_the_first_run_is_refused(command: Command) -> None:
    write_seeded(command, 1)

    done = command("redo", "card-0")

    assert done.returncode == 2
    assert "has not been run yet" in done.stderr
    assert not command.out.exists()
