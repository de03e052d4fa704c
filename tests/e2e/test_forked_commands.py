"""The commands that tests fork are as those that users start."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import write_manifest
from tests.harness.commands import PATIENCE, PROGRAM, run_command, start_command


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    own = {"PATH": os.environ["PATH"], "XDG_STATE_HOME": str(tmp_path), "COLUMNS": "64"}
    return {**own, "BAICAI_API_KEY": "sk-any", "TZ": "Asia/Shanghai", "BATCH_RUNNER_UNTIL": "06:30"}


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("--help", 0),
        ("plan cards.yaml", 0),
        ("status cards.yaml", 3),
        ("run cards.yaml --rate", 2),
    ],
)
def test_forked_command_prints_what_a_started_one_does(
    tmp_path: Path, environment: dict[str, str], words: str, status: int
) -> None:
    write_manifest(tmp_path / "cards.yaml", 2)

    forked = run_command(*words.split(), environment=environment, folder=tmp_path)
    started = subprocess.run(
        [*PROGRAM, *words.split()],
        env=environment,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert forked.stdout + forked.stderr != ""
    assert forked.stderr == started.stderr
    # A minute may pass between the two.
    assert re.sub(r" in \d+ h.*", "", forked.stdout) == re.sub(r" in \d+ h.*", "", started.stdout)
    assert forked.returncode == started.returncode == status


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -9)]
)
def test_signal_ends_a_forked_command(
    tmp_path: Path, environment: dict[str, str], number: signal.Signals, status: int
) -> None:
    process = start_command("simulate", "--port", "0", environment=environment, folder=tmp_path)
    assert process.stdout is not None
    assert "http://" in process.stdout.readline()
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.0)

    process.send_signal(number)
    process.communicate()

    assert process.returncode == process.poll() == status
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
