"""A shell as the documentation shows it: commands after `$ `, and below each what it prints."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

#: Seconds for one command, however slow the machine.
PATIENCE = 200.0
_END = re.compile(r"\x1e(\d+)\x1e\n")
_DURATION = re.compile(r"\d+ h \d+ min|\d+ min \d+ s|\d+(?:\.\d+)? s\b")


class Step(NamedTuple):
    """A command, the lines below it (None: none are shown), and its line in the block."""

    command: str
    printed: str | None
    line: int


def steps(text: str) -> Iterator[Step]:
    """Yield the commands of a block: lines after `$ `, continued on lines after `> `."""
    command: list[str] = []
    printed: list[str] = []
    start = 0
    for number, line in enumerate(text.splitlines()):
        if line.startswith("$ "):
            if command:
                yield _step(command, printed, start)
            command, printed, start = [line[2:]], [], number
        elif line.startswith("> ") and command and not printed:
            command.append(line[2:])
        elif command:
            printed.append(line)
    if command:
        yield _step(command, printed, start)


def _step(command: list[str], printed: list[str], line: int) -> Step:
    shown = "\n".join(printed).strip("\n")
    return Step("\n".join(command), shown or None, line)


def matches(printed: str, shown: str) -> bool:
    """Return whether a command printed what is shown.

    In `shown`, … stands for any text within a line, and alone on a line for any lines. Durations
    such as "4.9 s" may differ.
    """
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else _line_pattern(line) + r"[ ]*\n"
        for line in shown.splitlines()
    )
    return re.fullmatch(pattern, printed.strip("\n") + "\n") is not None


def _line_pattern(line: str) -> str:
    pattern = re.escape(_DURATION.sub("\x01", line).rstrip()).replace("…", ".*?")
    return pattern.replace("\x01", f"(?:{_DURATION.pattern})")


class ShellSession:
    """One bash in a folder, with `batch-runner` in its path, no key, and no settings of the host.

    `environment` is added. Variables, folder and background jobs last until the session is closed.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        kept = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
        self._status = 0
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env={
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": str(folder),
                "LANG": "C.UTF-8",
                "COLUMNS": "100",
                **{name: os.environ[name] for name in kept if name in os.environ},
                **(environment or {}),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait()

    def run(self, step: Step) -> str | None:
        """Run a command; return what is wrong, None if it did what the page shows.

        A command without output in the page may print anything, and must succeed. One that is
        started in the background is waited for until it has printed what is shown.
        """
        assert self._process.stdin is not None
        script = f"(exit {self._status})\n{step.command}\n"
        ended = 'printf "\\x1e%d\\x1e\\n" "$?"\n'
        self._process.stdin.write(f"{{\n{script}}} </dev/null\n{ended}".encode())
        self._process.stdin.flush()
        printed = self._read(step)
        if step.printed is None:
            if self._status != 0:
                return f"exit status {self._status}: {step.command}\n{printed}"
        elif not matches(printed, step.printed):
            return f"{step.command}\nprinted:\n{printed}\nshown:\n{step.printed}"
        return None

    def _read(self, step: Step) -> str:
        """Return what is printed until the command ends; sets the status."""
        assert self._process.stdout is not None
        background = step.command.rstrip().endswith("&") and step.printed is not None
        output, ended = "", False
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if not ended and (found := _END.search(output)):
                self._status, ended = int(found[1]), True
                output = output[: found.start()] + output[found.end() :]
            if ended and not (background and not matches(output, step.printed or "")):
                return output
            if select.select([self._process.stdout], [], [], 1.0)[0]:
                chunk = os.read(self._process.stdout.fileno(), 65536)
                if not chunk:
                    return output
                output += chunk.decode(errors="replace")
        return f"{output}\n(still running after {PATIENCE:.0f} s)"
