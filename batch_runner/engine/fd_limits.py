"""The limit of open files: each connection and each file being downloaded needs a descriptor.

A process without free descriptors cannot even commit, because SQLite opens its rollback journal for
each transaction. So the soft limit is raised as far as needed and allowed, and settings that the
operator left at their defaults are reduced to fit.
"""

from __future__ import annotations

import resource

from batch_runner.errors import UsageError
from batch_runner.settings import Settings
from batch_runner.util.locale import tr

#: Descriptors of an idle run: streams, lock, journal, marker, log, event loop.
_IDLE = 32
#: Descriptors of a submission or poll (a connection), and of a download (two and a file).
_PER_REQUEST, _PER_DOWNLOAD = 1, 3


def check_open_files() -> int | None:
    """Return how many files a run may open, None without a limit. It needs a few from its start.

    Raises:
        UsageError: there are too few; nothing was opened.
    """
    if (allowed := _raise_to(_IDLE)) < _IDLE:
        raise UsageError(
            tr(
                "this process may open {allowed} files, and a run needs at least {needed}: raise "
                "the limit (`ulimit -n 1024`, or LimitNOFILE= of a systemd unit)",
                allowed=allowed,
                needed=_IDLE,
            )
        )
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def make_room(settings: Settings, *, both_ends: bool = False) -> Settings:
    """Raise the soft limit if necessary; return settings whose defaults fit into it.

    `both_ends`: the simulator runs in this process, so each connection needs two descriptors.
    """
    needed = _IDLE + _PER_REQUEST * (settings.concurrent_submissions + settings.pollers)
    needed += _PER_DOWNLOAD * settings.downloaders
    ends = 1 + both_ends
    allowed = _raise_to(needed * ends) // ends
    return settings if allowed >= needed else _within(settings, allowed)


def _raise_to(needed: int) -> int:
    """Raise the soft limit to `needed` if possible; return how many files may be open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    except (OSError, ValueError):  # some systems have a lower limit than the one they report
        return soft
    return max(soft, wanted)


def _within(settings: Settings, allowed: int) -> Settings:
    """Return settings whose defaults are reduced to equal parts of `allowed`."""
    part = max(1, (allowed - _IDLE) // (2 * _PER_REQUEST + _PER_DOWNLOAD))
    limits, polling, downloads = settings.limits, settings.polling, settings.downloads
    submissions = limits.concurrent_submissions or min(settings.concurrent_submissions, part)
    polls = polling.concurrency or min(settings.pollers, part)
    files = downloads.concurrency or min(settings.downloaders, part)
    return settings.model_copy(
        update={
            "limits": limits.model_copy(update={"concurrent_submissions": submissions}),
            "polling": polling.model_copy(update={"concurrency": polls}),
            "downloads": downloads.model_copy(update={"concurrency": files}),
        }
    )
