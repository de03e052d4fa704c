"""A scheduled run as a line of the user's crontab."""

from __future__ import annotations

import shlex

from batch_runner.errors import UsageError
from batch_runner.integrations.schedule import DAYS, ScheduleEntry, error_text, run_program
from batch_runner.util.locale import tr

#: Bytes of a crontab command; cron silently ignores the rest.
MAX_COMMAND = 998
_ALTERNATIVE = "--systemd"


def crontab_line(entry: ScheduleEntry) -> str:
    """Return the line; `%`, which ends a command in crontab, is escaped.

    Raises:
        UsageError: the command is longer than cron allows.
    """
    hour, minute = (int(part) for part in entry.at.split(":"))
    settings = dict(entry.environment or {})
    if entry.key is not None:
        settings[f"{entry.key[0]}_FILE"] = str(entry.key[1])
    words = [f"{name}={shlex.quote(text)}" for name, text in settings.items()]
    command = " ".join([*words, shlex.join(entry.command)]).replace("%", "\\%")
    if len(command.encode("utf-8", "surrogateescape")) > MAX_COMMAND:
        raise UsageError(
            tr(
                "paths and settings are too long for a crontab line (at most {limit} bytes); "
                "try --systemd",
                limit=MAX_COMMAND,
            )
        )
    every = len(entry.days) == len(DAYS)
    days = "*" if every else ",".join(str((DAYS.index(day) + 1) % 7) for day in entry.days)
    return f"{minute} {hour} * * {days} {command}"


def with_line(crontab: str, entry: ScheduleEntry) -> str:
    """Return `crontab` with the line of `entry` added, or in place of its earlier one."""
    new = [entry.marker, crontab_line(entry)]
    lines = crontab.removesuffix("\n").split("\n") if crontab else []
    if entry.marker not in lines:
        return "\n".join([*lines, *new]) + "\n"
    place = lines.index(entry.marker)
    # The user may have removed the line below the marker: replace it only if it is ours.
    ours = 2 if " -m batch_runner run " in "".join(lines[place + 1 : place + 2]) else 1
    return "\n".join([*lines[:place], *new, *lines[place + ours :]]) + "\n"


def install_crontab(entry: ScheduleEntry) -> None:
    """Add the entry to the user's crontab; all other lines stay as they are.

    Raises:
        UsageError: there is no crontab here, or it cannot be read or written; nothing was changed.
    """
    listed = run_program("crontab", "-l", alternative=_ALTERNATIVE)
    if listed.returncode and "no crontab for" not in listed.stderr:
        raise UsageError(
            tr("crontab -l failed, so nothing was changed: {error}", error=error_text(listed))
        )
    crontab = with_line("" if listed.returncode else listed.stdout, entry)
    written = run_program("crontab", "-", stdin=crontab, alternative=_ALTERNATIVE)
    if written.returncode:
        raise UsageError(tr("crontab rejected the new line: {error}", error=error_text(written)))
