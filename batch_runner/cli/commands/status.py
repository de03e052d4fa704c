"""`status`: the status of every item; safe while a run is working."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from batch_runner.api.folders import shown_place
from batch_runner.cli.given_job import GivenJob, compare, find_job, was_run
from batch_runner.cli.options import (
    USAGE_ERROR,
    help_epilog,
    job_argument,
    job_output_option,
    json_option,
    rehearsal_option,
)
from batch_runner.cli.output import print_json, print_line
from batch_runner.engine.summary import ExitCode, exit_code
from batch_runner.jobdir.reuse import taken_back
from batch_runner.journal import JournalReader, open_reader
from batch_runner.lifecycle import ItemStatus
from batch_runner.util.locale import items_text, status_word, submissions_text, tr
from batch_runner.util.text import date_time, fitted, printable, time_of_day
from batch_runner.util.xdg import state_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rich.text import Text

    from batch_runner.journal import EventRow, ItemRow, ManifestDiff
    from batch_runner.monitor.snapshot import JobSnapshot
    from batch_runner.units import Rate

#: Seconds between two snapshots.
WATCH_SECONDS = 1.0
#: Statuses whose items are listed one by one.
_LISTED = (
    ItemStatus.HELD,
    ItemStatus.FAILED,
    ItemStatus.REJECTED,
    ItemStatus.DOWNLOAD_PENDING,
    ItemStatus.DROPPED,
)


@help_epilog(
    "batch-runner status jobs/year_of_the_horse.yaml",
    "batch-runner status jobs/year_of_the_horse.yaml --watch",
    "batch-runner status jobs/year_of_the_horse.yaml --json | jq 'select(.status == \"held\")'",
    exit_status={
        "0": "Every item is done. With --watch: the run has ended.",
        "1": "A run would do nothing more: some items failed, were rejected or are held.",
        **USAGE_ERROR,
        "3": "Some items are pending, in flight or new: the next run continues. Also: the journal "
        "could not be read.",
    },
)
@click.command("status")
@job_argument
@job_output_option
@rehearsal_option
@click.option("--watch", is_flag=True, help="Show the running job until its run ends.")
@json_option
def command(
    manifest: Path | None, output: Path | None, *, rehearse: bool, watch: bool, as_json: bool
) -> int:
    """Show the status of every item of MANIFEST. Reads only: safe while a run is working.

    The items are those of the last run. If the manifest has changed since, a line reports it.

    With --watch: tasks in flight, rate, time left, 429 responses, errors and held items, until the
    run ends.
    """
    job = find_job(manifest, output, rehearse=rehearse, never_run=not watch)
    if not was_run(job.folder):
        return _show_new(job, as_json=as_json)
    journal = job.folder.journal
    if watch:
        limit = None if job.manifest is None else job.manifest.settings.limits.rate
        return _watch(journal, limit, as_json=as_json)
    with open_reader(journal) as reader:
        if as_json:
            for item in reader.items():
                print_json(_json_object(item))
        else:
            _print_items(reader)
        counts = reader.counts()
        job, now = compare(reader, job)
    _print_change(now)
    return _exit_status(counts, now, unusable=job.unusable)


def _show_new(job: GivenJob, *, as_json: bool) -> int:
    """Print that the job has never been run; return the exit status."""
    if job.manifest is not None:
        line = tr(
            "{job}: {items}, not run yet; files go to {folder}",
            job=job.manifest.job,
            items=items_text(sum(1 for _ in job.manifest.items())),
            folder=shown_place(job.manifest, job.folder.root),
        )
        print_line(line, error=as_json)
    return int(ExitCode.STOPPED)


def _print_change(now: ManifestDiff | None) -> None:
    """Print whether the manifest has changed."""
    if now is None or not now.other:
        return
    line = tr("the manifest has changed since the last run; see `plan`")
    if now.new:
        line = tr(
            "the manifest has changed since the last run: {count} new; see `plan`",
            count=now.new,
        )
    print_line(line, error=True)


def _exit_status(
    counts: Mapping[ItemStatus, int], now: ManifestDiff | None, *, unusable: bool
) -> int:
    """Return the exit status, as that of a run which finds the items so."""
    if now is not None and now.new:
        return int(ExitCode.STOPPED)
    incomplete = unusable or (now is not None and not now.done)
    return int(exit_code(counts, None)) or (int(ExitCode.INCOMPLETE) if incomplete else 0)


def _watch(journal: Path, limit: Rate | None, *, as_json: bool) -> int:
    """Show the running job until its run ends."""
    from batch_runner.monitor.dashboard import is_terminal

    if as_json:
        snapshot = _watch_as_json(journal)
    elif is_terminal(sys.stdout):
        snapshot = _watch_live(journal, limit)
    else:
        snapshot = _watch_plainly(journal)
    if not as_json:
        _print_end(snapshot)
    return 0


def _snapshots(journal: Path) -> Iterator[JobSnapshot]:
    """Yield a snapshot every second, the last one when the run has ended.

    Ctrl-C takes effect between two snapshots: as an exception inside one it can get lost. A second
    Ctrl-C takes effect at once.
    """
    from batch_runner.monitor.snapshot import take_snapshot

    asked = False

    def note(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = signal.signal(signal.SIGINT, note)
    try:
        while True:
            snapshot = take_snapshot(journal)
            yield snapshot
            if not snapshot.running:
                return
            end = time.monotonic() + WATCH_SECONDS
            while not asked and time.monotonic() < end:
                time.sleep(0.1)
            if asked:
                raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)


def _watch_live(journal: Path, limit: Rate | None) -> JobSnapshot:
    """Redraw the dashboard in place; leave the last one on the screen, also after Ctrl-C."""
    from batch_runner.monitor.dashboard import live_display, render_dashboard

    snapshots = _snapshots(journal)
    snapshot = next(snapshots)

    def draw(columns: int, rows: int) -> Text:
        return render_dashboard(snapshot, limit, columns=columns, rows=rows, state=snapshot.state)

    try:
        with live_display(sys.stdout, screen=True) as show:
            while snapshot.running:
                show(draw)
                snapshot = next(snapshots)
    finally:
        print_line(draw(columns=shutil.get_terminal_size().columns, rows=100).plain)
    return snapshot


def _watch_plainly(journal: Path) -> JobSnapshot:
    """Print a line a minute, at every change of state, and for every new problem."""
    from batch_runner.monitor.progress import LineThrottle, RunProgress, progress_line

    throttle, printed = LineThrottle(), set[str]()
    for snapshot in _snapshots(journal):
        if not snapshot.running:
            break
        progress = RunProgress.from_snapshot(snapshot)
        if throttle.is_due(time.monotonic(), progress.state):
            print_line(progress_line(progress))
        for line in _problem_lines(snapshot):
            if line not in printed:
                printed.add(line)
                print_line(line)
    print_line(progress_line(RunProgress.from_snapshot(snapshot)))
    return snapshot


def _problem_lines(snapshot: JobSnapshot) -> list[str]:
    """Return a line for each held item and each of the last errors."""
    word, errors = status_word(ItemStatus.HELD), snapshot.errors[::-1]
    found = [(item.started_at, f"{word} {item.id}", item.message) for item in snapshot.held]
    found += [(event.at, name, event.message or event.reason) for name, event in errors]
    return [
        f"{time_of_day(at)} {printable(name, 60)}: {printable(why or '')}"
        for at, name, why in found
    ]


def _watch_as_json(journal: Path) -> JobSnapshot:
    """Print each snapshot as a JSON object on a line."""
    from batch_runner.monitor.progress import RunProgress

    for snapshot in _snapshots(journal):
        print_json(
            {
                "event": "progress",
                **asdict(RunProgress.from_snapshot(snapshot)),
                "running": snapshot.running,
                "limited_recently": snapshot.limited_recently,
                "oldest": [_json_object(item) for item in snapshot.oldest],
                "held_items": [_json_object(item) for item in snapshot.held],
                "errors": [_error(name, event) for name, event in snapshot.errors],
            }
        )
    return snapshot


def _print_end(snapshot: JobSnapshot) -> None:
    run = snapshot.run
    if run is None:
        print_line(tr("the job has not been run yet"))
    elif run.ended_at is None:
        print_line(
            tr(
                "run {run} was killed (process {pid} no longer exists); the next run continues",
                run=run.run,
                pid=run.pid,
            )
        )
    else:
        line = tr(
            "run {run} ended at {time} with exit status {code}",
            run=run.run,
            time=date_time(run.ended_at),
            code=run.exit_code,
        )
        print_line(f"{line}: {printable(run.message)}" if run.message else line)


def _error(name: str, event: EventRow) -> dict[str, Any]:
    fields = {field: getattr(event, field) for field in ("at", "event", "reason", "message")}
    return {"id": name, "key": event.key, **fields}


def _json_object(item: ItemRow) -> dict[str, Any]:
    return {
        "id": item.id,
        "key": item.key,
        "status": item.status.value,
        "listed": item.listed,
        "attempt": item.attempt,
        "task_id": item.task_id,
        "files": [file.name for file in item.files],
        "reason": item.reason,
        "message": item.message,
        "prompt": item.prompt,
        "source": item.source,
        "started_at": item.started_at,
        "submitted_at": item.submitted_at,
        "completed_at": item.completed_at,
        "done_at": item.done_at,
        "reused_from": item.reused_from.folder if item.reused_from else None,
    }


def _print_taken_back(reader: JournalReader) -> None:
    """Print which results were taken from a job that found them to be wrong."""
    for item in taken_back(reader, state_folder()):
        text = tr(
            "{name}: reused from {folder}, where it was taken back to held since",
            name=printable(item.id, 60),
            folder=printable(item.reused_from.folder if item.reused_from else ""),
        )
        print_line(tr("warning: {text}", text=text))


def _print_items(reader: JournalReader) -> None:
    counts = reader.counts()
    print_line(
        tr(
            "{job}: {items}, {submissions} so far",
            job=reader.job().name,
            items=items_text(sum(counts.values())),
            submissions=submissions_text(reader.spent()),
        )
    )
    for status, count in counts.items():
        if count:
            print_line(f"  {count:6} {status_word(status)}")
    for folder, count in reader.reuse_counts():
        print_line(f"  {count:6} " + tr("of these reused from {folder}", folder=printable(folder)))
    for message, count in reader.waiting_counts():
        print_line(f"  {count:6} " + tr("of these wait: {message}", message=printable(message)))
    _print_taken_back(reader)
    for item in reader.items(*_LISTED):
        why = printable(item.message or item.reason or "", 160)
        if item.message and item.reason:
            why += f"  [{printable(item.reason, 60)}]"
        print_line(f"{fitted(status_word(item.status), 9)} {printable(item.id, 60)}  {why}")
