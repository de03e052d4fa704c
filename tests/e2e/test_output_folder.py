"""Output folders that cannot be used, with every command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import write_manifest

COMMANDS = ["plan", "run", "status", "retry --all", "resolve", "verify", "report"]


def run(words: str, manifest: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "batch_runner",
            words.split()[0],
            manifest,
            *words.split()[1:],
            *more,
        ],
        env={"PATH": os.environ["PATH"], "BAICAI_API_KEY": "sk-any", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
    )


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
