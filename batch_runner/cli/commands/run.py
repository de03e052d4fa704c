"""`run`: submit, poll and download the items of a manifest."""

from __future__ import annotations

import functools
import logging
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click

from batch_runner.api import folders, steps
from batch_runner.api.services import service_of
from batch_runner.cli.companions import Companions, item_commands
from batch_runner.cli.confirm import (
    Approval,
    answer,
    may_ask,
    preview_run,
    print_warnings,
)
from batch_runner.cli.garbage_collector import collect_rarely
from batch_runner.cli.options import (
    USAGE_ERROR,
    PathType,
    help_epilog,
    json_option,
    manifest_argument,
    output_option,
    rehearsal_option,
    selection_options,
    take_selection,
)
from batch_runner.cli.run_end import finish, ping_end
from batch_runner.cli.settings_flags import (
    given_flags,
    print_settings,
    settings_flags,
    warn_about_service,
)
from batch_runner.config.resolve import resolve_settings
from batch_runner.engine.summary import ExitCode
from batch_runner.errors import JobLocked, UsageError
from batch_runner.integrations.heartbeat import Heartbeat, failure_pinged
from batch_runner.setting_types import Reuse
from batch_runner.util.locale import current_language, tr, use_language
from batch_runner.util.paths import utf8_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from signal import Signals

    from batch_runner.engine.run import BackgroundTask
    from batch_runner.engine.selection import SelectedItems
    from batch_runner.engine.summary import RunSummary
    from batch_runner.jobdir.open import OpenJob
    from batch_runner.journal import Imported, ItemImport
    from batch_runner.manifest import Manifest
    from batch_runner.planning.selection import Selection
    from batch_runner.settings import Service, Settings


