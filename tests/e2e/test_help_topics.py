"""`help TOPIC`: the pages, piped and on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import batch_runner
from batch_runner.cli.commands.help import TOPICS
from batch_runner.cli.main import COMMANDS
from tests.harness.commands import PATIENCE, run_command

pytestmark = pytest.mark.slow

DOCS = Path(batch_runner.__file__).parent / "docs"


def show(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return run_command(*words, environment={**os.environ, **variables})


def on_a_terminal(*words: str, **variables: str) -> str:
    """Return what a terminal of 80 columns is sent."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "batch_runner", *words],
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", **variables},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    output = b""
    try:
        while chunk := os.read(ours, 4096):
            output += chunk
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(PATIENCE) == 0
    return output.decode()


def test_every_page_is_a_topic() -> None:
    assert {page.stem for page in DOCS.glob("*.md")} == set(TOPICS)


def test_no_topic_has_the_name_of_a_command() -> None:
    assert TOPICS.keys() & COMMANDS.keys() == set()


def test_help_without_topic_lists_every_topic() -> None:
    listed = show("help").stdout

    assert [line.split()[0] for line in listed.splitlines() if line.startswith("  ")] == [*TOPICS]
    assert listed.endswith("\nShow one: batch-runner help TOPIC\n")


@pytest.mark.parametrize("topic", list(TOPICS))
def test_topic_is_printed_as_markdown_where_it_is_piped(topic: str) -> None:
    done = show("help", topic)

    assert (done.returncode, done.stderr) == (0, "")
    page = (DOCS / f"{topic}.md").read_text("utf-8").splitlines()
    shown = [line for line in done.stdout.splitlines() if line]
    assert shown == [line for line in page if line and not line.startswith("<!--")]


def test_help_of_command_equals_its_help_flag() -> None:
    assert show("help", "plan").stdout == show("plan", "--help").stdout


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("glosary", "no topic or command glosary; did you mean glossary?"),
        ("pln", "no topic or command pln; did you mean plan?"),
        ("xyzzy", "no topic or command xyzzy; the topics: batch-runner help"),
    ],
)
def test_unknown_topic_is_a_usage_error(name: str, hint: str) -> None:
    done = show("help", name)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"batch-runner: {hint}\n"


def test_topic_is_rendered_for_a_terminal() -> None:
    shown = on_a_terminal("help", "changelog", PAGER="cat")
    plain = on_a_terminal("help", "changelog", PAGER="", TERM="dumb")

    assert "\x1b[" in shown
    assert "functions (batch-runner help library)" in " ".join(plain.split())


def test_no_color_shows_no_colours() -> None:
    colours = ("\x1b[3", "\x1b[4", "\x1b[9")

    shown = on_a_terminal("help", "library", PAGER="cat", NO_COLOR="1")

    assert not any(f"{start}{n}" in shown for start in colours for n in range(8))


def test_pager_is_given_the_page(tmp_path: Path) -> None:
    pager, kept = tmp_path / "pager", tmp_path / "page.txt"
    pager.write_text(f"#!/bin/sh\ncat > {kept}\n")
    pager.chmod(0o755)

    shown = on_a_terminal("help", "glossary", PAGER=str(pager))

    assert "Statuses of an item" in kept.read_text("utf-8")
    assert "Statuses" not in shown


def test_shell_completes_topics_and_commands() -> None:
    found = show(
        _BATCH_RUNNER_COMPLETE="bash_complete", COMP_WORDS="batch-runner help gl", COMP_CWORD="2"
    )

    assert found.stdout == "plain,glossary\n"
