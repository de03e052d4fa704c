"""Plan and run jobs from Python.

::

    import batch_runner

    manifest = batch_runner.load_manifest("jobs/cards.yaml")
    plan = batch_runner.plan_job(manifest)  # sends nothing, writes nothing
    print(plan.estimate.submissions, plan.estimate.cost)
    summary = await batch_runner.run_job(manifest)  # pays; in an asyncio event loop
    for item in batch_runner.iter_items(manifest):
        print(item.id, item.status, item.files)

Nothing here prints, asks, handles signals, or configures logging or the garbage collector. Log
records go to the logger `batch_runner` and its children. Errors are those of `batch_runner.errors`.

**A run pays without a question**: compare the estimate of `plan_job` first, and set
`limits.max_submissions`, which holds over the whole life of the job.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_runner.api import folders, steps
from batch_runner.api.prior import origin_warnings, refuse_unknown_submissions
from batch_runner.api.services import service_of, with_workflows
from batch_runner.errors import UsageError
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import results_of
from batch_runner.lifecycle import ItemStatus
from batch_runner.setting_types import Reuse
from batch_runner.settings import Service, Settings
from batch_runner.util.locale import tr
from batch_runner.util.paths import utf8_environment
from batch_runner.util.xdg import state_folder

if TYPE_CHECKING:  # slow imports
    from batch_runner.engine.context import Run
    from batch_runner.engine.events import OnEvent
    from batch_runner.engine.selection import SelectedItems
    from batch_runner.engine.summary import RunSummary
    from batch_runner.jobdir.open import OpenJob
    from batch_runner.manifest import Manifest
    from batch_runner.planning.plan import Plan
    from batch_runner.planning.selection import Selection

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of a job, as its journal has it."""

    key: str  #: what identifies it: 32 hex digits, as in the events of a run
    id: str
    name: str  #: of its files, without extension
    status: ItemStatus
    listed: bool  #: whether the manifest had it at the last run
    prompt: str
    workflow: str
    params: Mapping[str, Any]  #: what is sent
    variables: Mapping[str, str]  #: what distinguishes it from others: ids of matrix values
    task_id: str | None  #: of the latest submission; None: there is none
    reason: str | None  #: a short word for what went wrong; None: nothing did
    message: str | None  #: the same as a sentence
    files: tuple[Path, ...]  #: absolute paths of its verified files; none if they are objects
    addresses: tuple[str, ...]  #: the same as texts, or s3:// addresses; none unless it is done


