"""Shell completion in a real bash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.commands import run_command

#: Defines `complete LINE`, which prints what a TAB at the end of the line would offer.
BASH = r"""
eval "$(batch-runner completion bash)"
offer() {
    read -ra COMP_WORDS <<< "$1"
    [[ $1 == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
    _batch_runner_completion batch-runner
    printf '%s\n' "${COMPREPLY[@]}"
}
compopt() { printf 'as bash completes: %s\n' "$2"; }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with manifests and other files, and `batch-runner` in `bin`."""
    for name in ("jobs/cards.yaml", "jobs/horses.yml", "jobs/names.csv", "jobs/old/a.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    script = tmp_path / ".bin/batch-runner"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m batch_runner "$@"\n')
    script.chmod(0o755)
    return tmp_path


def offers(folder: Path, line: str) -> list[str]:
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{BASH}\noffer {line!r}"],
        cwd=folder,
        env={**os.environ, "PATH": f"{folder}/.bin:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("batch-runner re", ["retry", "redo", "resolve", "report"]),
        ("batch-runner plan --in", ["--in-flight"]),
        ("batch-runner plan ", ["jobs/cards.yaml", "jobs/horses.yml", "jobs/old/"]),
        ("batch-runner plan jobs/c", ["jobs/cards.yaml"]),
        ("batch-runner init --example ma", ["matrix"]),
        ("batch-runner plan nothing", ["as bash completes: default", ""]),
    ],
)
def test_bash_is_offered(line: str, offered: list[str], folder: Path) -> None:
    assert offers(folder, line) == offered


def test_path_that_needs_quotes_is_left_to_bash(folder: Path) -> None:
    (folder / "jobs/horse cards.yaml").touch()

    assert offers(folder, "batch-runner run jobs/") == ["as bash completes: default", ""]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    done = run_command("completion", shell)

    assert (done.returncode, done.stderr) == (0, "")
    assert f"_BATCH_RUNNER_COMPLETE={shell}_complete" in done.stdout
