"""Variables that begin with BATCH_RUNNER_: unknown ones are refused by every command."""

from __future__ import annotations

import shlex
import sys

import pytest

from tests.e2e.conftest import Command, Service, write_manifest


@pytest.mark.parametrize(
    "words",
    ["plan", "run", "status", "retry --all", "resolve", "verify", "report", "schedule --at 01:30"],
)
def test_unknown_variable_ends_the_command_with_status_2(command: Command, words: str) -> None:
    command.environment["BATCH_RUNNER_TASKS"] = "300"

    done = command(*words.split())

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "batch-runner: BATCH_RUNNER_TASKS was renamed to BATCH_RUNNER_MAX_SUBMISSIONS\n"
    )
    assert not command.out.exists()


def test_misspelt_spending_cap_submits_nothing(command: Command, service: Service) -> None:
    command.environment["BATCH_RUNNER_MAX_SUBMISION"] = "1"

    assert command("run", "--yes").returncode == 2
    assert service.paid() == {}


def test_on_finish_command_can_call_batch_runner(command: Command, service: Service) -> None:
    program = shlex.join([sys.executable, "-m", "batch_runner"])
    job = shlex.join([str(command.manifest), "--output", str(command.out)])
    finish = f"{program} verify {job} && touch verified"
    write_manifest(command.manifest, 2, more=f"on_finish: {{command: {finish!r}}}\n")

    assert command("run").returncode == 0
    assert (command.folder / "verified").exists()
