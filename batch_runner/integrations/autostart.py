"""When a job runs by itself: a line of crontab, or units of the user's systemd, put in place.

Both worlds give `%` a meaning of their own, cut what a shell would not, and know neither the
working directory nor the environment of who asked. So: absolute paths, the settings that are in
force there, everything quoted, and the key as the name of a file.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from batch_runner.errors import UsageError
from batch_runner.units import CLOCK_PATTERN

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: Bytes of a crontab command; cron drops what is longer without a word.
LONGEST_COMMAND = 998
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CRON, _SYSTEMCTL = "crontab", "systemctl"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleEntry:
    """What runs when. `command` is a `run` of `manifest`, every path in it absolute."""

    job: str
    manifest: Path
    command: Sequence[str]
    at: str  #: HH:MM, by the machine's clock
    days: Sequence[str] = DAYS
    key: tuple[str, Path] | None = None  #: the key's variable, and the file that holds it
    environment: Mapping[str, str] | None = None  #: settings that are no secret

    def __post_init__(self) -> None:
        if not re.fullmatch(CLOCK_PATTERN, self.at):
            raise UsageError(f"--at {self.at!r}: wanted a time of day such as 01:30")
        key = () if self.key is None else (str(self.key[1]),)
        for word in (*self.command, *key, *(self.environment or {}).values()):
            if _CONTROL.search(word):
                raise UsageError(f"{word!r} holds a line break or a control character")

    @property
    def marker(self) -> str:
        """Return the comment that tells whose line or unit it is."""
        return f"# batch-runner: {self.manifest}"


def parse_days(text: str) -> tuple[str, ...]:
    """Return the days that "mon-fri", "sat,sun" or "daily" means, in the week's order.

    Raises:
        UsageError: it means none.
    """
    if text.strip().lower() == "daily":
        return DAYS
    chosen: set[str] = set()
    for part in text.lower().split(","):
        first, _, last = (word.strip() for word in part.partition("-"))
        if first not in DAYS or (last or first) not in DAYS:
            raise UsageError(f"--days {text!r}: wanted such as mon-fri, or sat,sun, or daily")
        start, end = DAYS.index(first), DAYS.index(last or first)
        chosen.update(DAYS[start : end + 1] if start <= end else DAYS[start:] + DAYS[: end + 1])
    return tuple(day for day in DAYS if day in chosen)


def crontab_line(timetable: ScheduleEntry) -> str:
    """Return a line for crontab; a bare % would end the command there.

    Raises:
        UsageError: paths and settings are so long that cron would cut the command.
    """
    hour, minute = (int(part) for part in timetable.at.split(":"))
    settings = dict(timetable.environment or {})
    if timetable.key is not None:
        settings[f"{timetable.key[0]}_FILE"] = str(timetable.key[1])
    words = [f"{name}={shlex.quote(text)}" for name, text in settings.items()]
    command = " ".join([*words, shlex.join(timetable.command)]).replace("%", "\\%")
    if len(command.encode("utf-8", "surrogateescape")) > LONGEST_COMMAND:
        raise UsageError("paths and settings are too long for a line of crontab; try --systemd")
    every = len(timetable.days) == len(DAYS)
    days = "*" if every else ",".join(str((DAYS.index(day) + 1) % 7) for day in timetable.days)
    return f"{minute} {hour} * * {days} {command}"


def with_line(crontab: str, timetable: ScheduleEntry) -> str:
    """Return a crontab with the job's line, in the place of the one it had if it had one."""
    new = [timetable.marker, crontab_line(timetable)]
    lines = crontab.removesuffix("\n").split("\n") if crontab else []
    if timetable.marker not in lines:
        return "\n".join([*lines, *new]) + "\n"
    place = lines.index(timetable.marker)
    # The marker alone is ours for sure: what stands below it may have been taken out by hand.
    ours = 2 if " batch_runner run " in "".join(lines[place + 1 : place + 2]) else 1
    return "\n".join([*lines[:place], *new, *lines[place + ours :]]) + "\n"


def install_crontab(timetable: ScheduleEntry) -> None:
    """Put the job's line into the user's crontab, and leave every other line as it is.

    Raises:
        UsageError: no crontab here, or it cannot be read or written; nothing was changed.
    """
    listed = _ran(_CRON, "-l")
    if listed.returncode and "no crontab for" not in listed.stderr:
        raise UsageError(f"crontab -l failed, so nothing was changed: {_said(listed)}")
    wanted = with_line("" if listed.returncode else listed.stdout, timetable)
    written = _ran(_CRON, "-", given=wanted)
    if written.returncode:
        raise UsageError(f"crontab refused the new line: {_said(written)}")


