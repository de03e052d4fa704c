"""`schedule` for a cluster: the service of a worker, and a scheduled `run --cluster`."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import KEY
from tests.e2e.test_schedule import HOSTILE, SYSTEMCTL, Machine
from tests.harness.commands import PATIENCE, run_command

DSN = "postgresql://me:a-password-that-must-not-leak@db/cluster"
UNIT = "batch-runner-worker.service"


@pytest.fixture
def host(tmp_path: Path) -> Machine:
    """Return a machine whose user has a cluster and a key of the default provider."""
    machine = Machine(tmp_path)
    config = tmp_path / "config/batch-runner"
    config.mkdir(parents=True)
    (config / "cluster").write_text(DSN)
    machine.has("systemctl", SYSTEMCTL)
    return machine


def worker(host: Machine, *more: str) -> subprocess.CompletedProcess[str]:
    words = ("schedule", "--systemd", "--worker", "--key-file", str(host.key), *more)
    done = run_command(*words, environment=host.environment)
    assert KEY not in done.stdout + done.stderr
    assert DSN not in done.stdout + done.stderr
    return done


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_installed_service_of_a_worker_is_valid(host: Machine) -> None:
    host.environment["XDG_STATE_HOME"] = HOSTILE
    host.environment["BATCH_RUNNER_CLUSTER"] = DSN
    host.environment["BATCH_RUNNER_MAX_SUBMISSIONS"] = "3"  # of a run, not of a worker

    done = worker(host, "--install", "--yes")

    assert done.returncode == 0, done.stderr
    assert host.store.read_text().splitlines() == [
        "--user daemon-reload",
        f"--user enable --now {UNIT}",
    ]
    path = host.home / "config/systemd/user" / UNIT
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    lines = path.read_text().splitlines()
    start = next(line for line in lines if line.startswith("ExecStart="))
    assert shlex.split(start.removeprefix("ExecStart=")) == [
        sys.executable,
        *("-m", "batch_runner", "worker"),
    ]
    assert {"Restart=always", "TimeoutStopSec=120", "WantedBy=default.target"} <= set(lines)
    credentials = [line for line in lines if line.startswith("LoadCredential=")]
    assert credentials == [
        f"LoadCredential=BATCH_RUNNER_CLUSTER:{host.home}/config/batch-runner/cluster",
        f"LoadCredential=BAICAI_API_KEY:{host.key}".replace("%", "%%"),
    ]
    assert not any("MAX_SUBMISSIONS" in line for line in lines)


def test_service_has_each_key_that_has_a_file(host: Machine) -> None:
    keys = host.home / ".config/batch-runner"
    keys.mkdir(parents=True)
    for provider in ("baicai", "bfl"):
        (keys / f"{provider}-key").write_text(KEY)

    words = ("schedule", "--systemd", "--worker")
    done = run_command(*words, environment=host.environment)

    assert (done.returncode, "contains no key" in done.stderr) == (0, False)
    assert f"LoadCredential=BAICAI_API_KEY:{keys}/baicai-key\n" in done.stdout
    assert f"LoadCredential=BFL_API_KEY:{keys}/bfl-key\n" in done.stdout


def test_missing_connection_string_is_reported_and_not_installed(host: Machine) -> None:
    (host.home / "config/batch-runner/cluster").unlink()

    shown, refused = worker(host), worker(host, "--install", "--yes")

    assert (shown.returncode, refused.returncode) == (0, 2)
    for done in (shown, refused):
        assert "config/batch-runner/cluster holds no connection string" in done.stderr
    assert not host.store.exists()


def test_scheduled_run_gives_the_job_to_the_workers(host: Machine) -> None:
    line, units = host.schedule("--cluster"), host.schedule("--cluster", "--systemd")

    assert line.stdout.rstrip("\n").endswith(" --quiet --if-locked skip --cluster")
    assert f" BATCH_RUNNER_CLUSTER_FILE={host.home}/config/batch-runner/cluster " in line.stdout
    credential = f"LoadCredential=BATCH_RUNNER_CLUSTER:{host.home}/config/batch-runner/cluster\n"
    assert credential in units.stdout
    assert DSN not in line.stdout + units.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--worker",), "--worker makes a service of systemd: add --systemd"),
        (("--systemd",), "Missing argument"),
        (("--rehearse", "--cluster", "cards.yaml", "--at", "01:30"), "leave out --cluster"),
    ],
)
def test_what_cannot_be_combined_is_refused(
    host: Machine, words: tuple[str, ...], message: str
) -> None:
    done = run_command("schedule", *words, environment=host.environment)

    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
