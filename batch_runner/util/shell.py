"""Command lines that can be copied into a shell."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


def command_line(command: str, target: Sequence[str], *more: str) -> str:
    """Return a command of this program on a job as one line for a POSIX shell."""
    return shlex.join([*_program(), command, *target, *more])


def _program() -> list[str]:
    """Return the words that start this very program."""
    python = sys.executable or "python3"
    script = Path(python).parent / "batch-runner"
    found = shutil.which(script.name)
    if found and (not script.exists() or Path(found).samefile(script)):
        return [script.name]
    return [str(script)] if script.exists() else [python, "-m", "batch_runner"]
