"""A scheduled run as a service and a timer of the user's systemd."""

from __future__ import annotations

import shutil
from pathlib import Path

from batch_runner.errors import UsageError
from batch_runner.integrations.schedule import (
    DAYS,
    ScheduleEntry,
    error_text,
    home_of_user,
    run_program,
    unit_name,
)
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, utf8_environment

_SYSTEMCTL, _ALTERNATIVE = "systemctl", "crontab (without --systemd)"


def unit_folder() -> Path:
    """Return the folder of the user's systemd units.

    Raises:
        UsageError: the user has no home directory.
    """
    base = Utf8Path(utf8_environment().get("XDG_CONFIG_HOME", ""))
    return (base if base.is_absolute() else home_of_user() / ".config") / "systemd/user"


def systemd_units(entry: ScheduleEntry) -> dict[str, str]:
    """Return the text of the service and of the timer by file name."""
    name = unit_name(entry.job)
    every = len(entry.days) == len(DAYS)
    days = "" if every else ",".join(day.capitalize() for day in entry.days) + " "
    settings = [
        f"Environment={_quoted(f'{variable}={text}')}\n"
        for variable, text in (entry.environment or {}).items()
    ]
    if entry.key is not None:
        variable, path = entry.key
        settings.append(f"LoadCredential={variable}:{_percent(str(path))}\n")
    program, *arguments = entry.command
    words = [_quoted(program), *(_quoted(one.replace("$", "$$")) for one in arguments)]
    return {
        f"{name}.service": (
            f"{entry.marker}\n[Unit]\n"
            f"Description=Run the job {_percent(entry.job)}\n\n"
            f"[Service]\nType=oneshot\n{''.join(settings)}ExecStart={' '.join(words)}\n"
            "# 3: stopped early, the next run continues\n"
            "SuccessExitStatus=3\nTimeoutStopSec=120\n"
        ),
        f"{name}.timer": (
            f"{entry.marker}\n[Unit]\n"
            f"Description=Start the job {_percent(entry.job)} at {entry.at}\n\n"
            f"[Timer]\nOnCalendar={days}*-*-* {entry.at}:00\nPersistent=true\n\n"
            "[Install]\nWantedBy=timers.target\n"
        ),
    }


def install_units(entry: ScheduleEntry) -> None:
    """Write the job's units and let the user's systemd start the timer.

    Raises:
        UsageError: there is no systemd here, the units belong to another manifest, or a step
            failed.
    """
    if shutil.which(_SYSTEMCTL) is None:  # before anything is written
        run_program(_SYSTEMCTL, alternative=_ALTERNATIVE)
    folder, units = unit_folder(), systemd_units(entry)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in units:
            _check_marker(folder / name, entry.marker)
        for name, text in units.items():
            (folder / name).write_text(text, "utf-8", "surrogateescape")
    except OSError as error:
        raise UsageError(
            tr(
                "{folder} cannot be written: {error}",
                folder=folder,
                error=error.strerror or error,
            )
        ) from None
    timer = f"{unit_name(entry.job)}.timer"
    for words in (("daemon-reload",), ("enable", "--now", timer)):
        done = run_program(_SYSTEMCTL, "--user", *words, alternative=_ALTERNATIVE)
        if done.returncode:
            raise UsageError(
                tr(
                    "the units are in {folder}, but systemctl --user {command} failed: {error}",
                    folder=folder,
                    command=" ".join(words),
                    error=error_text(done),
                )
            )


def _check_marker(path: Path, marker: str) -> None:
    if path.exists():
        first, _, _ = path.read_text("utf-8", "surrogateescape").partition("\n")
        if first != marker:
            raise UsageError(
                tr(
                    '{path} belongs to another manifest ("{marker}"); give this job another name',
                    path=path,
                    marker=first,
                )
            )


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """Return a word quoted for a unit file."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_percent(escaped)}"'
