"""`run`: carry a manifest to its files."""

from __future__ import annotations

import functools
import gc
import os
from contextlib import asynccontextmanager, contextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click
from pydantic import SecretStr

from batch_runner.cli.confirm import Approval, consented, say_if_elsewhere, to_be_asked
from batch_runner.cli.options import (
    examples,
    identity_of,
    json_option,
    load_manifest,
    manifest_argument,
    output_folder,
    output_option,
    rehearsal_option,
    say,
    say_json,
)
from batch_runner.cli.settings import effective_settings, settings_flags
from batch_runner.engine.summary import ExitCode
from batch_runner.errors import JobLocked
from batch_runner.providers.credentials import read_service
from batch_runner.util.locale import reader_language, stop_word, wording
from batch_runner.util.xdg import state_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from signal import Signals

    from batch_runner.engine.run import BackgroundTask
    from batch_runner.engine.summary import RunSummary, StopReason
    from batch_runner.jobdir.open import OpenJob
    from batch_runner.journal import Imported, ItemImport
    from batch_runner.manifest import Manifest
    from batch_runner.settings import Service, Settings
    from batch_runner.util.locale import Language

#: Making of small pictures for the page at the end of a run: part of its time, and seconds at least
#: and at most. `report` makes the others; until then the page shows the pictures themselves.
THUMBNAIL_PART, THUMBNAIL_LEAST, THUMBNAIL_MOST = 0.05, 0.5, 15.0
#: Objects made before the collector of reference cycles looks for some, and how rarely it looks at
#: older ones. Python's own 700 is for small programs: among the many that a night holds it took a
#: tenth of the processor time and found next to nothing.
GC_THRESHOLDS = (20_000, 20, 20)
#: Items of a rehearsal that get a card each; more get one plain picture, which costs no drawing.
DRAWN_ITEMS = 1000
PLAIN_BYTES = 20_000