def load_settings(manifest: Manifest, limits: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of a run of `manifest`.

    Each is taken from the first that gives it: `limits`, BATCH_RUNNER_ variables, manifest, user
    config, default. `limits` maps names to texts, as the options of the command `run`:
    `{"rate": "2/s", "max_submissions": "300"}`.

    Raises:
        UsageError: a limit, a variable or the user config has an invalid value.
    """
    from batch_runner.config.resolve import resolve_settings

    settings, _ = resolve_settings(manifest, flags=limits or {}, environment=utf8_environment())
    return settings


def load_service(manifest: Manifest, settings: Settings | None = None) -> Service:
    """Return URL and key of the manifest's provider, from the environment or a key file.

    `settings` name the proxy, None stands for `load_settings`.

    Raises:
        UsageError: there is no key, the URL is not one of a service, or a setting is invalid.
    """
    return service_of(manifest, (settings or load_settings(manifest)).network)


def _service_of(
    manifest: Manifest, service: Service | None, settings: Settings, *, rehearse: bool
) -> Service | None:
    """Return the service of a run, None for a rehearsal.

    Raises:
        UsageError: there is no key, the URL is not one of a service, or of another provider's.
    """
    from batch_runner.providers.credentials import complete_service

    if rehearse:
        return None
    if service is None:
        return load_service(manifest, settings)
    network = settings.network
    service = complete_service(service, manifest.provider, utf8_environment(), network)
    return with_workflows(service, manifest)


def plan_job(
    manifest: Manifest,
    *,
    settings: Settings | None = None,
    service: Service | None = None,
    output: str | Path | None = None,
    rehearse: bool = False,
    attended: bool = False,
    select: Selection | None = None,
) -> Plan:
    """Return what `run_job` with the same arguments would do. Sends nothing and writes nothing.

    What would make the run refuse is in the plan's `blockers`, what else should be known in its
    `warnings`, such as items that send equal requests. `attended`: it is a plan of the command
    `run` on a terminal, which can ask.

    Raises:
        ManifestError: an item is invalid; holds every problem that was found.
        UsageError: a setting is invalid, no item has a name in `select`, or the folder cannot be
            read. An unusable service is a blocker.
        JournalUnreadable: the journal is damaged or of another version.
    """
    from batch_runner.planning.blockers import Blocker, manifest_warnings
    from batch_runner.planning.preflight import Circumstances, plan_run
    from batch_runner.planning.selection import select_items

    folder = JobFolder(folders.output_folder(manifest, output, rehearse=rehearse))
    manifest = steps.manifest_of_job(manifest, folder.root)
    settings = settings or load_settings(manifest)
    identity, unusable = None, []
    try:
        service = _service_of(manifest, service, settings, rehearse=rehearse)
        identity = steps.identity_of(manifest, service)
    except UsageError as error:
        unusable = [Blocker("service", {"message": str(error)})]
    circumstances = Circumstances(
        identity=identity,
        state=state_folder(),
        attended=attended,
        selected=select_items(select, manifest.items, in_order=True),
        files=folders.place_of_files(manifest, folder.root),
    )
    specs = steps.items_to_plan(manifest, folder.root)
    plan = plan_run(specs, folder, settings, circumstances)
    plan.blockers = unusable + plan.blockers
    plan.warnings += manifest_warnings(manifest.warnings())
    return plan


async def run_job(
    manifest: Manifest,
    *,
    settings: Settings | None = None,
    service: Service | None = None,
    output: str | Path | None = None,
    rehearse: bool = False,
    cluster: bool = False,
    on_event: OnEvent | None = None,
    select: Selection | None = None,
) -> RunSummary:
    """Run a job or continue it: submit, poll and download its items; return how it ended.

    Submissions that may be paid are sent without a question. What is done, in flight or held is
    not submitted again. Failures of items are no exceptions: see the counts of the summary, and
    `iter_items`. The report is written at the end. The manifest's `on_item`, `on_finish` and
    `notify`, and keeping the computer awake, are left to the command line. If needed and allowed,
    the process's soft limit of open files is raised.

    `settings` and `service` None stand for `load_settings` and `load_service`, `output` None for
    the manifest's output folder; a relative one starts at the current folder. With `rehearse`, the
    built-in simulator takes the place of the service, and a folder of its own, FOLDER.rehearsal,
    that of the output folder. `on_event` is called in the event loop, so it must return soon; what
    it raises is logged.

    With `cluster`, as with `run --cluster`, this call waits for the workers of the user's cluster.
    What they do to items causes no events. A cancelled call leaves the job to them.

    Items that another job of this user has submitted are not submitted again: their results are
    used, or they are held; not with `load_settings(manifest, {"reuse": "never"})`.

    With `select`, only those items are submitted, and the others stay pending; tasks in flight are
    finished all the same. The exit code of the summary is that of the selected items.

    A cancelled run ends like a stopped one before `CancelledError` is raised: nothing more is sent,
    submissions on the wire are answered and journaled, for which `timeouts.submit` may pass.

    Raises:
        ManifestError: an item is invalid; holds every problem that was found. Nothing was sent.
        UsageError: a setting, the key or the folder cannot be used, no item has a name in `select`,
            a new job cannot know what other jobs have paid for, or the cluster cannot be used.
            Nothing was sent.
        JobLocked: another run has the job.
        JournalError: the journal cannot be read or written.
    """
    if cluster and rehearse:
        raise UsageError(tr("a rehearsal runs on this host alone: leave out --cluster"))
    settings = settings or load_settings(manifest)
    service = _service_of(manifest, service, settings, rehearse=rehearse)
    root = folders.output_folder(manifest, output, rehearse=rehearse)
    manifest = steps.manifest_of_job(manifest, root)
    cancelled = asyncio.Event()
    # A task of its own, which the cancellation of the caller does not reach.
    start = functools.partial(_start_job, selection=select, cluster=cluster)
    run = _run(manifest, settings, service, root, on_event, cancelled, start)
    work = asyncio.create_task(run)
    try:
        await asyncio.wait([work])
    except asyncio.CancelledError:
        cancelled.set()
        await _wait_despite_cancellation(work)
        raise
    return work.result()


async def _wait_despite_cancellation(work: asyncio.Task[RunSummary]) -> None:
    from anyio import CancelScope

    with CancelScope(shield=True):  # a scope of anyio cancels again and again
        while not work.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work])
    if not work.cancelled() and (error := work.exception()) is not None:
        log.error("the run that was cancelled failed: %s", error)


async def _run(
    manifest: Manifest,
    settings: Settings,
    service: Service | None,
    root: Path,
    on_event: OnEvent | None,
    cancelled: asyncio.Event,
    start: Callable[..., tuple[OpenJob, SelectedItems | None]],
) -> RunSummary:
    from anyio.to_thread import run_sync

    with ExitStack() as stack:
        job, selected = await run_sync(start, stack, manifest, settings, service, root)
        if cancelled.is_set():
            raise asyncio.CancelledError
        stop = functools.partial(_stop_when, cancelled)
        summary = await steps.process_job(
            job,
            manifest,
            settings,
            service,
            on_event=on_event,
            background_tasks=[stop],
            selected=selected,
        )
    try:
        await run_sync(steps.write_run_report, root, summary)
    except Exception:
        log.exception("the report could not be written")
    return summary


def _start_job(
    stack: ExitStack,
    manifest: Manifest,
    settings: Settings,
    service: Service | None,
    root: Path,
    *,
    selection: Selection | None,
    cluster: bool,
) -> tuple[OpenJob, SelectedItems | None]:
    listing = steps.list_items(manifest, root, selection)
    required = settings.reuse is not Reuse.NEVER
    opening = steps.open_job(manifest, root, service, require_registry=required, cluster=cluster)
    job = stack.enter_context(opening)
    steps.import_items(job, manifest, settings, listing)
    selected = steps.selected_items(job, selection)
    for warning in manifest.warnings():
        log.warning("%s", warning)
    refuse_unknown_submissions(job, settings)
    for other in origin_warnings(job, manifest, service):
        log.warning("%s", other.message)
    return job, selected


async def _stop_when(cancelled: asyncio.Event, run: Run) -> None:
    from batch_runner.engine.summary import ExitCode, StopReason

    await cancelled.wait()
    stop = StopReason("cancelled", "the run was cancelled", ExitCode.STOPPED)
    run.state.control.shut_down(stop)


def iter_items(
    manifest: Manifest,
    *statuses: ItemStatus,
    output: str | Path | None = None,
    rehearse: bool = False,
) -> Iterator[Item]:
    """Yield the items of a job in the manifest's order: all, or those that have one of `statuses`.

    They are those of the last run, read from the journal; `Manifest.items` yields those that the
    next run will have. May be used during a run.

    Raises:
        UsageError: the job has never been run.
        JournalUnreadable: the journal cannot be read.
    """
    from batch_runner.journal import open_reader

    folder = folders.existing_folder(manifest, output, rehearse=rehearse)
    results = results_of(folder)
    with open_reader(folder.journal) as reader:
        for row in reader.items(*statuses):
            files = row.files if row.status is ItemStatus.DONE else ()
            yield Item(
                key=row.key,
                id=row.id,
                name=row.name,
                status=row.status,
                listed=row.listed,
                prompt=row.prompt,
                workflow=row.workflow,
                params=row.params,
                variables=row.variables,
                task_id=row.task_id,
                reason=row.reason,
                message=row.message,
                files=results.paths(files),
                addresses=tuple(results.address(file.name) for file in files),
            )
