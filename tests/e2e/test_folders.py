"""Output folders that cannot be used are one sentence, whatever the verb."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import write_manifest

VERBS = ["plan", "run", "status", "retry --all", "resolve", "verify", "report"]


def said_by(verb: str, manifest: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "batch_runner", verb.split()[0], manifest, *verb.split()[1:], *more],
        env={"PATH": os.environ["PATH"], "BAICAI_API_KEY": "sk-any", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_that_cannot_be_looked_into_is_refused(tmp_path: Path, verb: str) -> None:
    manifest = tmp_path / "cards.yaml"
    write_manifest(manifest, 1)
    (tmp_path / "loop").symlink_to("loop")
    for folder in ("x" * 300, "y/" * 2100, "loop/out"):
        said = said_by(verb, manifest, "--output", str(tmp_path / folder))

        assert said.returncode == 2, said.stderr
        assert "cannot be used" in said.stderr
        assert "Traceback" not in said.stderr


def test_a_folder_with_no_name_is_not_the_one_one_stands_in(tmp_path: Path) -> None:
    manifest = tmp_path / "cards.yaml"
    write_manifest(manifest, 1)

    said = said_by("run", manifest, "--rehearse", "--output", "")

    assert said.returncode == 2
    assert "it is empty" in said.stderr
