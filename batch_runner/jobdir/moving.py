"""Move a job to another folder, or record that the user has moved it."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from batch_runner.errors import FolderRefused, JournalUnreadable, UsageError
from batch_runner.jobdir.integrity import check_last_event
from batch_runner.jobdir.known_jobs import workers_go_on
from batch_runner.jobdir.lock import Lock
from batch_runner.jobdir.marker import Marker
from batch_runner.jobdir.open import open_job
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.registration import find_unmounted
from batch_runner.journal import journal_exists, open_journal, open_reader
from batch_runner.models import REHEARSAL
from batch_runner.registry import JobLock, Registry
from batch_runner.util.fs import sync_folder
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path, same_name, utf8_text


def move_job(registry: Registry, state: Path, old: Path, new: Path) -> bool:
    """Move the job in `old` to `new`, or record that it was moved; return whether it was moved now.

    Raises:
        UsageError: there is no such job, or it cannot be moved there.
        JobLocked: a run is working on it.
        JournalUnreadable: its journal is damaged, or older than the registry knows it.
    """
    source, target = JobFolder(Utf8Path(old).absolute()), JobFolder(Utf8Path(new).absolute())
    if journal_exists(source.journal):
        _rename(source, target, state)
        return True
    _check_gone(registry, source)
    if not journal_exists(target.journal):
        raise UsageError(
            tr("there is no job in {old}, nor in {new}", old=source.root, new=target.root)
        )
    _record(registry, state, source, target)
    return False


def _rename(source: JobFolder, target: JobFolder, state: Path) -> None:
    """Rename the folder while no run can open it, and record where the job is now."""
    _check_target(source, target)
    with open_job(source.root, None, state=state), open_reader(source.journal) as reader:
        if reader.workers_may_submit():
            raise workers_go_on(source)
        # It can be opened, so it can be opened there, too.
    with Lock(source):
        try:
            source.root.rename(target.root)
        except OSError as error:
            raise target.output_folder_error(error) from error
        for folder in {source.root.parent, target.root.parent}:
            sync_folder(folder)
    with open_job(target.root, None, state=state):
        pass  # records the folder in journal and registry


def _check_target(source: JobFolder, target: JobFolder) -> None:
    if os.path.lexists(target.root):
        raise UsageError(
            tr("{folder} exists; name a folder that does not exist yet", folder=target.root)
        )
    parent = target.root.parent
    if not parent.is_dir():
        raise UsageError(tr("the folder {folder} does not exist", folder=parent))
    if source.root.resolve() in target.root.resolve().parents:
        raise UsageError(tr("{new} is inside of {old}", new=target.root, old=source.root))
    if parent.stat().st_dev != source.root.stat().st_dev:
        raise UsageError(
            tr(
                "{new} is on another file system than {old}. Move the folder with `mv`, and then "
                "use this command again, which records it",
                new=target.root,
                old=source.root,
            )
        )


def _check_gone(registry: Registry, source: JobFolder) -> None:
    """Check that the job is not merely hidden, because its disk is not mounted.

    Raises:
        FolderRefused: it may be.
    """
    job = find_unmounted(registry, source.root)
    if job is not None:
        raise FolderRefused(
            tr(
                "the job in {root} is on {mount}, which is not mounted; mount it",
                root=source.root,
                mount=job.mount,
            )
        )


def _record(registry: Registry, state: Path, source: JobFolder, target: JobFolder) -> None:
    """Record that the job is in `target` now, if it is the one that was in `source`."""
    with (
        Lock(target),
        closing(Marker(target)) as marker,
        closing(open_journal(target.journal)) as journal,
    ):
        job, recorded = journal.job(), marker.read()
        known = registry.job(str(job["id"]))
        places = [str(job["folder"]), *([known.folder] if known else [])]
        if job["origin"] == REHEARSAL or not any(
            same_name(place, utf8_text(source.root.resolve())) for place in places
        ):
            raise UsageError(
                tr(
                    "the job in {new} is not the one that was in {old}; it is known in {place}",
                    new=target.root,
                    old=source.root,
                    place=places[-1],
                )
            )
        if recorded is None:
            raise JournalUnreadable(
                tr("{path} is missing, so the journal cannot be checked", path=target.marker)
            )
        last_event = known.last_event if known else 0
        last_event = max(last_event, JobLock(state, str(job["id"])).look()[1])
        check_last_event(journal, target, recorded, last_event)
        journal.record_location(target.journal)
    with open_job(target.root, None, state=state):
        pass  # records the folder in the registry
