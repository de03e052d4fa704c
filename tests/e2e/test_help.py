"""`--help` and `--version`."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import click
import pytest

from batch_runner.cli.main import COMMANDS, CommandGroup, commands
from tests.harness.commands import run_command

NAMES = list(COMMANDS)


def command_named(name: str) -> click.Command:
    assert isinstance(commands, CommandGroup)
    found = commands.get_command(click.Context(commands), name)
    assert found is not None
    return found


def help_of(*words: str) -> str:
    done = run_command(*words, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_group_lists_every_command() -> None:
    listed = help_of().partition("Commands:\n")[2].partition("\n\n")[0]

    assert [line.split()[0] for line in listed.splitlines()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_command_help_has_examples_and_its_exit_statuses(name: str) -> None:
    text = help_of(name)
    examples = text.partition("Examples:\n")[2].partition("\n\n")[0].splitlines()
    statuses = text.partition("Exit status:\n")[2].splitlines()

    assert 2 <= len(examples) <= 5
    assert all(line.strip().startswith(f"batch-runner {name}") for line in examples)
    codes = [re.match(r" {4}(\d+(?:, \d+)?) ", line)[1] for line in statuses]  # type: ignore[index]
    assert codes == sorted(codes, key=lambda code: int(code.split(",")[0]))
    assert {"0", "2", "70", "130, 143"} <= set(codes)
    assert all(line.endswith(".") for line in statuses)


@pytest.mark.parametrize("name", ["run", "schedule"])
def test_help_in_chinese(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "batch_runner", name, "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "zh_CN.UTF-8", "PYTHONUTF8": "1", "COLUMNS": "80"},
    )

    assert {"用法：", "选项:", "示例：", "退出状态："} <= set(done.stdout.split())
    assert f"  batch-runner {name} " in done.stdout


def test_exit_statuses_are_those_of_the_command_itself() -> None:
    sections = {name: help_of(name).partition("Exit status:\n")[2] for name in NAMES}

    assert "every item is done" in sections["run"].lower()
    for name in ("init", "simulate", "schema", "schedule"):
        assert "item" not in sections[name]
        assert ("\n    3 " in sections[name]) == (name in ("init", "schedule"))  # they ask
    assert len(set(sections.values())) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_help(name: str) -> None:
    options = [one for one in command_named(name).params if isinstance(one, click.Option)]

    assert [one.name for one in options if not (one.help or "").endswith(".")] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_option_with_a_default_names_it(name: str) -> None:
    options = [one for one in command_named(name).params if isinstance(one, click.Option)]
    values = [one for one in options if not one.is_flag and not one.required]
    named = ("default", "may be repeated", "Only items", "separated by commas")

    assert [one.name for one in values if not any(word in (one.help or "") for word in named)] == []


def test_version_is_printed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "batch_runner", "--version"], capture_output=True, text=True
    )

    assert (done.returncode, done.stdout) == (0, "batch-runner, version 0.1.0\n")


@pytest.mark.parametrize(
    ("words", "new"),
    [
        ("run --tasks 5 x.yaml", "--max-submissions"),
        ("plan --pace 5/s x.yaml", "--rate"),
        ("run --polls 5 x.yaml", "--poll-rate"),
        ("verify --fetch x.yaml", "--redownload"),
    ],
)
def test_renamed_flag_is_refused_with_its_new_name(words: str, new: str) -> None:
    done = run_command(*words.split())

    assert done.returncode == 2
    assert f" was renamed to {new}\n" in done.stderr


@pytest.mark.parametrize(
    ("word", "hint"), [("sttaus", "Did you mean status?"), ("xyzzy", "No such command 'xyzzy'.\n")]
)
def test_unknown_command_gets_a_suggestion(word: str, hint: str) -> None:
    done = run_command(word)

    assert done.returncode == 2
    assert hint in done.stderr
