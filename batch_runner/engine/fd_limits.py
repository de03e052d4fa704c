"""Open files: each connection and each file on its way is one, and systems allow a process so many.

A process that has used them up cannot even commit, because SQLite opens its journal file anew for
each transaction. So the limit is raised as far as is allowed and needed, and what is not set by the
operator keeps within it.
"""

from __future__ import annotations

import resource

from batch_runner.settings import Settings

#: Of a process that does nothing yet: streams, lock, journal, marker, log, the loop's own.
_OWN = 32
#: Of a create or a look (a connection), and of a fetch (two connections and a file).
_OF_REQUEST, _OF_DOWNLOAD = 1, 3


def make_room(settings: Settings, *, both_ends: bool = False) -> Settings:
    """Raise the soft limit if need be; return settings whose defaults keep within it.

    `both_ends`: the service is acted in this process, which then holds each connection twice.
    """
    needed = _OWN + _OF_REQUEST * (settings.concurrent_submissions + settings.pollers)
    needed += _OF_DOWNLOAD * settings.downloaders
    ends = 1 + both_ends
    allowed = _raise_to(needed * ends) // ends
    return settings if allowed >= needed else _within(settings, allowed)


def _raise_to(needed: int) -> int:
    """Return how many files may be open, after asking for as many as are needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    except (OSError, ValueError):  # a system with a limit of its own below the one it tells
        return soft
    return max(soft, wanted)


def _within(settings: Settings, allowed: int) -> Settings:
    """Return settings in which what was not set takes an equal part of what is allowed."""
    part = max(1, (allowed - _OWN) // (2 * _OF_REQUEST + _OF_DOWNLOAD))
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
