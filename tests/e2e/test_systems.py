"""Other operating systems and file systems: what is refused, and what works without Linux."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Command, Service, kill, wait_until
from tests.harness.commands import PATIENCE

OTHER_SYSTEM = Path(__file__).parents[1] / "harness/other_system.py"
#: Python code that makes this process look like one on Windows.
ON_WINDOWS = (
    "import signal, sys\n"
    "sys.platform = 'win32'\n"
    "del signal.SIGHUP\n"
    "sys.modules.update(dict.fromkeys(['fcntl', 'grp', 'pwd', 'resource', 'termios']))\n"
)


def start_elsewhere(command: Command, fault: str, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, str(OTHER_SYSTEM), fault, "--", name, str(command.manifest)),
            *("--output", str(command.out)),
        ],
        env=command.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def run_elsewhere(command: Command, fault: str, name: str) -> subprocess.CompletedProcess[str]:
    process = start_elsewhere(command, fault, name)
    out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_command_on_windows_names_wsl() -> None:
    done = python(
        f"{ON_WINDOWS}import runpy\nsys.argv[1:] = ['run', 'cards.yaml']\n"
        "runpy.run_module('batch_runner', run_name='__main__')"
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "WSL" in done.stderr


def test_library_on_windows_names_wsl_at_its_first_use() -> None:
    done = python(f"{ON_WINDOWS}import batch_runner\nprint(batch_runner.__version__)")
    used = python(f"{ON_WINDOWS}from batch_runner import run_job")

    assert (done.returncode, done.stderr) == (0, "")
    assert used.returncode == 1
    last = used.stderr.splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert "WSL" in last


def test_killed_run_without_linux_features_continues(command: Command, service: Service) -> None:
    process = start_elsewhere(command, "without_linux", "run")
    service.wait_for(lambda ledger: len(ledger["submissions"]) == 8)
    wait_until(lambda: len(command.pictures()) >= 2)
    kill(process)

    done = run_elsewhere(command, "without_linux", "run")

    assert "Traceback" not in done.stderr
    statuses = command.statuses()
    assert set(statuses.values()) <= {"done", "held"}
    assert list(service.paid().values()) == [1] * 8
    placed = [name for name, status in statuses.items() if status == "done"]
    assert [path.stem for path in command.pictures()] == placed
    assert list((command.out / ".batch/parts").iterdir()) == []
    assert done.returncode == int("held" in statuses.values())


def test_folder_that_cannot_be_synced_is_one_warning(command: Command) -> None:
    done = run_elsewhere(command, "unsyncable_folders", "run")

    assert done.returncode == 0, done.stderr
    assert done.stderr.count("cannot sync folders") == 1
    assert len(command.pictures()) == 8


def test_broken_disk_is_refused(command: Command, service: Service) -> None:
    done = run_elsewhere(command, "broken_disk", "run")

    assert done.returncode == 2
    assert "Input/output error" in done.stderr
    assert service.paid() == {}


def test_file_system_without_locks_is_refused(command: Command, service: Service) -> None:
    done = run_elsewhere(command, "without_locks", "run")

    assert done.returncode == 2
    assert "cannot lock files (No locks available)" in done.stderr
    assert service.paid() == {}


@pytest.mark.parametrize("name", ["status", "plan", "report"])
def test_reading_without_locks_fails_at_once(command: Command, name: str) -> None:
    command("run")

    done = run_elsewhere(command, "without_locks", name)

    assert done.returncode == 3
    assert "cannot lock files (No locks available)" in done.stderr


@pytest.mark.parametrize("allowed", [6, 16])
def test_too_few_open_files_are_refused(command: Command, service: Service, allowed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "batch_runner", "run", str(command.manifest)],
        env=command.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed)),
    )

    assert done.returncode == 2
    assert f"may open {allowed} files" in done.stderr
    assert "ulimit -n" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert service.paid() == {}
