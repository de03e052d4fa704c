"""Check before a run what would make it refuse, as opening its job does, but without writing."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from batch_runner.engine.fd_limits import check_open_files
from batch_runner.engine.selection import SelectedItems
from batch_runner.errors import FolderRefused, JournalUnreadable, RegistryError, UsageError
from batch_runner.jobdir.identity import JobIdentity, check_owner, same_origin
from batch_runner.jobdir.integrity import check_last_event, check_location
from batch_runner.jobdir.marker import Marker
from batch_runner.jobdir.open import is_new_job
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.registration import check_mounted
from batch_runner.jobdir.results import check_place
from batch_runner.journal import journal_exists, open_journal
from batch_runner.journal.sql.journal import SqlJournal
from batch_runner.models import REHEARSAL, ItemSpec
from batch_runner.planning.blockers import Blocker
from batch_runner.planning.plan import Plan, make_plan
from batch_runner.planning.reuse import prior_submissions
from batch_runner.registry import JobLock, JobRecord, may_exist, read_registry
from batch_runner.setting_types import Reuse
from batch_runner.settings import Settings
from batch_runner.util.fs import nearest_existing
from batch_runner.util.locale import tr


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a run depends on beside its manifest and settings."""

    identity: JobIdentity | None  # None: the service cannot be used
    state: Path | None  # the state folder; None: there is no home
    attended: bool  # there is a person to ask
    selected: SelectedItems | None = None  # items that may be submitted; None: all
    files: str | None = None  # where the run stores files; None: where the job has them


def plan_run(
    specs: Iterable[ItemSpec] | None,
    folder: JobFolder,
    settings: Settings,
    circumstances: Circumstances,
) -> Plan:
    """Return the plan of a run with all its blockers and warnings. Sends and writes nothing.

    `specs` as in `make_plan`.

    Raises:
        JournalUnreadable: the journal is damaged or of another version.
    """
    identity = circumstances.identity
    rehearsal = identity is not None and identity.origin == REHEARSAL
    plan = _with_prior_submissions(specs, folder, settings, circumstances, rehearsal=rehearsal)
    plan.blockers += _limit_blockers()
    if not any(blocker.kind == "locked" for blocker in plan.blockers):
        _check_folder(plan, folder, circumstances, None if rehearsal else circumstances.state)
    if not rehearsal:
        _check_state_folder(plan, settings, circumstances)
    return plan


def origin_warnings(origin: str, identity: JobIdentity) -> list[Blocker]:
    """Return a warning if the job of `origin` is to use the service at another port or scheme."""
    if same_origin(origin, identity.origin):
        return []
    return [Blocker("origin", {"origin": origin, "configured": identity.origin})]


def _with_prior_submissions(
    specs: Iterable[ItemSpec] | None,
    folder: JobFolder,
    settings: Settings,
    circumstances: Circumstances,
    *,
    rehearsal: bool,
) -> Plan:
    identity = None if rehearsal else circumstances.identity
    try:
        with prior_submissions(identity, folder.journal, settings.reuse) as prior:
            return make_plan(specs, folder, settings, prior, circumstances.selected)
    except RegistryError as error:
        plan = make_plan(specs, folder, settings, selected=circumstances.selected)
        _add_unusable_registry(plan, settings, circumstances, str(error))
        return plan


def _limit_blockers() -> Iterator[Blocker]:
    try:
        check_open_files()
    except UsageError as error:
        yield Blocker("open_files", {"message": str(error)})


def _check_state_folder(plan: Plan, settings: Settings, circumstances: Circumstances) -> None:
    state = circumstances.state
    if state is None:
        plan.warnings.append(Blocker("no_home"))
        return
    existing = nearest_existing(state)
    if may_exist(state) or (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        return
    read_only = bool(os.statvfs(existing).f_flag & os.ST_RDONLY)
    text = tr(
        "the state folder {state} cannot be used: {error}",
        state=state,
        error=os.strerror(errno.EROFS if read_only else errno.EACCES),
    )
    if read_only:  # there may be a registry on that disk
        _add_unusable_registry(plan, settings, circumstances, text)
    else:
        plan.warnings.append(_unusable_registry(text))


def _add_unusable_registry(
    plan: Plan, settings: Settings, circumstances: Circumstances, reason: str
) -> None:
    """Add a blocker for a new job that nobody watches, a warning for others."""
    accepted = settings.reuse is Reuse.NEVER or circumstances.attended
    if accepted or plan.estimate.spent:
        plan.warnings.append(_unusable_registry(reason))
    else:
        plan.blockers.append(Blocker("registry", {"message": reason}))


def _unusable_registry(reason: str) -> Blocker:
    text = tr("{reason}; a run continues without it", reason=reason)
    return Blocker("registry", {"message": text})


def _check_folder(
    plan: Plan, folder: JobFolder, circumstances: Circumstances, state: Path | None
) -> None:
    """Add to the plan why the job could not be opened; see `jobdir.open.open_job`."""
    identity = circumstances.identity
    try:
        if circumstances.files is not None:
            check_place(folder, circumstances.files, is_new=is_new_job(folder))
        if state is not None and not folder.marker.exists():
            check_mounted(state, folder.root)
        if journal_exists(folder.journal):
            with closing(open_journal(folder.journal)) as journal:
                plan.blockers += _copy_blockers(journal, folder, state)
                if identity is not None:
                    check_owner(journal.job(), folder, identity)
                    plan.warnings += origin_warnings(str(journal.job()["origin"]), identity)
    except FolderRefused as error:
        plan.blockers.append(Blocker("folder", {"message": str(error)}))
    except JournalUnreadable as error:
        plan.blockers.append(Blocker("journal", {"message": str(error)}))


def _copy_blockers(journal: SqlJournal, folder: JobFolder, state: Path | None) -> Iterator[Blocker]:
    """Yield a blocker if a run has a copy of the job.

    Raises:
        JournalUnreadable: the journal is a copy, or older than it should be.
    """
    job = journal.job()
    record, held, last_event = _registered(str(job["id"]), state)
    with closing(Marker(folder)) as marker:
        recorded = marker.read()
    if recorded is not None:
        seen = record is not None and record.last_event > 0
        check_location(journal, folder, known=seen or job["origin"] == REHEARSAL)
    if held:
        owner = record.folder if record else tr("an unknown folder")
        yield Blocker("locked", {"owner": owner})
    elif recorded is not None:
        check_last_event(journal, folder, recorded, last_event)


def _registered(job_id: str, state: Path | None) -> tuple[JobRecord | None, bool, int]:
    """Return what the registry has of a job, whether a run has it, and its last event."""
    if state is None or not job_id.isalnum():
        return None, False, 0
    record = None
    try:
        if (registry := read_registry(state)) is not None:
            with registry:
                record = registry.job(job_id)
    except RegistryError:
        pass  # a run continues without it
    held, last_event = JobLock(state, job_id).look()
    return record, held, max(last_event, record.last_event if record else 0)
