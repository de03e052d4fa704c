"""A scheduled run as a line of the user's crontab."""

from __future__ import annotations

import re
import shlex
import shutil

from batch_runner.errors import UsageError
from batch_runner.integrations.schedule import DAYS, ScheduleEntry, error_text, run_program
from batch_runner.util.locale import tr
from batch_runner.util.system import native_scheduler

#: Bytes of a crontab command; cron silently ignores the rest.
MAX_COMMAND = 998
_TIME_ZONE = re.compile(r"\s*(CRON_TZ|TZ)\s*=\s*(.*?)\s*")


def crontab_line(entry: ScheduleEntry) -> str:
    """Return the line; `%`, which ends a command in crontab, is escaped.

    Raises:
        UsageError: the command is longer than cron allows.
    """
    hour, minute = (int(part) for part in entry.at.split(":"))
    settings = dict(entry.environment or {})
    settings |= {f"{one.variable}_FILE": str(one.path) for one in entry.secrets}
    words = [f"{name}={shlex.quote(text)}" for name, text in settings.items()]
    command = " ".join([*words, shlex.join(entry.command)]).replace("%", "\\%")
    if len(command.encode("utf-8", "surrogateescape")) > MAX_COMMAND:
        raise UsageError(
            tr(
                "paths and settings are too long for a crontab line (at most {limit} bytes); "
                "try {alternative}",
                limit=MAX_COMMAND,
                alternative=native_scheduler(),
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


def time_zones(entry: ScheduleEntry) -> dict[str, str]:
    """Return CRON_TZ and TZ as the user's crontab sets them above the line of `entry`.

    Returns nothing without a crontab, or if it cannot be read.
    """
    if shutil.which("crontab") is None:
        return {}
    listed = run_program("crontab", "-l", alternative=native_scheduler())
    return {} if listed.returncode else time_zones_in(listed.stdout, entry)


def time_zones_in(crontab: str, entry: ScheduleEntry) -> dict[str, str]:
    """Return CRON_TZ and TZ as they are set in `crontab` above the line of `entry`, or at its end.

    One that is set to nothing means that of the machine, and is left out.
    """
    found = {}
    for line in crontab.split("\n"):
        if line == entry.marker:
            break
        if (match := _TIME_ZONE.fullmatch(line)) is not None:
            found[match[1]] = match[2].strip("\"'")
    return {name: zone for name, zone in found.items() if zone}


def install_crontab(entry: ScheduleEntry) -> None:
    """Add the entry to the user's crontab; all other lines stay as they are.

    Raises:
        UsageError: there is no crontab here, or it cannot be read or written; nothing was changed.
    """
    alternative = native_scheduler()
    listed = run_program("crontab", "-l", alternative=alternative)
    if listed.returncode and "no crontab for" not in listed.stderr:
        raise UsageError(
            tr("crontab -l failed, so nothing was changed: {error}", error=error_text(listed))
        )
    crontab = with_line("" if listed.returncode else listed.stdout, entry)
    written = run_program("crontab", "-", stdin=crontab, alternative=alternative)
    if written.returncode:
        raise UsageError(tr("crontab rejected the new line: {error}", error=error_text(written)))