@help_epilog(
    "batch-runner run jobs/year_of_the_horse.yaml --rehearse",
    "batch-runner run jobs/year_of_the_horse.yaml --output out/horse --quiet",
    "batch-runner run jobs/year_of_the_horse.yaml --sample 5 --seed 1",
    "batch-runner run jobs/year_of_the_horse.yaml --until 06:30 --max-submissions 300",
    exit_status={
        "0": "Every item is done; with --only, --first or --sample, every selected one.",
        "1": "All items were handled, but some failed, were rejected or are held.",
        **USAGE_ERROR,
        "3": "Stopped early (signal, deadline, cap, disk, you answered no). Run again to continue. "
        "With --cluster, a signal does not stop the workers.",
        "4": "The service rejects all requests (key, balance), redirects, or cannot be reached.",
        "5": "Another run is working on the job (with --if-locked skip: 0).",
        "130, 143": "Ended at once by a signal: before the first submission, by a second one, or "
        "after the last file.",
    },
)
@click.command("run")
@manifest_argument
@output_option
@rehearsal_option
@selection_options
@settings_flags
@click.option(
    "--cluster",
    is_flag=True,
    help="Let the workers of the cluster process the items; see `batch-runner help many-hosts`.",
)
@click.option("--quiet", is_flag=True, help="Print nothing unless the exit status is not 0.")
@click.option(
    "--yes",
    is_flag=True,
    help="Do not ask first, whatever the run costs (default: on a terminal, ask above "
    "limits.confirm_above).",
)
@click.option(
    "--show-config", is_flag=True, help="Print every setting and where it comes from, and exit."
)
@click.option(
    "--if-locked",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    help="If another run is working on the job: exit with status 5, or with 0 and no message "
    "(default: fail).",
)
@click.option(
    "--metrics",
    type=PathType(dir_okay=False),
    metavar="FILE",
    help="Write Prometheus metrics to FILE every minute and at the end (default: none).",
)
@json_option
def command(
    manifest: Path,
    output: Path | None,
    *,
    rehearse: bool,
    cluster: bool,
    quiet: bool,
    yes: bool,
    show_config: bool,
    if_locked: str,
    metrics: Path | None,
    as_json: bool,
    **flags: Any,
) -> int:
    """Run MANIFEST: submit its items, poll their tasks, download and verify the files.

    Run it again to continue: what is done or in flight is not submitted again.
    """
    selection = take_selection(flags)
    if cluster and rehearse:
        raise UsageError(tr("a rehearsal runs on this host alone: leave out --cluster"))
    with use_language("en" if as_json else current_language()):  # warnings are in the summary
        loaded = steps.load_manifest(manifest)
    heartbeat = Heartbeat.of(loaded, wanted=not (rehearse or show_config))
    with failure_pinged(heartbeat):
        settings, origins = resolve_settings(
            loaded, flags=given_flags(flags), environment=utf8_environment()
        )
        if show_config:
            print_settings(origins, as_json=as_json)
            return 0
        heartbeat.network, service = settings.network, None
        if not rehearse:
            service = service_of(loaded, settings.network)
            warn_about_service(loaded.provider, settings.network, quiet=quiet)
        folder = folders.output_folder(loaded, output, rehearse=rehearse)
        loaded = steps.manifest_of_job(loaded, folder)
        items = item_commands(loaded, folder, service, quiet=quiet)
        awake = settings.keep_awake and not rehearse
        companions = Companions(heartbeat, items, metrics, awake, quiet)
        options = RunOptions(
            loaded,
            settings,
            service,
            folder,
            companions,
            selection,
            cluster=cluster,
            quiet=quiet,
            yes=yes,
            as_json=as_json,
        )
        try:
            summary = _run(options)
        except JobLocked:
            if if_locked == "skip":
                return 0
            raise
    if summary is None:
        return int(ExitCode.STOPPED)
    finish(options, summary)
    return int(summary.exit_code)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What one call of `run` was asked to do."""

    manifest: Manifest
    settings: Settings
    service: Service | None  # None in a rehearsal
    root: Path
    companions: Companions
    selection: Selection
    _: KW_ONLY
    cluster: bool
    quiet: bool
    yes: bool
    as_json: bool


def _run(options: RunOptions) -> RunSummary | None:
    """Return how the run ended; None if the user answered no.

    The job is not locked while the question is open, so that a run started by cron can do the work.
    """
    from batch_runner.cli.signals import noted_signals

    listing = steps.list_items(options.manifest, options.root, options.selection)
    approval: Approval | None = None
    while True:
        with _open_job(options, listing) as (job, imported):
            if approval is None:
                print_warnings(options)
            selected = steps.selected_items(job, options.selection)
            question = preview_run(job, options, imported, approval, selected)
            if question is None:
                collect_rarely()
                with noted_signals() as noted:
                    options.companions.heartbeat.start()
                    start = functools.partial(_run_async, job, options, noted, selected)
                    uvloop = {"use_uvloop": find_spec("uvloop") is not None}
                    summary = anyio.run(start, backend_options=uvloop)
                    ping_end(options, summary)
                    return summary
        answered = answer(question, options)
        if answered is None:
            return None
        options = answered
        approval = None if question.usable else Approval.to(question, imported)
        listing = steps.list_items(options.manifest, options.root)  # the manifest may have changed


@contextmanager
def _open_job(options: RunOptions, listing: ItemImport) -> Iterator[tuple[OpenJob, Imported]]:
    """Lock the job, with the items of its manifest imported."""
    from batch_runner.integrations.log_files import run_log

    manifest, service = options.manifest, options.service
    required = options.settings.reuse is not Reuse.NEVER and not may_ask(options)
    with steps.open_job(
        manifest,
        options.root,
        service,
        require_registry=required,
        cluster=options.cluster,
    ) as job:
        secrets = options.companions.heartbeat.secrets | (service.secrets if service else set())
        with run_log(
            job.folder,
            secrets=secrets,
            quiet=options.quiet,
            logger=logging.getLogger(),
            keep_all=options.settings.output.keep is not None,
        ):
            imported = steps.import_items(job, manifest, options.settings, listing)
            yield job, imported


async def _run_async(
    job: OpenJob, options: RunOptions, noted: list[Signals], selected: SelectedItems | None
) -> RunSummary:
    from batch_runner.cli.signals import watch_signals
    from batch_runner.monitor.progress import watch_progress

    display = functools.partial(watch_progress, quiet=options.quiet, as_json=options.as_json)
    background_tasks: list[BackgroundTask] = [
        functools.partial(watch_signals, noted=noted, follows_workers=options.cluster),
        display,
    ]
    companions = options.companions
    return await steps.process_job(
        job,
        options.manifest,
        options.settings,
        options.service,
        background_tasks=[*background_tasks, *companions.background_tasks()],
        closing_tasks=companions.closing_tasks(),
        selected=selected,
    )
