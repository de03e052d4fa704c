"""Continue from where earlier runs stopped, however they ended."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from batch_runner.errors import IllegalTransition
from batch_runner.jobdir.fallback_log import FallbackLog
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import ObjectResults
from batch_runner.journal import Change
from batch_runner.journal.base import LeaseLost, TaskIdTaken, held_instead
from batch_runner.journal.sql.journal import SqlJournal
from batch_runner.lifecycle import FILE_MISSING, NOT_ACCEPTED, Event, ItemStatus
from batch_runner.util.paths import find_existing, list_names
from batch_runner.util.text import printable, replace_lone_surrogates

log = logging.getLogger(__name__)

#: Outcomes after which a submission must be assumed paid.
_PAID_OUTCOMES = (Event.SUBMIT_CONFIRMED, Event.SUBMIT_UNANSWERED)


def recover(folder: JobFolder, journal: SqlJournal, fallback_log: FallbackLog) -> int:
    """Put every item where this run can continue; return how many done items lack a file."""
    folder.clear_parts()
    replay_fallback_log(fallback_log, journal)
    journal.recover()
    requeued = requeue_missing_files(folder, journal)
    journal.report_last_event()
    return requeued


def replay_fallback_log(
    fallback_log: FallbackLog,
    journal: SqlJournal,
    apply_unpaid: Callable[[Change], None] | None = None,
) -> None:
    """Move the outcomes that an earlier run could not journal into the journal.

    A task id that was paid for is never dropped: if its item has moved on, it becomes an event of
    the item; if the journal has no such item, its entry stays in the log. `apply_unpaid` records
    that a submission was not accepted; it may raise LeaseLost. None: as other outcomes.
    """
    kept = []
    for entry in fallback_log.entries():
        key = str(entry.get("key"))
        status, applied = _replay_now(entry, key, journal, apply_unpaid or journal.apply)
        if not applied and (task_id := _text(entry, "task_id")):
            if status is None:
                kept.append(entry)
                log.warning(
                    "the fallback log has the paid task %s of item %s, which this journal does not "
                    "know; the entry stays in the log",
                    *(printable(task_id), printable(key)),
                )
            elif not journal.knows_task(task_id):
                _keep_second_task(journal, key, task_id, status)
    fallback_log.keep_only(kept)


def _replay_now(
    entry: dict[str, Any], key: str, journal: SqlJournal, apply_unpaid: Callable[[Change], None]
) -> tuple[ItemStatus | None, bool]:
    """Apply an entry; return the status that its item had, and whether the entry applies to it."""
    while True:
        status = journal.status_of(key)
        try:
            return status, _replay(entry, key, status, journal, apply_unpaid)
        except LeaseLost:
            return status, False  # not paid, and another host decides what becomes of the item
        except IllegalTransition as error:
            log.debug("another host has just moved the item: %s", error)


def _replay(
    entry: dict[str, Any],
    key: str,
    status: ItemStatus | None,
    journal: SqlJournal,
    apply_unpaid: Callable[[Change], None],
) -> bool:
    """Apply an entry; return whether it applies to an item of this status."""
    try:
        event = Event(str(entry.get("event")))
    except ValueError:
        return False
    task_id = _text(entry, "task_id")
    if status is ItemStatus.HELD and event is Event.SUBMIT_CONFIRMED:
        event = Event.ATTACHED
    elif status is ItemStatus.PENDING and event in _PAID_OUTCOMES:
        if task_id is not None and journal.knows_task(task_id):
            return False  # that task has ended, and the item is to be submitted again
        journal.apply(Change(key=key, event=Event.SUBMIT_STARTED))
    elif status is not ItemStatus.SUBMITTING:
        return False
    reason, message = _text(entry, "reason"), _text(entry, "message")
    change = Change(
        key=key, event=event, task_id=task_id, reason=reason, message=message, urls=_urls(entry)
    )
    try:
        (apply_unpaid if event in NOT_ACCEPTED else journal.apply)(change)
    except TaskIdTaken as error:
        if status is not ItemStatus.HELD:
            journal.apply(held_instead(change, error))
    return True


def _keep_second_task(journal: SqlJournal, key: str, task_id: str, status: ItemStatus) -> None:
    item_id = journal.note_task(key, task_id)
    log.warning(
        "%s: the service has also accepted task %s, which may be paid; the item is now %s. "
        "The task id is kept in the item's history; if the item is done, `batch-runner resolve` "
        "can take it back and attach the other id",
        *(item_id, printable(task_id), status.value),
    )


def _text(entry: dict[str, Any], name: str) -> str | None:
    value = entry.get(name)
    return replace_lone_surrogates(value) if isinstance(value, str) else None


def _urls(entry: dict[str, Any]) -> tuple[str, ...]:
    urls = entry.get("urls")
    return tuple(one for one in urls if isinstance(one, str)) if isinstance(urls, list) else ()


def requeue_missing_files(folder: JobFolder, journal: SqlJournal) -> int:
    """Have the missing files of done items downloaded again, which is free; return how many items.

    One listing of each folder, or of the object store, instead of one request per file.
    """
    address = folder.objects
    has = _Listing(folder).has if address is None else _has_object(ObjectResults(address))
    missing: dict[str, list[str]] = {}
    for key, name in journal.placed():
        if not has(name):
            missing.setdefault(key, []).append(name)
    where = "on disk" if address is None else f"in {address}"
    for key, names in missing.items():
        message = f"missing {where}: {', '.join(names)}; downloaded again, not paid again"
        event = Event.FILE_MISSING
        journal.apply(Change(key=key, event=event, reason=FILE_MISSING, message=message))
        journal.apply(Change(key=key, event=Event.DOWNLOAD_RESUMED))
    return len(missing)


def _has_object(results: ObjectResults) -> Callable[[str], bool]:
    """Return whether an object is in the list, which is read when one is first looked up."""
    return lambda name: name in results.sizes


class _Listing:
    """The names in the folders of results, read when a file of a folder is first looked up.

    Only names that are not in it, such as another Unicode form of an accent, are looked up one by
    one.
    """

    def __init__(self, folder: JobFolder) -> None:
        self._folder = folder
        self._root = folder.root
        self._folders: set[str] = set()
        self._names: set[str] = set()  # of the folders so far, relative to the output folder

    def has(self, name: str) -> bool:
        return name in self._names or self._is_listed(name) or _is_there(self._folder, name)

    def _is_listed(self, name: str) -> bool:
        parent, slash, _ = name.rpartition("/")
        if parent not in self._folders:
            self._folders.add(parent)
            with suppress(OSError):
                found = list_names(self._root / parent)
                self._names.update(f"{parent}{slash}{one}" for one in found)
        return name in self._names


def _is_there(folder: JobFolder, name: str) -> bool:
    """Return whether a file exists; rename one whose name is in another encoding to UTF-8."""
    path = folder.root / name
    if (found := find_existing(path, folder.root)) != path:
        found.rename(path)
    return os.path.lexists(path)
