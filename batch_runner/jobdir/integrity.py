"""Refuse a journal that is a copy or an older backup: it would pay for items again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from batch_runner.errors import JournalUnreadable, JournalVersionMismatch
from batch_runner.jobdir.identity import JobIdentity
from batch_runner.jobdir.marker import MarkerRecord
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import Journal
from batch_runner.journal import open_journal as open_existing
from batch_runner.journal.sql.journal import SqlJournal
from batch_runner.util.fs import sync_folder
from batch_runner.util.locale import mark_tr, tr
from batch_runner.util.paths import same_name, utf8_text

_WAYS_OUT = mark_tr(
    "Nothing was sent, because items that were paid for would be paid for again. Ways out: restore "
    "the right journal (the newest backup of the whole folder); or use another output folder; or, "
    "if you accept that everything in it may be paid for again, remove {files}"
)


_CLUSTER_WAYS_OUT = mark_tr(
    "Nothing was sent, because items that were paid for would be paid for again. Ways out: restore "
    "the newest backup of the database; or use another output folder; or, if you accept that "
    "everything in it may be paid for again, remove {files}"
)


#: Makes the journal of a new job, given its folder, its identity and the wall clock.
NewJournal = Callable[[JobFolder, JobIdentity, Callable[[], float]], SqlJournal]


def open_journal(
    folder: JobFolder,
    identity: JobIdentity | None,
    marker: MarkerRecord | None,
    wall_clock: Callable[[], float],
    new_journal: NewJournal | None = None,
) -> SqlJournal:
    """Open the folder's journal; create it if `identity` is given and there has never been one.

    `new_journal` makes it; None: in the folder.

    Raises:
        JournalUnreadable: it is missing, empty or damaged, or its database cannot be used.
    """
    try:
        return open_existing(folder.journal, wall_clock=wall_clock)
    except JournalVersionMismatch:
        raise
    except JournalUnreadable as error:
        if folder.cluster.exists():
            raise
        # Asked after opening: a file from a first commit that was killed is empty only then,
        # because SQLite has rolled it back.
        empty = _is_empty(folder.journal)
        if identity is None or marker is not None or not empty:
            # A damaged journal would be refused again after the marker was removed.
            damaged = () if empty else (folder.journal,)
            raise JournalUnreadable(f"{error}. {_ways_out(folder, *damaged)}") from error
    return (new_journal or _create_journal)(folder, identity, wall_clock)


def _is_empty(journal: Path) -> bool:
    """Return whether a journal is missing or had no commit; its marker follows its first one."""
    return not journal.exists() or journal.stat().st_size == 0


def _create_journal(
    folder: JobFolder, identity: JobIdentity, wall_clock: Callable[[], float]
) -> Journal:
    for remnant in folder.batch.glob("journal.sqlite*"):
        remnant.unlink()
    journal = Journal.create(
        folder.journal,
        job=identity.job,
        provider=identity.provider,
        origin=identity.origin,
        wall_clock=wall_clock,
    )
    sync_folder(folder.batch)
    return journal


def check_location(journal: SqlJournal, folder: JobFolder, *, known: bool) -> None:
    """Check that the journal is no copy; `known`: this host has seen it there before.

    Raises:
        JournalUnreadable: it is a copy.
    """
    if not journal.is_original_location(folder.journal, known=known):
        raise JournalUnreadable(
            tr(
                "{journal} is a copy of the journal in {original_location}: two "
                "runs would pay for the same items. Nothing was sent. Ways out: "
                "continue with the original; or use another output folder; or, if "
                "this copy is to replace it, remove {marker}",
                journal=folder.journal,
                original_location=_original_location(journal, folder),
                marker=folder.marker,
            )
        )


def _original_location(journal: SqlJournal, folder: JobFolder) -> str:
    recorded = str(journal.job()["folder"])
    if same_name(recorded, str(folder.root.resolve())):
        return tr("this folder on another host, or from before a backup was restored")
    return recorded


def check_last_event(
    journal: SqlJournal, folder: JobFolder, marker: MarkerRecord, known_last_event: int
) -> None:
    """Check that the journal has every event that the marker and the registry know of.

    `known_last_event` is that of the registry, 0 if it does not know the job.

    Raises:
        JournalUnreadable: it is older, or the journal of another job.
    """
    if marker.job_id != journal.job()["id"]:
        raise JournalUnreadable(
            tr(
                "{journal} is not this folder's journal: {name} has the id of "
                "another job. {ways_out}",
                journal=_journal_text(folder),
                name=folder.marker.name,
                ways_out=_ways_out(folder),
            )
        )
    if journal.last_event < marker.last_event:
        raise JournalUnreadable(
            tr(
                "{journal} is an older copy: its last event is {last_event}, but "
                "this folder has reached event {marker_last_event}. {ways_out}",
                journal=_journal_text(folder),
                last_event=journal.last_event,
                marker_last_event=marker.last_event,
                ways_out=_ways_out(folder),
            )
        )
    if journal.last_event < known_last_event:
        raise JournalUnreadable(
            tr(
                "{root} is an older copy of this job: its last event is "
                "{last_event}, but the job has reached event "
                "{known_last_event} on this host. {ways_out}",
                root=folder.root,
                last_event=journal.last_event,
                known_last_event=known_last_event,
                ways_out=_ways_out(folder),
            )
        )


def _ways_out(folder: JobFolder, *damaged: Path) -> str:
    ways = _CLUSTER_WAYS_OUT if folder.cluster.exists() else _WAYS_OUT
    return tr(ways, files=tr(" and ").join(map(utf8_text, (folder.marker, *damaged))))


def _journal_text(folder: JobFolder) -> str:
    if folder.cluster.exists():
        return tr("the journal in the database that {path} names", path=folder.cluster)
    return utf8_text(folder.journal)
