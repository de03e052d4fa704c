"""The preview and the question of a run, on a real terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from itertools import count

import pytest

from tests.e2e.conftest import Command, Service, write_manifest
from tests.harness.commands import PATIENCE


@pytest.fixture(autouse=True)
def _expensive(command: Command) -> None:
    """Make the eight submissions cost more than limits.confirm_above."""
    text = command.manifest.read_text()
    command.manifest.write_text(text.replace("limits: {", "limits: {price: 10 CNY, "))


def on_a_terminal(
    command: Command, answers: str, *arguments: str, meanwhile: Callable[[], object] = lambda: None
) -> tuple[int, str]:
    """Run the job on a terminal; at each question type a line of `answers`, after `meanwhile`."""
    lines = iter(answers.splitlines(keepends=True))
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
    output, asked = b"", 0
    try:
        while chunk := os.read(ours, 4096):
            output += chunk
            if output.count(b"[y/N]") + output.count(b"(Enter)?") > asked:
                asked += 1
                meanwhile()
                os.write(ours, next(lines).encode())
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    return process.wait(PATIENCE), output.decode()


def test_answer_no_sends_nothing_and_yes_continues(command: Command, service: Service) -> None:
    refused, output = on_a_terminal(command, "n\n")

    assert refused == 3
    assert "Send 8 submissions, 80.00 CNY? [y/N]" in output
    assert "nothing was sent" in output
    assert service.ledger()["totals"]["submissions"] == 0
    agreed, output = on_a_terminal(command, "y\n")
    assert agreed == 0
    assert output.count("8 submissions, 80.00 CNY, ") == 1
    assert list(service.paid().values()) == [1] * 8
    again, output = on_a_terminal(command, "n\n")
    assert again == 0
    assert "nothing to submit" in output
    assert "[y/N]" not in output


def test_another_run_can_work_while_the_question_is_open(
    command: Command, service: Service
) -> None:
    others = []

    def by_cron() -> None:
        others.append(command("run", "--if-locked", "skip"))

    code, output = on_a_terminal(command, "y\n", meanwhile=by_cron)

    assert [other.returncode for other in others] == [0]
    assert "All 8 items are done" in others[0].stdout
    assert code == 0
    assert "cards: 8 items: 8 done\r\nnothing to submit" in output
    assert list(service.paid().values()) == [1] * 8


def test_answer_is_refused_while_another_run_works(command: Command, service: Service) -> None:
    service.set_faults("word:status")  # still running, until that is taken away
    others = []

    def by_cron() -> None:
        others.append(command.start("run"))
        service.wait_for(lambda ledger: len(ledger["submissions"]) == 8)

    code, output = on_a_terminal(command, "y\n", meanwhile=by_cron)

    assert code == 5
    assert f"another run holds {command.out}: process {others[0].pid}" in output
    service.set_faults()
    others[0].communicate(timeout=PATIENCE)
    assert others[0].returncode == 0
    assert list(service.paid().values()) == [1] * 8


def test_items_added_during_the_question_are_asked_about(
    command: Command, service: Service
) -> None:
    text = command.manifest.read_text().partition("prompts:\n")[0]
    command.manifest.write_text(text + "items_from: cards.csv\n")
    rows = command.folder / "cards.csv"
    rows.write_text("prompt\n" + "".join(f"horse {n}\n" for n in range(8)))
    numbers = count(8)

    def add_a_row() -> None:
        with rows.open("a") as file:
            file.write(f"horse {next(numbers)}\n")

    def change_a_row() -> None:
        rows.write_text(rows.read_text().replace("horse 5", "mare 5"))

    once = on_a_terminal(command, "n\n", meanwhile=add_a_row)
    twice = on_a_terminal(command, "y\nn\n", meanwhile=add_a_row)
    changed = on_a_terminal(command, "y\nn\n", meanwhile=change_a_row)

    assert "Send 8 submissions, 80.00 CNY? [y/N]" in once[1]
    assert (once[0], twice[0], changed[0]) == (3, 3, 3)
    assert "Send 9 submissions, 90.00 CNY? [y/N]" in twice[1]
    assert "Send 10 submissions, 100.00 CNY? [y/N]" in twice[1]
    assert changed[1].count("Send 11 submissions, 110.00 CNY? [y/N]") == 2
    assert service.ledger()["totals"]["submissions"] == 0


def test_items_another_run_adds_are_asked_about(command: Command, service: Service) -> None:
    text = command.manifest.read_text().partition("prompts:\n")[0]
    command.manifest.write_text(text + "items_from: cards.csv\n")
    rows = command.folder / "cards.csv"
    rows.write_text("prompt\n" + "".join(f"horse {n}\n" for n in range(8)))

    def another_list() -> None:
        if "horse" in rows.read_text():
            rows.write_text(rows.read_text().replace("horse", "cow"))
            assert command("run", "--max-submissions", "1").returncode == 3

    code, output = on_a_terminal(command, "y\nn\n", meanwhile=another_list)

    assert code == 3
    assert "Send 8 submissions" in output
    assert "Send 7 submissions" in output
    assert len(service.ledger()["submissions"]) == 1


def test_end_of_input_counts_as_no(command: Command, service: Service) -> None:
    code, _ = on_a_terminal(command, "\x04")

    assert code == 3
    assert service.ledger()["totals"]["submissions"] == 0


@pytest.mark.parametrize("arguments", [["--yes"], ["--json"], ["--rehearse"]])
def test_yes_json_and_rehearse_never_ask(
    command: Command, service: Service, arguments: list[str]
) -> None:
    code, output = on_a_terminal(command, "n\n", *arguments)

    assert code == 0
    assert "[y/N]" not in output


def test_cost_below_the_threshold_is_not_asked_about(command: Command, service: Service) -> None:
    text = command.manifest.read_text()
    command.manifest.write_text(text.replace("limits: {", "limits: {confirm_above: 80 CNY, "))

    code, output = on_a_terminal(command, "n\n")

    assert code == 0
    assert "8 submissions, 80.00 CNY" in output
    assert "[y/N]" not in output


def test_preview_without_a_terminal_asks_nothing(command: Command, service: Service) -> None:
    result = command("run")

    assert result.returncode == 0
    assert result.stderr.startswith("cards: 8 items: 8 new\n8 submissions, 80.00 CNY, at least ")


def test_preview_of_a_later_run_counts_statuses(command: Command, service: Service) -> None:
    command("run")
    write_manifest(command.manifest, 6)
    command.manifest.write_text(command.manifest.read_text() + "  - one more horse\n")

    result = command("run")

    assert result.stderr.startswith(
        "cards: 7 items: 1 new, 6 done; 2 no longer listed\n1 submission, about "
    )
