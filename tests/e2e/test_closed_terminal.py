"""The terminal is closed while a run is working."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

import pytest

from tests.e2e.conftest import Command, Service, wait_until
from tests.harness.commands import PATIENCE

pytestmark = pytest.mark.slow


#: Starts a command with SIGHUP ignored or at its default, however the tests were started.
_START = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.Handlers(int(sys.argv[1])))
os.execv(sys.argv[2], sys.argv[2:])
"""


def started(command: Command, stderr: int, *, under_nohup: bool) -> subprocess.Popen[bytes]:
    """Start a run and return its process."""
    handler = signal.SIG_IGN if under_nohup else signal.SIG_DFL
    words = [sys.executable, "-m", "batch_runner", "run", str(command.manifest)]
    return subprocess.Popen(
        [sys.executable, "-c", _START, str(int(handler)), *words, "--output", str(command.out)],
        env={**command.environment, "TERM": "xterm-256color"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
    )


def test_run_continues_after_its_terminal_is_closed(command: Command, service: Service) -> None:
    service.set_faults("word:status")  # still running, until that is taken away
    ours, theirs = pty.openpty()
    process = started(command, theirs, under_nohup=False)
    os.close(theirs)
    wait_until(lambda: b"in flight" in os.read(ours, 65536))

    os.close(ours)
    service.set_faults()

    assert process.wait(PATIENCE) == 0
    assert (command.out / "index.html").exists()
    assert set(command.statuses().values()) == {"done"}


@pytest.mark.parametrize(("under_nohup", "code"), [(True, 0), (False, 3)])
def test_sighup_stops_a_run_unless_it_was_ignored(
    command: Command, service: Service, under_nohup: bool, code: int
) -> None:
    service.set_faults("word:status")  # still running, until that is taken away
    process = started(command, subprocess.DEVNULL, under_nohup=under_nohup)
    service.wait_for(lambda ledger: len(ledger["submissions"]) == 8)

    process.send_signal(signal.SIGHUP)
    if under_nohup:
        service.set_faults()

    assert process.wait(PATIENCE) == code
    service.set_faults()
    assert command("run").returncode == 0
    assert list(service.paid().values()) == [1] * 8
