"""How a job is named on a command line, so that what is told can be copied into a shell."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from batch_runner.errors import BatchRunnerError
from batch_runner.manifest import load

#: A rehearsal's folder stands beside the job's own.
_REHEARSED = ".rehearsal"


def target_of(manifest: str | None, folder: Path, *, rehearsal: bool) -> list[str]:
    """Return the arguments that mean the job of `manifest` in `folder`.

    The output folder is named unless the manifest can be read and names it itself.
    """
    folder = folder.absolute()
    if rehearsal:
        folder = folder.with_name(folder.name.removesuffix(_REHEARSED))
    target = [manifest or "MANIFEST.yaml", *(["--rehearse"] if rehearsal else [])]
    if manifest and _is_own(Path(manifest), folder):
        return target
    return [*target, "--output", str(folder)]


def _is_own(manifest: Path, folder: Path) -> bool:
    try:
        return os.path.realpath(load(manifest).output_folder) == os.path.realpath(folder)
    except (BatchRunnerError, OSError):
        return False


def command_line(verb: str, target: Sequence[str], *more: str) -> str:
    """Return a verb on a job as one line for a POSIX shell."""
    return shlex.join([*_program(), verb, *target, *more])


def _program() -> list[str]:
    """Return what a shell must be told to start this very program."""
    python = sys.executable or "python3"
    script = Path(python).parent / "batch-runner"
    known = shutil.which(script.name)
    if known and (not script.exists() or Path(known).samefile(script)):
        return [script.name]
    return [str(script)] if script.exists() else [python, "-m", "batch_runner"]
