"""Commands of the user: each in a process group of its own, which ends with the command.

A command may hang, read nothing of its standard input, or write without end.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from batch_runner.util.paths import encode_path

log = logging.getLogger(__name__)

#: Bytes kept of what a command writes to standard output and standard error.
OUTPUT_BYTES = 2000
#: Seconds that a command has to end after SIGTERM, before SIGKILL.
GRACE = 5.0
#: Seconds between two looks whether a command is to be stopped.
TICK = 0.1
#: Kills the process groups that were named last, when the run no longer holds its standard input:
#: after kill -9 nobody else could end the commands.
_GUARD = """
while read -r groups; do last=$groups; done
for group in $last; do kill -s KILL -- "-$group"; done
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedCommand:
    """How a command ended; `exit_status` is negative for a signal."""

    exit_status: int
    output: str  # the first OUTPUT_BYTES
    timed_out: bool = False
    stopped: bool = False  # by `UserCommands.stop`

    @property
    def problem(self) -> str | None:
        """Return what was wrong, None if nothing was."""
        if self.timed_out:
            return "it did not end in time"
        if self.exit_status < 0:
            return f"signal {-self.exit_status}"
        return f"exit status {self.exit_status}" if self.exit_status else None


class UserCommands:
    """Runs commands in threads, with one environment and working directory."""

    def __init__(self, folder: Path, environment: Mapping[bytes, bytes]) -> None:
        self._folder = folder
        self._environment = environment
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._groups: set[int] = set()
        self._guard: subprocess.Popen[bytes] | None = None

    def run(self, command: str, stdin: bytes, seconds: float) -> EndedCommand:
        """Run a command in the shell to its end, at most for this time. Blocks.

        Raises:
            OSError, ValueError: it could not be started.
        """
        with tempfile.TemporaryFile() as given:  # a pipe fills up if the command does not read
            given.write(stdin)
            given.seek(0)
            with subprocess.Popen(  # noqa: S602  the user's own command, from the user's manifest
                encode_path(command),
                shell=True,
                cwd=self._folder,
                env=self._environment,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process:
                self._watch(process.pid, add=True)
                try:
                    return self._wait(process, time.monotonic() + seconds)
                finally:
                    _signal_group(process, signal.SIGKILL)  # what it left behind
                    self._watch(process.pid, add=False)

    def stop(self) -> None:
        """End all commands: those that run, and those that are started from now on."""
        self._stopping.set()

    def close(self) -> None:
        """End the guard, once no command runs."""
        with self._lock:
            guard, self._guard = self._guard, None
        if guard is not None:
            guard.kill()
            guard.communicate()

    def _wait(self, process: subprocess.Popen[bytes], deadline: float) -> EndedCommand:
        assert process.stdout is not None  # noqa: S101  it is a pipe
        kept = bytearray()
        timed_out = stopped = False
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while process.poll() is None:
                if selector.get_map():
                    _read(selector, process.stdout.fileno(), kept, TICK)
                else:  # it closed its output
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(TICK)
                timed_out = time.monotonic() >= deadline
                stopped = self._stopping.is_set()
                if timed_out or stopped:
                    _end(process)
            while selector.get_map() and _read(selector, process.stdout.fileno(), kept, 0):
                if len(kept) >= OUTPUT_BYTES:
                    break
        return EndedCommand(
            exit_status=process.returncode,
            output=kept.decode("utf-8", "replace"),
            timed_out=timed_out,
            stopped=stopped,
        )

    def _watch(self, group: int, *, add: bool) -> None:
        """Tell the guard about a process group."""
        with self._lock:
            (self._groups.add if add else self._groups.discard)(group)
            if self._guard is None:
                self._guard = subprocess.Popen(  # noqa: S603  a fixed program
                    ["/bin/sh", "-c", _GUARD],
                    cwd="/",
                    env={},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            assert self._guard.stdin is not None  # noqa: S101  it is a pipe
            with suppress(BrokenPipeError):
                os.write(
                    self._guard.stdin.fileno(), f"{' '.join(map(str, self._groups))}\n".encode()
                )


def _read(selector: selectors.BaseSelector, descriptor: int, kept: bytearray, wait: float) -> bool:
    """Read what the command has written; return whether there was something."""
    if not selector.select(wait):
        return False
    chunk = os.read(descriptor, 65536)
    if not chunk:
        selector.unregister(descriptor)
    kept += chunk[: OUTPUT_BYTES - len(kept)]
    return bool(chunk)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process group: SIGTERM, and SIGKILL to what is left of it."""
    _signal_group(process, signal.SIGTERM)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a zombie
        os.killpg(process.pid, number)