@examples(
    "batch-runner run jobs/year_of_the_horse.yaml --rehearse",
    "batch-runner run jobs/year_of_the_horse.yaml --output out/horse --quiet",
    "batch-runner run jobs/year_of_the_horse.yaml --until 06:30 --max-submissions 300",
)
@click.command("run", short_help="Carry every item of a manifest to its files.")
@manifest_argument
@output_option
@rehearsal_option
@settings_flags
@click.option("--quiet", is_flag=True, help="Say nothing unless the exit code is not 0.")
@click.option(
    "--yes",
    is_flag=True,
    help="Do not ask, whatever it costs (else a terminal is asked above limits.confirm_above).",
)
@click.option("--show-config", is_flag=True, help="Print every setting and where it comes from.")
@click.option(
    "--if-locked",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    help="When another run holds the job: exit 5 (default), or 0 without a word.",
)
@click.option(
    "--metrics",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep a Prometheus text file here, every minute and at the end.",
)
@json_option
def command(
    manifest: Path,
    output: Path | None,
    *,
    rehearse: bool,
    quiet: bool,
    yes: bool,
    show_config: bool,
    if_locked: str,
    metrics: Path | None,
    as_json: bool,
    **flags: Any,
) -> int:
    """Carry every item of MANIFEST to its files. A second run goes on where the first stopped."""
    loaded = load_manifest(manifest)
    settings, origins = effective_settings(loaded, flags)
    if show_config:
        for name, (value, origin) in sorted(origins.items()):
            if as_json:
                say_json({"setting": name, "value": value, "from": origin})
            else:
                say(f"{name} = {value}  ({origin})")
        return 0
    service = None if rehearse else read_service(loaded.provider, os.environ)
    folder = output_folder(loaded, output, rehearse=rehearse)
    try:
        night = RunOptions(
            loaded, settings, service, folder, metrics, quiet=quiet, yes=yes, as_json=as_json
        )
        summary = _run(night)
    except JobLocked:
        if if_locked == "skip":
            return 0
        raise
    if summary is None:
        return int(ExitCode.STOPPED)
    _finish(night, summary)
    return int(summary.exit_code)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What one call of `run` is about."""

    manifest: Manifest
    settings: Settings
    service: Service | None  # None: a rehearsal
    root: Path
    metrics: Path | None
    _: KW_ONLY
    quiet: bool
    yes: bool
    as_json: bool


def _run(night: RunOptions) -> RunSummary | None:
    """Return how the run ended, None when whoever was asked said no.

    The job is let go while somebody is asked, so that a run which cron starts then finds it free.
    """
    from batch_runner.cli.signals import noted_signals
    from batch_runner.journal import ItemImport

    listing = ItemImport(night.manifest.items)
    if not night.root.joinpath(".batch-job.json").exists():
        # Every mistake is found before a folder is made.
        listing.check(night.manifest.fingerprint())
        say_if_elsewhere(night)
    agreed: Approval | None = None
    while True:
        with _opened(night, listing) as (job, imported):
            asked = to_be_asked(job, night, imported, agreed)
            if asked is None:
                gc.freeze()  # what has been imported stays
                gc.set_threshold(*GC_THRESHOLDS)
                with noted_signals() as noted:
                    work = functools.partial(_work, job, night, noted)
                    return anyio.run(work, backend_options={"use_uvloop": _uvloop_there()})
        if not consented(asked):
            return None
        agreed = Approval.to(asked, imported)
        listing = ItemImport(night.manifest.items)  # what was checked may have changed meanwhile


@contextmanager
def _opened(night: RunOptions, listing: ItemImport) -> Iterator[tuple[OpenJob, Imported]]:
    """Hold the job, with its list brought in."""
    from batch_runner.integrations.log_files import run_log
    from batch_runner.jobdir.open import open_job

    manifest, service = night.manifest, night.service
    with open_job(night.root, identity_of(manifest, service), state=state_folder()) as job:
        key = service.key if service else SecretStr("")
        with run_log(job.folder, secret=key.get_secret_value(), quiet=night.quiet):
            price = night.settings.limits.price
            imported = job.journal.import_items(
                listing,
                manifest=str(manifest.path.absolute()),
                price=str(price) if price else None,
                fingerprint=manifest.fingerprint,
            )
            yield job, imported


def _uvloop_there() -> bool:
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return False
    return True


async def _work(job: OpenJob, night: RunOptions, noted: list[Signals]) -> RunSummary:
    from batch_runner.cli.signals import watch_signals
    from batch_runner.engine.deadline import seconds_left
    from batch_runner.engine.fd_limits import make_room
    from batch_runner.engine.run import run_job
    from batch_runner.integrations.prometheus import keep_metrics
    from batch_runner.monitor.progress import watch_progress

    display = functools.partial(watch_progress, quiet=night.quiet, as_json=night.as_json)
    background_tasks: list[BackgroundTask] = [
        functools.partial(watch_signals, noted=noted),
        display,
    ]
    if night.metrics is not None:
        background_tasks.append(functools.partial(keep_metrics, path=night.metrics))
    async with _service(job, night) as reachable:
        return await run_job(
            job,
            make_room(night.settings, both_ends=night.service is None),
            reachable,
            deadline=seconds_left(night.settings.limits),
            background_tasks=background_tasks,
        )


@asynccontextmanager
async def _service(job: OpenJob, night: RunOptions) -> AsyncIterator[Service]:
    """Yield the service, or a simulator of it for the length of a rehearsal."""
    if night.service is not None:
        yield night.service
        return
    from batch_runner.settings import Service as Settled
    from batch_runner.simulator import Simulator, SimulatorSettings

    many = sum(job.journal.counts_now().values()) > DRAWN_ITEMS
    acted = SimulatorSettings(
        service_time="uniform:1,3",
        image_bytes=PLAIN_BYTES if many else None,
        workers=max(16, night.settings.limits.in_flight),  # it is the job that is rehearsed
        state=job.folder.batch / "simulator.jsonl",
    )
    async with Simulator(acted) as simulator:
        yield Settled(
            provider=night.manifest.provider,
            base_url=simulator.base_url,
            key=SecretStr("sk-rehearsal"),
        )


def _finish(night: RunOptions, summary: RunSummary) -> None:
    """Write the page, say how it went, tell whoever is to be told; none of it fails a run."""
    from batch_runner.integrations.notify import tell
    from batch_runner.report import verdict_sentence, write_report

    page, language = night.root / "index.html", reader_language()
    try:
        part = max(THUMBNAIL_LEAST, THUMBNAIL_PART * summary.seconds)
        page = write_report(night.root, seconds=min(part, THUMBNAIL_MOST))
    except Exception as error:  # noqa: BLE001  the night is over, and its exit code is to be told
        say(f"the report could not be written: {error}", error=True)
    sentence = verdict_sentence(
        summary.counts,
        submissions=summary.spent,
        price=night.settings.limits.price,
        seconds=summary.seconds,
        stopped=_why_stopped(summary.stop, language) if summary.stop else None,
        language=language,
    )
    _say_how_it_went(night, summary, sentence, page)
    tell(
        night.manifest.on_finish,
        summary,
        sentence,
        report=page,
        beside=night.manifest.path.absolute().parent,
        rehearsal=night.service is None,
    )


def _why_stopped(stop: StopReason, language: Language) -> str:
    told = f"{stop_word(stop.reason, language)}（{stop.message}）"
    return wording(language, stop.message, told)


def _say_how_it_went(night: RunOptions, summary: RunSummary, sentence: str, page: Path) -> None:
    from batch_runner.manifest.job_args import target_of
    from batch_runner.monitor.progress import summary_lines

    if night.as_json:
        say_json(_summary_object(summary, night.root))
    elif not night.quiet or summary.exit_code:
        language = reader_language()
        where = wording(language, f"page: {page}", f"报告页：{page}")
        manifest = str(night.manifest.path.absolute())
        target = target_of(manifest, night.root, rehearsal=night.service is None)
        for line in (sentence, *summary_lines(summary, night.root, target, language), where):
            say(line, error=night.quiet)


def _summary_object(summary: RunSummary, folder: Path) -> dict[str, Any]:
    return {
        "event": "summary",
        "exit_code": int(summary.exit_code),
        "folder": str(folder),
        "items": {status.value: count for status, count in summary.counts.items()},
        "submissions": summary.paid,
        "create_requests": summary.submissions,
        "creates_of_job": summary.spent,
        "polls": summary.polls,
        "limited": summary.limited,
        "seconds": round(summary.seconds, 3),
        "stopped": summary.stop.reason if summary.stop else None,
        "message": summary.stop.message if summary.stop else None,
    }
