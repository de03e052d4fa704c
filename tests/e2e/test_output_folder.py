"""Output folders that cannot be used, with every command."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import write_manifest
from tests.harness.commands import bare_environment, run_command

COMMANDS = ["plan", "run", "status", "retry --all", "resolve", "verify", "report"]


def run(words: str, manifest: Path, *more: str) -> subprocess.CompletedProcess[str]:
    name, *options = words.split()
    environment = bare_environment(BAICAI_API_KEY="sk-any")
    return run_command(name, manifest, *options, *more, environment=environment)


@pytest.mark.parametrize("words", COMMANDS)
def test_unreadable_output_folder_is_refused(tmp_path: Path, words: str) -> None:
    manifest = tmp_path / "cards.yaml"
    write_manifest(manifest, 1)
    (tmp_path / "loop").symlink_to("loop")
    for folder in ("x" * 300, "y/" * 2100, "loop/out"):
        done = run(words, manifest, "--output", str(tmp_path / folder))

        assert done.returncode == 2, done.stderr
        assert "cannot be used" in done.stderr
        assert "Traceback" not in done.stderr


def test_empty_output_path_is_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "cards.yaml"
    write_manifest(manifest, 1)

    done = run("run", manifest, "--rehearse", "--output", "")

    assert done.returncode == 2
    assert "it is empty" in done.stderr
