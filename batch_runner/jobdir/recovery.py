"""Continue from where earlier runs stopped, however they ended."""

from __future__ import annotations

import os
from typing import Any

from batch_runner.jobdir.fallback_log import FallbackLog
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import Change, Journal
from batch_runner.journal.base import TaskIdTaken, held_instead
from batch_runner.lifecycle import FILE_MISSING, Event, ItemStatus
from batch_runner.util.paths import find_existing, list_names
from batch_runner.util.text import replace_lone_surrogates


def recover(folder: JobFolder, journal: Journal, fallback_log: FallbackLog) -> int:
    """Put every item where this run can continue; return how many done items lack a file."""
    folder.clear_parts()
    replay_fallback_log(fallback_log, journal)
    journal.recover()
    requeued = requeue_missing_files(folder, journal)
    journal.report_last_event()
    return requeued


def replay_fallback_log(fallback_log: FallbackLog, journal: Journal) -> None:
    """Move the outcomes that an earlier run could not journal into the journal."""
    for entry in fallback_log.entries():
        status = journal.status_of(str(entry.get("key")))
        if (change := _parse_entry(entry, status)) is None:
            continue
        try:
            journal.apply(change)
        except TaskIdTaken as error:
            if status is ItemStatus.SUBMITTING:  # otherwise it is held already
                journal.apply(held_instead(change, error))
    fallback_log.clear()


def _parse_entry(entry: dict[str, Any], status: ItemStatus | None) -> Change | None:
    """Return the change that an entry means for an item of this status, None if none."""
    try:
        event = Event(str(entry.get("event")))
    except ValueError:
        return None
    if status is ItemStatus.HELD and event is Event.SUBMIT_CONFIRMED:
        event = Event.ATTACHED
    elif status is not ItemStatus.SUBMITTING:
        return None

    def text(name: str) -> str | None:
        value = entry.get(name)
        return replace_lone_surrogates(value) if isinstance(value, str) else None

    return Change(
        key=str(entry["key"]),
        event=event,
        task_id=text("task_id"),
        reason=text("reason"),
        message=text("message"),
    )


def requeue_missing_files(folder: JobFolder, journal: Journal) -> int:
    """Have the missing files of done items downloaded again, which is free; return how many items.

    One listing of each folder instead of one `stat` per file; only names that are not in it, such
    as another Unicode form of an accent, are looked up one by one.
    """
    listed: dict[str, set[str]] = {}
    incomplete = []
    for key, names in journal.placed():
        unseen = [name for name in names if not _is_listed(folder, name, listed)]
        if unseen:
            missing = [name for name in unseen if not _is_there(folder, name)]
            if missing:
                incomplete.append((key, missing))
    for key, missing in incomplete:
        message = f"missing on disk: {', '.join(missing)}; downloaded again, not paid again"
        event = Event.FILE_MISSING
        journal.apply(Change(key=key, event=event, reason=FILE_MISSING, message=message))
        journal.apply(Change(key=key, event=Event.DOWNLOAD_RESUMED))
    return len(incomplete)


def _is_listed(folder: JobFolder, name: str, listed: dict[str, set[str]]) -> bool:
    """Return whether a file's folder lists it; `listed` are the names in each folder so far."""
    parent, _, last = name.rpartition("/")
    if parent not in listed:
        try:
            listed[parent] = set(list_names(folder.root / parent))
        except OSError:
            listed[parent] = set()
    return last in listed[parent]


def _is_there(folder: JobFolder, name: str) -> bool:
    """Return whether a file exists; rename one whose name is in another encoding to UTF-8."""
    path = folder.root / name
    if (found := find_existing(path, folder.root)) != path:
        found.rename(path)
    return os.path.lexists(path)
