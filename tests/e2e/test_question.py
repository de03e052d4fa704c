"""What a run says and asks before it sends anything, on a real terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import PATIENCE, write_manifest

if TYPE_CHECKING:
    from tests.e2e.conftest import Command, Service


@pytest.fixture(autouse=True)
def _dear(command: Command) -> None:
    """Let the eight creates cost more than is spent without asking."""
    text = command.manifest.read_text()
    command.manifest.write_text(text.replace("limits: {", "limits: {price: 10 CNY, "))


def on_a_terminal(command: Command, answer: str, *arguments: str) -> tuple[int, str]:
    """Run the job on a terminal; `answer` is typed when the question comes."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "batch_runner", "run", str(command.manifest)),
            *("--output", str(command.out), *arguments),
        ],
        env={**command.environment, "TERM": "dumb"},
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    told = b""
    try:
        while chunk := os.read(ours, 4096):
            told += chunk
            if b"[y/N]" in chunk:
                os.write(ours, answer.encode())
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    return process.wait(PATIENCE), told.decode()


def test_no_sends_nothing_and_yes_goes_on(command: Command, service: Service) -> None:
    refused, told = on_a_terminal(command, "n\n")

    assert refused == 3
    assert "Send 8 creates, 80.00 CNY? [y/N]" in told
    assert "nothing was sent" in told
    assert service.ledger()["totals"]["creates"] == 0
    agreed, told = on_a_terminal(command, "y\n")
    assert agreed == 0
    assert list(service.paid().values()) == [1] * 8
    again, told = on_a_terminal(command, "n\n")
    assert again == 0
    assert "nothing to create" in told
    assert "[y/N]" not in told


def test_the_end_of_input_is_no(command: Command, service: Service) -> None:
    code, _ = on_a_terminal(command, "\x04")

    assert code == 3
    assert service.ledger()["totals"]["creates"] == 0


@pytest.mark.parametrize("arguments", [["--yes"], ["--json"], ["--rehearse"]])
def test_these_never_ask(command: Command, service: Service, arguments: list[str]) -> None:
    code, told = on_a_terminal(command, "n\n", *arguments)

    assert code == 0
    assert "[y/N]" not in told


def test_below_the_threshold_nobody_is_asked(command: Command, service: Service) -> None:
    text = command.manifest.read_text()
    command.manifest.write_text(text.replace("limits: {", "limits: {confirm_above: 80 CNY, "))

    code, told = on_a_terminal(command, "n\n")

    assert code == 0
    assert "8 creates, 80.00 CNY" in told
    assert "[y/N]" not in told


def test_without_a_terminal_the_head_is_told_and_nobody_is_asked(
    command: Command, service: Service
) -> None:
    result = command("run")

    assert result.returncode == 0
    assert result.stderr.startswith("cards: 8 items: 8 new\n8 creates, 80.00 CNY, at least ")


def test_the_head_of_a_later_run_counts_what_stands_where(
    command: Command, service: Service
) -> None:
    command("run")
    write_manifest(command.manifest, 6)
    command.manifest.write_text(command.manifest.read_text() + "  - one more horse\n")

    result = command("run")

    assert result.stderr.startswith(
        "cards: 7 items: 1 new, 6 done; 2 no longer listed\n1 create, about "
    )
