"""Asking whoever sits at the terminal, and never anybody else."""

from __future__ import annotations

import os
import select
import sys

#: Seconds for which an answer is waited for: what is typed the next morning is no answer to a
#: question of the evening.
PATIENCE = 600.0


def is_interactive() -> bool:
    """Say whether there is a terminal to ask on and to answer at."""
    if not (sys.stdin and sys.stderr and sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()  # else reading would suspend us
    except OSError:  # a terminal, but not the one that governs this process
        return True


def agreed(question: str, *, patience: float = PATIENCE) -> bool:
    """Ask on standard error and say whether the answer is yes; anything else and silence are no."""
    sys.stderr.write(question)
    sys.stderr.flush()
    answered, _, _ = select.select([sys.stdin], [], [], patience)
    answer = sys.stdin.readline() if answered else ""
    if not answer.endswith("\n"):
        sys.stderr.write("\n")
    return answer.strip().lower() in ("y", "yes", "是", "好")
