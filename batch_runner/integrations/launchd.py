"""A scheduled run as an agent of the user's launchd, on macOS."""

from __future__ import annotations

import os
import plistlib
import shlex
import shutil
from pathlib import Path

from batch_runner.errors import UsageError
from batch_runner.integrations.schedule import (
    DAYS,
    ScheduleEntry,
    home_of_user,
    run_program,
    unit_name,
)
from batch_runner.util.fs import replace_file
from batch_runner.util.locale import tr
from batch_runner.util.paths import utf8_text
from batch_runner.util.text import error_reason

_LAUNCHCTL, _ALTERNATIVE = "launchctl", "crontab (without --launchd)"


def agent_path(job: str) -> Path:
    """Return the path of a job's agent.

    Raises:
        UsageError: the user has no home directory.
    """
    return home_of_user() / "Library/LaunchAgents" / f"{unit_name(job)}.plist"


def agent_log(job: str) -> Path:
    """Return the file for what a job's runs print, which launchd would discard.

    Raises:
        UsageError: the user has no home directory.
    """
    return home_of_user() / "Library/Logs/batch-runner" / f"{unit_name(job)}.log"


def launch_agent(entry: ScheduleEntry) -> str:
    """Return the text of the agent: a property list.

    Raises:
        UsageError: the user has no home directory.
    """
    environment = {name: utf8_text(text) for name, text in (entry.environment or {}).items()}
    environment |= {f"{one.variable}_FILE": utf8_text(one.path) for one in entry.secrets}
    hour, minute = (int(part) for part in entry.at.split(":"))
    time = {"Hour": hour, "Minute": minute}
    times = [time | {"Weekday": (DAYS.index(day) + 1) % 7} for day in entry.days]
    log = utf8_text(agent_log(entry.job))
    agent = {
        "Label": unit_name(entry.job),
        "ProgramArguments": [utf8_text(word) for word in entry.command],
        "EnvironmentVariables": environment,
        "StartCalendarInterval": time if len(times) == len(DAYS) else times,
        "StandardOutPath": log,
        "StandardErrorPath": log,
        "ExitTimeOut": 120,
    }
    return plistlib.dumps(agent, sort_keys=False).decode()


def install_agent(entry: ScheduleEntry) -> str:
    """Write the job's agent and return the commands by which the user loads it.

    Raises:
        UsageError: there is no launchd here, the agent belongs to another manifest, or it cannot
            be written.
    """
    if shutil.which(_LAUNCHCTL) is None:  # before anything is written
        run_program(_LAUNCHCTL, alternative=_ALTERNATIVE)
    path, text = agent_path(entry.job), launch_agent(entry)
    try:
        loaded = path.exists()
        if loaded:
            _check_manifest(path, entry)
        for folder in (path.parent, agent_log(entry.job).parent):
            folder.mkdir(parents=True, exist_ok=True)
        with replace_file(path, mode=0o644) as out:
            out.write(text.encode())
    except OSError as error:
        raise UsageError(
            tr("{path} cannot be written: {error}", path=path, error=error_reason(error))
        ) from None
    load = f"launchctl bootstrap gui/{os.getuid()} {shlex.quote(utf8_text(path))}"
    return f"{remove_command(entry.job)}; {load}" if loaded else load


def remove_command(job: str) -> str:
    """Return the command that unloads a job's agent."""
    return f"launchctl bootout gui/{os.getuid()}/{unit_name(job)}"


def _check_manifest(path: Path, entry: ScheduleEntry) -> None:
    try:
        words = plistlib.loads(path.read_bytes())["ProgramArguments"]
        ours = utf8_text(entry.manifest) in words
    except (plistlib.InvalidFileException, ValueError, KeyError, TypeError, IndexError):
        words, ours = [], False
    if not ours:
        raise UsageError(
            tr(
                '{path} belongs to another manifest ("{marker}"); give this job another name',
                path=path,
                marker=" ".join(map(str, words))[:200],
            )
        )
