"""A scheduled run as a service and a timer of the user's systemd, and a worker as a service."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from batch_runner.errors import UsageError
from batch_runner.integrations.schedule import (
    DAYS,
    ScheduleEntry,
    Secret,
    check_words,
    error_text,
    home_of_user,
    run_program,
    unit_name,
)
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, utf8_environment

_SYSTEMCTL, _ALTERNATIVE = "systemctl", "crontab (without --systemd)"
#: Seconds for what is being sent, before systemd kills a run or a worker.
_STOP_SECONDS = 120
WORKER_UNIT = "batch-runner-worker.service"
WORKER_MARKER = "# batch-runner worker"


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
    process = _process_text(entry.command, entry.secrets, entry.environment or {})
    return {
        f"{name}.service": (
            f"{entry.marker}\n[Unit]\n"
            f"Description=Run the job {_percent(entry.job)}\n\n"
            f"[Service]\nType=oneshot\n{process}"
            "# 3: stopped early, the next run continues\n"
            f"SuccessExitStatus=3\nTimeoutStopSec={_STOP_SECONDS}\n"
        ),
        f"{name}.timer": (
            f"{entry.marker}\n[Unit]\n"
            f"Description=Start the job {_percent(entry.job)} at {entry.at}\n\n"
            f"[Timer]\nOnCalendar={days}*-*-* {entry.at}:00\nPersistent=true\n\n"
            "[Install]\nWantedBy=timers.target\n"
        ),
    }


def worker_unit(
    command: Sequence[str], secrets: Sequence[Secret], environment: Mapping[str, str]
) -> dict[str, str]:
    """Return the text of the service of a worker by file name.

    It is started again whatever ends it; where it must wait for the database, this is the wait.
    """
    check_words(command, secrets, environment)
    return {
        WORKER_UNIT: (
            f"{WORKER_MARKER}\n[Unit]\n"
            "Description=Process items of the cluster's jobs\nStartLimitIntervalSec=0\n\n"
            f"[Service]\n{_process_text(command, secrets, environment)}"
            f"Restart=always\nRestartSec=10\nTimeoutStopSec={_STOP_SECONDS}\n\n"
            "[Install]\nWantedBy=default.target\n"
        )
    }


def _process_text(
    command: Sequence[str], secrets: Sequence[Secret], environment: Mapping[str, str]
) -> str:
    """Return the lines of a service that say what is started, and with what."""
    program, *arguments = command
    words = [_quoted(program), *(_quoted(one.replace("$", "$$")) for one in arguments)]
    lines = [f"Environment={_quoted(f'{name}={text}')}" for name, text in environment.items()]
    lines += [f"LoadCredential={one.variable}:{_percent(str(one.path))}" for one in secrets]
    return "\n".join([*lines, f"ExecStart={' '.join(words)}"]) + "\n"


def install_units(units: Mapping[str, str], enabled: str) -> None:
    """Write units and let the user's systemd start the one named `enabled`, now and at each start.

    Raises:
        UsageError: there is no systemd here, the units belong to another manifest, or a step
            failed.
    """
    if shutil.which(_SYSTEMCTL) is None:  # before anything is written
        run_program(_SYSTEMCTL, alternative=_ALTERNATIVE)
    folder = unit_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in units.items():
            _check_marker(folder / name, text.partition("\n")[0])
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
    for words in (("daemon-reload",), ("enable", "--now", enabled)):
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
