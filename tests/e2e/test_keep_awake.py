"""The computer is kept awake during a run, by the system's own program."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Command, Service, kill

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="macOS has another program"),
]


def install(command: Command, text: str) -> None:
    """Install a program in place of systemd-inhibit."""
    folder = command.folder / "bin"
    folder.mkdir()
    program = folder / "systemd-inhibit"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    command.environment["PATH"] = f"{folder}:{command.environment['PATH']}"


def record(folder: Path) -> str:
    """Return a program that writes its arguments and environment, and does what it is to do."""
    return f'echo "$*" > {folder}/args; env > {folder}/env; while read -r x; do :; done; exit 0'


def test_run_keeps_awake_while_tasks_are_in_flight(command: Command, service: Service) -> None:
    install(command, record(command.folder))
    process = command.start("run", "--rate", "2/s")

    out, err = process.communicate(timeout=200)

    assert process.returncode == 0, err
    assert err.count("keeping this computer awake with systemd-inhibit") == 1
    arguments = (command.folder / "args").read_text()
    assert arguments.startswith("--what=sleep:idle --who=batch-runner")
    assert arguments.endswith(" cat\n")
    assert "API_KEY" not in (command.folder / "env").read_text()
    assert "keeping" not in out


@pytest.mark.parametrize("how", ["flag", "variable", "manifest", "rehearsal", "nothing to do"])
def test_run_lets_the_computer_sleep(command: Command, how: str) -> None:
    if how == "nothing to do":
        command("run")
    install(command, record(command.folder))
    arguments = {"flag": ["--no-keep-awake"], "rehearsal": ["--rehearse"]}.get(how, [])
    if how == "variable":
        command.environment["BATCH_RUNNER_KEEP_AWAKE"] = "no"
    if how == "manifest":
        command.manifest.write_text(command.manifest.read_text() + "keep_awake: false\n")

    done = command("run", *arguments)

    assert done.returncode == 0, done.stderr
    assert not (command.folder / "args").exists()


def test_program_that_fails_is_only_logged(command: Command) -> None:
    install(command, "echo 'Failed to connect to bus' >&2; exit 1")

    done = command("run", "--rate", "2/s")

    assert done.returncode == 0
    assert "inhibit" not in done.stderr + done.stdout
    (log,) = (command.out / ".batch" / "logs").glob("run-*.log")
    assert "keep_awake: systemd-inhibit ended with status 1" in log.read_text("utf-8")


def test_program_ends_when_the_run_is_killed(command: Command) -> None:
    os.mkfifo(command.folder / "pipe")
    end = os.open(command.folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    install(command, f"touch {command.folder}/args; exec cat > {command.folder}/pipe")
    process = command.start("run", "--rate", "1/s")
    while not (command.folder / "args").exists():
        assert process.poll() is None
        time.sleep(0.05)

    kill(process)

    os.set_blocking(end, True)
    assert os.read(end, 1) == b""
    os.close(end)
