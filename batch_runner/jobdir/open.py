"""The start of a run or a command: take the lock, trust or refuse the journal, recover.

In this order, each step relying on those before: the folder is usable; nobody else holds it; the
journal is the one the marker speaks of, whole, and neither it nor the folder an older copy;
outcomes kept aside in an emergency are brought in; what an earlier run left in between is put where
this one can go on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from batch_runner.errors import FolderRefused, JournalUnreadable, JournalVersionMismatch
from batch_runner.jobdir.fallback_log import FallbackLog
from batch_runner.jobdir.layout import JobFolder, Lock, Marker
from batch_runner.journal import Change, Journal
from batch_runner.journal.base import TaskIdTaken, held_instead
from batch_runner.lifecycle import FILE_GONE, Event, ItemStatus
from batch_runner.models import REHEARSAL
from batch_runner.registry.known_jobs import KnownJob, refuse_unmounted
from batch_runner.util.fs import sync_folder
from batch_runner.util.text import replace_lone_surrogates

_WAYS_OUT = (
    "Nothing was sent, because items that were paid for would be paid for again. Ways out: put "
    "the right journal back (the newest backup of the whole folder); or use another output folder; "
    "or, if you accept that everything in it may be paid for again, remove {files}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobIdentity:
    """Whose folder it is: the job's name, the provider, and where its service is."""

    job: str
    provider: str
    origin: str  # scheme://host[:port], or REHEARSAL


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenJob:
    """A job that this process holds."""

    folder: JobFolder
    journal: Journal
    emergency: FallbackLog
    refetched: int  # done items whose files have gone


@contextmanager
def open_job(
    root: Path,
    identity: JobIdentity | None,
    *,
    state: Path | None = None,
    wall_clock: Callable[[], float] = time.time,
) -> Iterator[OpenJob]:
    """Hold the job in the folder `root`; without `identity`, only one that exists.

    `state` is where this machine keeps how far each job has come; None: nowhere.

    Raises:
        FolderRefused: the folder cannot be used, or belongs to another job or service.
        JobLocked: another run holds it, or a copy of it.
        JournalUnreadable: the journal is missing, damaged, a copy, or older than it should be.
    """
    folder = JobFolder(root)
    if identity is None and not folder.journal.exists() and not folder.marker.exists():
        raise FolderRefused(f"there is no job in {root}")
    with ExitStack() as held:
        try:
            job = _opened(held, folder, identity, state, wall_clock)
        except OSError as error:
            raise folder.refused(error) from error
        yield job


def _opened(
    held: ExitStack,
    folder: JobFolder,
    identity: JobIdentity | None,
    state: Path | None,
    wall_clock: Callable[[], float],
) -> OpenJob:
    """Open the job; what must be closed again is left to `held`."""
    if identity is not None and state is not None and not folder.marker.exists():
        refuse_unmounted(state, folder.root)
    folder.prepare()
    held.enter_context(Lock(folder))
    emergency = FallbackLog(folder)
    held.callback(emergency.close)
    journal = _trusted(held, folder, identity, state, wall_clock)
    folder.clear_parts()
    _bring_in(emergency, journal)
    journal.recover()
    refetched = _refetch(folder, journal)
    emergency.reserve()
    journal.tell_high_water()
    return OpenJob(folder=folder, journal=journal, emergency=emergency, refetched=refetched)


def _trusted(
    held: ExitStack,
    folder: JobFolder,
    identity: JobIdentity | None,
    state: Path | None,
    wall_clock: Callable[[], float],
) -> Journal:
    """Open the journal if it is to be trusted, and let marker and witness follow it."""
    marker, witness = Marker(folder), KnownJob(folder.root)
    held.callback(marker.close)
    held.callback(witness.close)
    said = marker.read()
    journal = _journal(folder, identity, wall_clock, unmarked=said is None)
    held.callback(journal.close)
    job = journal.job()
    if state is not None and job["origin"] != REHEARSAL:
        witness.open(state, job["id"])
    if said is not None:  # else taken away by a person, who was told what that means
        _check_place(journal, folder, known=witness.seen > 0 or job["origin"] == REHEARSAL)
    witness.hold()
    if said is not None:
        _check_age(journal, folder, said, witness)
    if identity is not None:
        check_owner(job, folder, identity)
    journal.migrate(folder.journal)
    journal.record_location(folder.journal)
    if said is None:
        marker.write(job["id"], job["name"])
    witness.begin(journal.last_event)
    journal.watch_high_water(_telling(marker, witness))
    return journal


def _telling(marker: Marker, witness: KnownJob) -> Callable[[int], None]:
    def tell(events: int) -> None:
        marker.raise_to(events)
        witness.raise_to(events)

    return tell


def _journal(
    folder: JobFolder,
    identity: JobIdentity | None,
    wall_clock: Callable[[], float],
    *,
    unmarked: bool,
) -> Journal:
    """Open the journal, or make one where there has been none; on the disk when this returns."""
    if unmarked and _unborn(folder.journal) and identity is not None:
        return _new(folder, identity, wall_clock)
    try:
        return Journal.open(folder.journal, wall_clock=wall_clock)
    except JournalVersionMismatch:
        raise
    except JournalUnreadable as error:
        # One that is there would be refused without the marker, too.
        refused = () if _unborn(folder.journal) else (folder.journal,)
        raise JournalUnreadable(f"{error}. {_ways_out(folder, *refused)}") from error


