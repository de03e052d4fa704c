"""Starts commands in processes of their own.

Most are forked by a server that has imported the program, because the imports of a command take
ten times as long as its work. They are processes like others, with their own environment, folder,
streams, signals and exit status. With TEST_REAL_START=1 an interpreter is started for each, as for
users. A test of the start itself uses `subprocess`.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO, TypeAlias

PROGRAM = (sys.executable, "-m", "batch_runner")
#: Seconds after which a test has failed, however slow the machine.
PATIENCE = 250.0
#: The variables that are read when an interpreter starts or the program is imported.
_READ_AT_START = re.compile(r"(PYTHON|LC_|LANG|SSL_CERT_|COVERAGE_).*")
_CAN_FORK = hasattr(os, "pidfd_open")


class ForkedCommand:
    """A process that the server has forked, with methods of `subprocess.Popen`."""

    def __init__(
        self, arguments: list[str], environment: Mapping[str, str], folder: Path, *, errors: bool
    ) -> None:
        """Start it; without `errors`, its standard error is that of the tests."""
        self.args = [*PROGRAM, *arguments]
        self.returncode: int | None = None
        self._answers, answers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.stdout, output = _pipe()
        self.stderr: TextIO | None
        self.stderr, error = _pipe() if errors else (None, os.dup(2))
        descriptors = [os.open(os.devnull, os.O_RDONLY), output, error]
        request = {
            "arguments": arguments,
            "environment": dict(environment),
            "folder": str(folder),
            "umask": _umask(),
        }
        at_start = {one for one in environment.items() if _READ_AT_START.fullmatch(one[0])}
        socket.send_fds(
            _server(frozenset(at_start)),
            [json.dumps(request).encode()],
            [*descriptors, answers.fileno()],
        )
        answers.close()
        for descriptor in descriptors:
            os.close(descriptor)
        self.pid = self._answer()

    def _answer(self) -> int:
        answer = self._answers.recv(100)
        assert answer, "the server of commands has ended"
        return int(answer)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status; minus the number of the signal that ended the process."""
        if self.returncode is None:
            self._answers.settimeout(timeout)
            try:
                self.returncode = self._answer()
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0) from None
            self._answers.close()
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit status, None while the process runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def communicate(self, timeout: float = PATIENCE) -> tuple[str, str]:
        """Return what is printed until the end of the process, on standard output and error."""
        printed = ["", ""]

        def read(number: int, stream: TextIO) -> None:
            with stream:
                printed[number] = stream.read()

        streams = [one for one in (self.stdout, self.stderr) if one is not None]
        readers = [
            threading.Thread(target=read, args=one, daemon=True) for one in enumerate(streams)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout)
        self.wait(timeout)
        return printed[0], printed[1]

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


CommandProcess: TypeAlias = "ForkedCommand | subprocess.Popen[str]"


def start_command(
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    errors: bool = True,
) -> CommandProcess:
    """Start `batch-runner ARGUMENTS` without standard input; its output goes to pipes.

    `environment` None is that of the tests, and `folder` None the current one. Without `errors`,
    standard error is that of the tests.
    """
    words = list(map(str, arguments))
    environment = os.environ if environment is None else environment
    folder = folder or Path.cwd()
    if _CAN_FORK and os.environ.get("TEST_REAL_START") != "1":
        return ForkedCommand(words, environment, folder, errors=errors)
    return subprocess.Popen(
        [*PROGRAM, *words],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if errors else None,
        text=True,
    )


def run_command(
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `batch-runner ARGUMENTS` to its end; see `start_command`."""
    process = start_command(*arguments, environment=environment, folder=folder)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode is not None
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@contextmanager
def simulator_process(*options: str | Path) -> Iterator[tuple[CommandProcess, str]]:
    """Run a simulator in a process of its own; yield the process and its URL."""
    process = start_command(
        *("simulate", "--port", "0", *options), environment=bare_environment(), errors=False
    )
    try:
        assert process.stdout is not None
        match = re.search(r"http://\S+", process.stdout.readline())
        assert match is not None
        yield process, match[0]
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def bare_environment(**more: str) -> dict[str, str]:
    """Return `more` and the variables without which a command does not work or is not measured."""
    kept = ("PATH", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "PYTHONPATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | more


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _pipe() -> tuple[TextIO, int]:
    reading, writing = os.pipe()
    return open(reading, encoding="utf-8"), writing  # noqa: PTH123


@functools.cache
def _server(at_start: frozenset[tuple[str, str]]) -> socket.socket:
    """Start the server for commands with these variables; it ends with the tests."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.harness.command_server", str(theirs.fileno())],
        cwd=Path(__file__).parents[2],
        env={"PATH": os.environ["PATH"], **dict(at_start)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,  # as of the commands: it is not in a terminal, and cannot seek
        stderr=subprocess.PIPE,
        pass_fds=[theirs.fileno()],
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.communicate()

    atexit.register(end)
    return ours
