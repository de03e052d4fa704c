"""`status`: where every item stands; safe beside a run."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from batch_runner.cli.options import (
    examples,
    job_folder,
    json_option,
    manifest_argument,
    output_option,
    rehearsal_option,
    say,
    say_json,
)
from batch_runner.journal import JournalReader
from batch_runner.lifecycle import Event, ItemStatus
from batch_runner.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.folder import JobFolder
    from batch_runner.journal import ItemRow

#: Seconds between two looks, and how many events are looked at for the pace.
WATCH_SECONDS, RECENT = 2.0, 200
#: What a person may want to see by itself.
_TROUBLE = (ItemStatus.HELD, ItemStatus.FAILED, ItemStatus.REFUSED, ItemStatus.UNFETCHED)


@examples(
    "batch-runner status jobs/year_of_the_horse.yaml",
    "batch-runner status jobs/year_of_the_horse.yaml --json | jq 'select(.status == \"held\")'",
)
@click.command("status", short_help="Show where every item stands.")
@manifest_argument
@output_option
@rehearsal_option
@click.option("--watch", is_flag=True, help="Show it again every 2 s, until Ctrl-C.")
@json_option
def verb(manifest: Path, output: Path | None, *, rehearse: bool, watch: bool, as_json: bool) -> int:
    """Show where every item of MANIFEST stands. Reads only, so it may run beside a run."""
    folder = job_folder(manifest, output, rehearse=rehearse)
    if watch:
        return _watch(folder)
    with JournalReader(folder.journal) as reader:
        if as_json:
            for item in reader.items():
                say_json(_object(item))
        else:
            _tell(reader)
        counts = reader.counts()
    return 0 if counts[ItemStatus.DONE] == sum(counts.values()) else 1


def _watch(folder: JobFolder) -> int:
    """Show the counts, the pace and the latest troubles until a key stroke of Ctrl-C."""
    try:
        while True:
            with JournalReader(folder.journal) as reader:
                if sys.stdout.isatty():
                    click.clear()
                _tell(reader)
                _tell_latest(reader)
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        return 0


def _tell_latest(reader: JournalReader) -> None:
    latest = reader.latest_events(RECENT)
    creates = [event.at for event in latest if event.event == Event.SUBMIT_STARTED.value]
    if len(creates) > 1 and creates[0] > creates[-1]:
        say(f"pace: {(len(creates) - 1) / (creates[0] - creates[-1]):.2g} creates a second lately")
    runs = reader.runs()
    if runs and runs[-1].ended_at is None:
        say(f"run {runs[-1].run} is at work, process {runs[-1].pid}, {runs[-1].limited} x 429")


def _object(item: ItemRow) -> dict[str, Any]:
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
    }


def _tell(reader: JournalReader) -> None:
    counts = reader.counts()
    say(f"{reader.job().name}: {sum(counts.values())} items, {reader.spent()} creates so far")
    for status, count in counts.items():
        if count:
            say(f"  {count:6} {status.value}")
    for item in reader.items(*_TROUBLE):
        why = printable(item.message or item.reason or "", 160)
        say(f"{item.status.value:9} {printable(item.id, 60)}  {why}")
