"""Command lines that can be copied into a shell."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence

from batch_runner.util.paths import native_path, utf8_text


def command_line(command: str, target: Sequence[str], *more: str) -> str:
    """Return a command of this program as one line for a POSIX shell.

    `target` are the arguments that address the job.
    """
    return shlex.join([*_program(), command, *target, *more])


def _program() -> list[str]:
    """Return the words that start this very program."""
    python = native_path(sys.executable or "python3")
    script = python.parent / "batch-runner"
    found = shutil.which(script.name)
    if found and (not script.exists() or native_path(found).samefile(script)):
        return [script.name]
    return [utf8_text(script)] if script.exists() else [utf8_text(python), "-m", "batch_runner"]
