"""Checks of what starts runs unattended: cron, systemd, launchd."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from batch_runner.doctor.checks import Check, ok, warning
from batch_runner.errors import UsageError
from batch_runner.integrations.schedule import error_text, run_program
from batch_runner.integrations.systemd import unit_folder
from batch_runner.util.locale import tr

_PROGRAMS = ("crontab", "systemctl", "launchctl")


def check_schedulers() -> Iterator[Check]:
    """Check which schedulers are here, and whether systemd's timers run without a login."""
    found = [name for name in _PROGRAMS if shutil.which(name)]
    if not found:
        advice = tr("install cron, or start runs with another scheduler")
        yield warning("schedulers", tr("no crontab, systemctl or launchctl"), advice)
    else:
        yield ok("schedulers", ", ".join(found))
    if shutil.which("loginctl"):
        yield _check_linger()


def _check_linger() -> Check:
    timers = _installed_timers()
    try:
        arguments = ("show-user", str(os.getuid()), "--property=Linger", "--value")
        done = run_program("loginctl", *arguments, alternative="")
    except UsageError as error:
        return ok("linger", str(error))
    if done.stdout.strip() == "yes":
        return ok("linger", tr("on: timers also run while you are logged out"))
    if done.returncode:
        return ok("linger", tr("unknown: {error}", error=error_text(done)))
    seen = tr("off: timers run only while you are logged in")
    if not timers:
        return ok("linger", tr("{seen}; no timer of batch-runner is installed", seen=seen))
    return warning("linger", f"{seen} ({', '.join(timers)})", "loginctl enable-linger")


def _installed_timers() -> list[str]:
    try:
        return sorted(path.name for path in unit_folder().glob("batch-runner-*.timer"))
    except (UsageError, OSError):
        return []