def unit_folder() -> Path:
    """Return where the units of the user's systemd are."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "systemd/user"


def unit_name(job: str) -> str:
    """Return the name of a job's units; jobs of different names never share one."""
    plain = re.sub(r"[^A-Za-z0-9_.]+", "-", job).strip("-.")
    if plain != job:
        plain = f"{plain}-{hashlib.sha256(job.encode()).hexdigest()[:8]}".lstrip("-")
    return f"batch-runner-{plain}"


def systemd_units(timetable: ScheduleEntry) -> dict[str, str]:
    """Return the text of a service and of a timer by file name."""
    name = unit_name(timetable.job)
    every = len(timetable.days) == len(DAYS)
    days = "" if every else ",".join(day.capitalize() for day in timetable.days) + " "
    settings = [
        f"Environment={_unit_word(f'{variable}={text}')}\n"
        for variable, text in (timetable.environment or {}).items()
    ]
    if timetable.key is not None:
        variable, path = timetable.key
        settings.append(f"LoadCredential={variable}:{_percent(str(path))}\n")
    program, *arguments = timetable.command
    words = [_unit_word(program), *(_unit_word(one.replace("$", "$$")) for one in arguments)]
    return {
        f"{name}.service": (
            f"{timetable.marker}\n[Unit]\n"
            f"Description=Carry the job {_percent(timetable.job)} to its files\n\n"
            f"[Service]\nType=oneshot\n{''.join(settings)}ExecStart={' '.join(words)}\n"
            "# 3: stopped early, goes on next time\nSuccessExitStatus=3\nTimeoutStopSec=120\n"
        ),
        f"{name}.timer": (
            f"{timetable.marker}\n[Unit]\n"
            f"Description=Start the job {_percent(timetable.job)} at {timetable.at}\n\n"
            f"[Timer]\nOnCalendar={days}*-*-* {timetable.at}:00\nPersistent=true\n\n"
            "[Install]\nWantedBy=timers.target\n"
        ),
    }


def install_units(timetable: ScheduleEntry) -> None:
    """Write the job's units, and let the user's systemd start the timer.

    Raises:
        UsageError: no systemd here, the units are another manifest's, or a step failed.
    """
    if shutil.which(_SYSTEMCTL) is None:
        raise _absent(_SYSTEMCTL)
    folder, units = unit_folder(), systemd_units(timetable)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in units:
            _refuse_foreign(folder / name, timetable.marker)
        for name, text in units.items():
            (folder / name).write_text(text, "utf-8", "surrogateescape")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}") from None
    timer = f"{unit_name(timetable.job)}.timer"
    for words in (("daemon-reload",), ("enable", "--now", timer)):
        done = _ran(_SYSTEMCTL, "--user", *words)
        if done.returncode:
            raise UsageError(
                f"the units are in {folder}, but systemctl --user {' '.join(words)} failed: "
                f"{_said(done)}"
            )


def _refuse_foreign(path: Path, marker: str) -> None:
    if path.exists():
        first, _, _ = path.read_text("utf-8", "surrogateescape").partition("\n")
        if first != marker:
            raise UsageError(
                f"{path} is not of this manifest, but says {first!r}; give the job another name"
            )


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def _unit_word(word: str) -> str:
    """Return one quoted word of a unit file."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_percent(escaped)}"'


def _ran(program: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run an outside program to its end; it speaks English, so that its answers can be told apart.

    Raises:
        UsageError: it is not there, or it hangs.
    """
    if (path := shutil.which(program)) is None:
        raise _absent(program)
    try:
        return subprocess.run(  # noqa: S603  a fixed program
            [path, *arguments],
            input=given,
            capture_output=True,
            timeout=60,
            check=False,
            encoding="utf-8",
            errors="surrogateescape",
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{program} cannot be run: {error}") from None


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(done.stderr.split()) or f"exit {done.returncode}"


def _absent(program: str) -> UsageError:
    other = "--systemd" if program == _CRON else "crontab, without --systemd"
    return UsageError(f"{program} is not installed here, so nothing was changed; try {other}")
