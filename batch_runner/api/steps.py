"""The steps of a run, which the library and the command line go in the same order.

`load_manifest`, `folders.output_folder`, `list_items`, `open_job`, `import_items`, `process_job`,
`write_run_report`. A `service` None means a rehearsal: the built-in simulator.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from batch_runner.api import clusters, rehearsal
from batch_runner.api.folders import place_of_files
from batch_runner.config.environment import check_environment
from batch_runner.errors import JournalError, UsageError
from batch_runner.jobdir.identity import JobIdentity
from batch_runner.jobdir.paths import JobFolder
from batch_runner.models import REHEARSAL
from batch_runner.providers import PROVIDERS, key_variable_hint
from batch_runner.util.locale import tr
from batch_runner.util.paths import find_existing, utf8_text
from batch_runner.util.xdg import state_folder

if TYPE_CHECKING:  # slow imports, which commands that only print help do not need
    from batch_runner.engine.events import OnEvent
    from batch_runner.engine.run import BackgroundTask
    from batch_runner.engine.selection import SelectedItems
    from batch_runner.engine.summary import RunSummary
    from batch_runner.jobdir.open import OpenJob
    from batch_runner.journal import Imported, ItemImport
    from batch_runner.manifest import Manifest
    from batch_runner.models import ItemSpec
    from batch_runner.planning.selection import Selection
    from batch_runner.settings import Limits, Service, Settings

log = logging.getLogger(__name__)

#: Time for thumbnails at the end of a run: this fraction of its duration, and at least and at most
#: these seconds. `report` makes the rest; until then the report shows the pictures themselves.
THUMBNAIL_FRACTION, THUMBNAIL_MIN, THUMBNAIL_MAX = 0.05, 0.5, 15.0


def load_manifest(path: str | Path) -> Manifest:
    """Return the manifest at `path`, checked in everything but its items.

    Raises:
        UsageError: an unknown BATCH_RUNNER_ variable is set.
        ManifestError: the manifest is invalid; holds every problem that was found.
    """
    from batch_runner.manifest import load

    check_environment(os.environ)
    found = find_existing(path)
    PROVIDERS.add_manifest(found)
    return load(found, providers=PROVIDERS, key_variable=key_variable_hint())


def manifest_of_job(manifest: Manifest, root: Path) -> Manifest:
    """Return the manifest with the items that it has in the job in `root`.

    They depend on the day of its first run and on `redo`; without a journal, those of a new job.
    """
    from batch_runner.journal import journal_exists, open_reader

    journal = JobFolder(root).journal
    try:
        if journal_exists(journal):
            with open_reader(journal) as reader:
                return manifest.of_job(reader.facts())
    except JournalError as error:
        log.info("%s", error)  # whoever needs the journal says so
    return manifest


def items_to_plan(manifest: Manifest, root: Path) -> Iterable[ItemSpec] | None:
    """Return the items of the manifest; None: they are those that the job in `root` imported last.

    Then they are not expanded; the manifest takes its duplicates from the journal.
    """
    from batch_runner.journal import journal_exists, open_reader

    journal = JobFolder(root).journal
    try:
        if journal_exists(journal):
            with open_reader(journal) as reader:
                duplicates = reader.last_duplicates(manifest.fingerprint())
            if duplicates is not None:
                manifest.take_duplicates(duplicates)
                return None
    except JournalError as error:
        log.info("%s", error)  # whoever needs the journal says so
    return manifest.items()


def identity_of(manifest: Manifest, service: Service | None) -> JobIdentity:
    """Return the identity of the job; without a service, of its rehearsal.

    The user's own servers are one service, whichever of them are used.
    """
    origin = REHEARSAL
    if service is not None and PROVIDERS[manifest.provider].own_server:
        origin = manifest.provider
    elif service is not None:
        parts = urlsplit(service.base_url)
        origin = f"{parts.scheme}://{parts.netloc}"
    return JobIdentity(job=manifest.job, provider=manifest.provider, origin=origin)


def list_items(manifest: Manifest, root: Path, selection: Selection | None = None) -> ItemImport:
    """Return the manifest's items for `import_items`.

    Those of a new job are checked here: every mistake is found before its folder is made.

    Raises:
        ManifestError: an item of a new job is invalid.
        UsageError: no item of a new job has a name in the selection.
    """
    from batch_runner.journal import ItemImport
    from batch_runner.planning.selection import select_items

    listing = ItemImport(manifest.items)
    if not JobFolder(root).marker.exists():
        listing.check(manifest.fingerprint())
        if selection is not None and selection.only:
            select_items(selection, manifest.items)
    return listing


def open_job(
    manifest: Manifest,
    root: Path,
    service: Service | None,
    *,
    require_registry: bool = False,
    cluster: bool = False,
) -> AbstractContextManager[OpenJob]:
    """Return a context manager that opens and locks the job, as `jobdir.open.open_job`.

    `cluster`: it is a job for the workers of the user's cluster.

    Raises:
        UsageError: too few files may be open for a run.
    """
    from batch_runner.engine.fd_limits import check_open_files
    from batch_runner.jobdir import open as jobdir_open

    check_open_files()
    if service is not None and state_folder() is None:
        log.warning(
            "neither XDG_STATE_HOME nor HOME is set: items that another job has paid for cannot be "
            "recognised"
        )
    return jobdir_open.open_job(
        root,
        identity_of(manifest, service),
        state=state_folder(),
        key=None if service is None else service.key.get_secret_value(),
        require_registry=require_registry,
        new_journal=clusters.new_journal(JobFolder(root), cluster=cluster),
        files=place_of_files(manifest, root),
    )


def import_items(
    job: OpenJob, manifest: Manifest, settings: Settings, listing: ItemImport
) -> Imported:
    """Import the items of the manifest into the journal of the open job.

    They are read anew if the facts that they depend on have changed since they were listed.

    Raises:
        UsageError: results cannot be stored in a folder that an item names.
        ManifestError: an item is invalid; the journal is unchanged.
        JournalError: the journal cannot be written.
        UsageError: `limits.max_cost` is set, and an item has no price.
    """
    from batch_runner.journal import ItemImport
    from batch_runner.planning.blockers import result_folder_blockers

    now = manifest.of_job(job.journal.facts())
    if now is not manifest:
        manifest, listing = now, ItemImport(now.items)
    limits = settings.limits
    imported = job.journal.import_items(
        listing,
        manifest=utf8_text(manifest.path.absolute()),
        price=str(limits.price) if limits.price else None,
        fingerprint=manifest.fingerprint,
        duplicates=manifest.duplicates,
    )
    folders = () if job.folder.objects else job.journal.pending_folders()
    for blocker in result_folder_blockers(job.folder.root, folders):
        raise UsageError(tr("{text}. Nothing was sent.", text=blocker.message))
    if limits.max_cost is not None:
        _check_prices(job, limits)
    return imported


def _check_prices(job: OpenJob, limits: Limits) -> None:
    """Check that every submission has a price, which `limits.max_cost` needs.

    Raises:
        UsageError: one has none.
    """
    from batch_runner.planning.blockers import price_blockers
    from batch_runner.planning.estimate import missing_prices

    pending = {workflow for *_, workflow in job.journal.pending_workflows()}
    workflows = {*job.journal.spent_by_workflow_now(), *pending}
    for blocker in price_blockers(missing_prices(limits, workflows)):
        raise UsageError(tr("{reason}. Nothing was sent", reason=blocker.message))


def selected_items(job: OpenJob, selection: Selection | None) -> SelectedItems | None:
    """Return the imported items that may be submitted; None: all.

    Raises:
        UsageError: no item has a name in the selection.
    """
    from batch_runner.planning.selection import select_items

    return select_items(selection, job.journal.listed)


async def process_job(
    job: OpenJob,
    manifest: Manifest,
    settings: Settings,
    service: Service | None,
    *,
    on_event: OnEvent | None = None,
    background_tasks: Sequence[BackgroundTask] = (),
    closing_tasks: Sequence[BackgroundTask] = (),
    selected: SelectedItems | None = None,
) -> RunSummary:
    """Process the imported items as far as one run can, and return how it ended.

    `background_tasks` run beside it until it ends, `closing_tasks` after the last item. `selected`
    are the items that may be submitted, None: all.
    """
    from batch_runner.engine.deadline import seconds_left
    from batch_runner.engine.fd_limits import make_room
    from batch_runner.engine.run import run_job
    from batch_runner.jobdir.retention import remove_old

    if settings.output.keep is not None:
        remove_old(job.folder, keep=settings.output.keep, now=time.time())
    deadline = seconds_left(settings.limits)
    async with _reachable(job, manifest, settings, service) as reachable:
        stages = clusters.stages(job, manifest, settings, reachable, deadline)
        return await run_job(
            job,
            make_room(settings, both_ends=service is None),
            reachable,
            deadline=deadline if stages is None else None,  # else the workers keep it
            background_tasks=background_tasks,
            closing_tasks=closing_tasks,
            on_event=on_event,
            selected=selected,
            stages=stages,
        )


@asynccontextmanager
async def _reachable(
    job: OpenJob, manifest: Manifest, settings: Settings, service: Service | None
) -> AsyncIterator[Service]:
    """Yield the service; in a rehearsal, a simulator that runs until the block ends."""
    if service is not None:
        yield service
        return
    async with rehearsal.simulated_service(job, manifest, settings) as simulated:
        yield simulated


def write_run_report(root: Path, summary: RunSummary) -> Path:
    """Write the report at the end of a run if anything has changed; return the path of its page.

    The time for new thumbnails depends on the duration of the run.

    Raises:
        JournalUnreadable: the journal cannot be read.
        OSError: the report could not be written.
    """
    from batch_runner.report import write_report

    seconds = max(THUMBNAIL_MIN, THUMBNAIL_FRACTION * summary.seconds)
    return write_report(root, seconds=min(seconds, THUMBNAIL_MAX), if_changed=True)