def _unborn(path: Path) -> bool:
    """Say whether the journal was never finished: its first commit precedes the marker."""
    return not path.exists() or path.stat().st_size == 0


def _new(folder: JobFolder, identity: JobIdentity, wall_clock: Callable[[], float]) -> Journal:
    for left in folder.batch.glob("journal.sqlite*"):
        left.unlink()
    journal = Journal.create(
        folder.journal,
        job=identity.job,
        provider=identity.provider,
        origin=identity.origin,
        wall_clock=wall_clock,
    )
    sync_folder(folder.batch)
    return journal


def _check_place(journal: Journal, folder: JobFolder, *, known: bool) -> None:
    if not journal.is_original_location(folder.journal, known=known):
        raise JournalUnreadable(
            f"{folder.journal} is a copy of the journal in {_first_home(journal, folder)}: two "
            "runs would pay for the same items. Nothing was sent. Ways out: go on with that one; "
            "or use another output folder; or, if this one is to take its place, remove "
            f"{folder.marker}"
        )


def _check_age(
    journal: Journal, folder: JobFolder, said: Mapping[str, Any], witness: KnownJob
) -> None:
    if said["job"] != journal.job()["id"]:
        raise JournalUnreadable(f"the journal is not this folder's. {_ways_out(folder)}")
    if journal.last_event < said["events"]:
        raise JournalUnreadable(
            f"the journal is an older copy: it ends at event {journal.last_event}, this folder "
            f"has seen {said['events']}. {_ways_out(folder)}"
        )
    if journal.last_event < witness.seen:
        raise JournalUnreadable(
            f"{folder.root} is an older copy of this job: its journal ends at event "
            f"{journal.last_event}, {witness.seen} have been seen. {_ways_out(folder)}"
        )


def _first_home(journal: Journal, folder: JobFolder) -> str:
    """Return where a copied journal was used."""
    there = str(journal.job()["folder"])
    here = there == os.path.realpath(folder.root)
    return "this place on another machine, or before a backup was put back" if here else there


def _ways_out(folder: JobFolder, *refused: Path) -> str:
    return _WAYS_OUT.format(files=" and ".join(map(str, (folder.marker, *refused))))


def check_owner(job: Mapping[str, Any], folder: JobFolder, identity: JobIdentity) -> None:
    """Refuse a folder whose `job`, as its journal names it, is not the one that is meant.

    Raises:
        FolderRefused: it is not.
    """
    if job["name"] != identity.job or job["provider"] != identity.provider:
        raise FolderRefused(
            f"{folder.root} belongs to the job {job['name']!r} ({job['provider']}), not to "
            f"{identity.job!r} ({identity.provider}); choose another folder with --output"
        )
    if _place(job["origin"]) != _place(identity.origin):
        raise FolderRefused(
            f"{folder.root} was made with {job['origin']}, not with {identity.origin}: its task "
            "ids mean nothing there; choose another folder with --output"
        )


def same_service(provider: str, origin: str, identity: JobIdentity) -> bool:
    """Say whether a job of this provider and origin pays the service that `identity` names."""
    return provider == identity.provider and _place(origin) == _place(identity.origin)


def _place(origin: str) -> str:
    """Return what must agree between runs: the host; ports of this machine come and go."""
    host = urlsplit(origin).hostname or origin
    return "this machine" if host in ("127.0.0.1", "localhost", "::1") else host


def _bring_in(emergency: FallbackLog, journal: Journal) -> None:
    """Take the outcomes that an earlier run could not journal."""
    for entry in emergency.entries():
        status = journal.status_of(str(entry.get("key")))
        if (change := _kept(entry, status)) is None:
            continue
        try:
            journal.apply(change)
        except TaskIdTaken as error:
            if status is ItemStatus.SUBMITTING:  # else it is held already
                journal.apply(held_instead(change, error))
    emergency.clear()


def _kept(entry: dict[str, object], status: ItemStatus | None) -> Change | None:
    try:
        event = Event(str(entry.get("event")))
    except ValueError:  # no line of ours
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


def _refetch(folder: JobFolder, journal: Journal) -> int:
    """Let files that have gone be fetched again by their task ids, which is free."""
    # One look at the folder, not one at each file; what it does not show by this very name (another
    # way to write an accent, a file in a folder) is looked for.
    with os.scandir(folder.root) as entries:
        there = {entry.name for entry in entries}
    gone = []
    for key, names in journal.placed():
        if not there.issuperset(names):
            lost = [one for one in names if not os.path.lexists(folder.root / one)]
            if lost:
                gone.append((key, lost))
    for key, lost in gone:
        message = f"{', '.join(lost)} has gone; fetched again, not paid again"
        event = Event.FILE_MISSING
        journal.apply(Change(key=key, event=event, reason=FILE_GONE, message=message))
        journal.apply(Change(key=key, event=Event.DOWNLOAD_RESUMED))
    return len(gone)
