"""A scheduled run, as crontab, systemd and launchd need it."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from batch_runner.errors import UsageError
from batch_runner.units import CLOCK_PATTERN
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, native_path, utf8_environment
from batch_runner.util.text import error_reason, printable

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Secret(NamedTuple):
    """A secret that a command needs: its variable, and the file that holds it."""

    variable: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleEntry:
    """What to run when. `command` is a `run` of `manifest`; its paths are absolute.

    None of the schedulers knows the working directory or the environment of the user who
    schedules a run.
    """

    job: str
    manifest: Path
    command: Sequence[str]
    at: str  #: HH:MM, on the machine's clock
    days: Sequence[str] = DAYS
    secrets: Sequence[Secret] = ()
    environment: Mapping[str, str] | None = None  #: settings that are not secret

    def __post_init__(self) -> None:
        if not re.fullmatch(CLOCK_PATTERN, self.at):
            raise UsageError(
                tr(
                    '--at "{value}" is not a time of day; use HH:MM, such as 01:30',
                    value=printable(self.at, 40),
                )
            )
        check_words(self.command, self.secrets, self.environment or {})

    @property
    def marker(self) -> str:
        """Return the comment that identifies this manifest's crontab line or unit."""
        return f"# batch-runner: {self.manifest}"


def check_words(
    command: Sequence[str], secrets: Sequence[Secret], environment: Mapping[str, str]
) -> None:
    """Refuse characters that no scheduler takes.

    Raises:
        UsageError: a word has one.
    """
    for word in (*command, *(str(one.path) for one in secrets), *environment.values()):
        if _CONTROL.search(word):
            raise UsageError(
                tr(
                    '"{value}" contains a line break or control character, which cannot be '
                    "scheduled",
                    value=printable(word),
                )
            )


def unit_name(job: str) -> str:
    """Return the name of a job's units or agent; different job names have different names."""
    plain = re.sub(r"[^A-Za-z0-9_.]+", "-", job).strip("-.")
    if plain != job:
        plain = f"{plain}-{hashlib.sha256(job.encode()).hexdigest()[:8]}".lstrip("-")
    return f"batch-runner-{plain}"


def home_of_user() -> Utf8Path:
    """Return the home directory: HOME, else the one of the user database.

    Raises:
        UsageError: there is none.
    """
    home = Utf8Path(utf8_environment().get("HOME", ""))
    if not home.is_absolute():
        try:
            home = native_path(pwd.getpwuid(os.getuid()).pw_dir)
        except KeyError:
            home = Utf8Path("")
    if not home.is_absolute():
        raise UsageError(
            tr(
                "this user has no home directory: set HOME, and name the file of the key with "
                "--key-file"
            )
        )
    return home


def parse_days(text: str) -> tuple[str, ...]:
    """Return the days that "mon-fri", "sat,sun" or "daily" mean, from Monday to Sunday.

    Raises:
        UsageError: `text` is none of these.
    """
    if text.strip().lower() == "daily":
        return DAYS
    chosen: set[str] = set()
    for part in text.lower().split(","):
        first, _, last = (word.strip() for word in part.partition("-"))
        if first not in DAYS or (last or first) not in DAYS:
            raise UsageError(
                tr(
                    '--days "{value}" is not a list of days; use mon-fri, sat,sun or daily',
                    value=printable(text, 80),
                )
            )
        start, end = DAYS.index(first), DAYS.index(last or first)
        chosen.update(DAYS[start : end + 1] if start <= end else DAYS[start:] + DAYS[: end + 1])
    return tuple(day for day in DAYS if day in chosen)


def run_program(
    program: str, *arguments: str, stdin: str = "", alternative: str
) -> subprocess.CompletedProcess[str]:
    """Run an outside program to its end, in English so that its messages can be recognised.

    `alternative` is what to use where the program is not installed.

    Raises:
        UsageError: the program is not installed, or did not end.
    """
    if (path := shutil.which(program)) is None:
        raise UsageError(
            tr(
                "{program} is not installed here, so nothing was changed; try {alternative}",
                program=program,
                alternative=alternative,
            )
        )
    try:
        return subprocess.run(  # noqa: S603  a fixed program
            [path, *arguments],
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
            encoding="utf-8",
            errors="surrogateescape",
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(
            tr("{program} cannot be run: {error}", program=program, error=error_reason(error))
        ) from None


def error_text(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a failed program wrote to standard error, else its exit status."""
    return " ".join(done.stderr.split()) or f"exit {done.returncode}"
