"""`status`: the status of every item; safe while a run is working."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from batch_runner.cli.options import (
    JOURNAL_ERROR,
    USAGE_ERROR,
    folder_of,
    help_epilog,
    json_option,
    load_manifest,
    manifest_argument,
    output_option,
    rehearsal_option,
)
from batch_runner.cli.output import print_json, print_line, say_either
from batch_runner.journal import JournalReader, open_reader
from batch_runner.lifecycle import ItemStatus
from batch_runner.util.locale import reader_language, status_word, wording
from batch_runner.util.text import counted, date_time, fitted, printable, time_of_day

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.text import Text

    from batch_runner.journal import EventRow, ItemRow
    from batch_runner.manifest import Manifest
    from batch_runner.monitor.snapshot import JobSnapshot
    from batch_runner.units import Rate
    from batch_runner.util.locale import Language

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
        "1": "Some items are not done, or the manifest lists new ones.",
        **USAGE_ERROR,
        **JOURNAL_ERROR,
    },
)
@click.command("status")
@manifest_argument
@output_option
@rehearsal_option
@click.option("--watch", is_flag=True, help="Show the running job until its run ends.")
@json_option
def command(
    manifest: Path, output: Path | None, *, rehearse: bool, watch: bool, as_json: bool
) -> int:
    """Show the status of every item of MANIFEST. Reads only: safe while a run is working.

    The items are those of the last run. If the manifest has changed since, that is said.

    With --watch: tasks in flight, rate, time left, 429 responses, errors and held items, until the
    run ends.
    """
    loaded = load_manifest(manifest)
    folder = folder_of(loaded, output, rehearse=rehearse)
    if watch:
        return _watch(folder.journal, loaded.settings.limits.rate, as_json=as_json)
    with open_reader(folder.journal) as reader:
        if as_json:
            for item in reader.items():
                print_json(_json_object(item))
        else:
            _print_items(reader)
        counts = reader.counts()
        done = _done_as_listed_now(reader, loaded)
    return 0 if done and counts[ItemStatus.DONE] == sum(counts.values()) else 1


def _done_as_listed_now(reader: JournalReader, manifest: Manifest) -> bool:
    """Return whether all items that the manifest lists now are done; print if it has changed."""
    now = reader.compared(manifest.items(), manifest.fingerprint())
    if now is None:
        return True
    if now.other:
        new = now.new
        say_either(
            f"the manifest has changed since the last run{f': {new} new' if new else ''}; "
            "see `plan`",
            f"清单在上次运行之后有变动{f'：新增 {new} 项' if new else ''}；请用 `plan` 查看",
            error=True,
        )
    return now.done


def _watch(journal: Path, limit: Rate, *, as_json: bool) -> int:
    """Show the running job until its run ends."""
    from batch_runner.monitor.dashboard import is_terminal

    if as_json:
        look = _watch_as_json(journal)
    elif is_terminal(sys.stdout):
        look = _watch_live(journal, limit)
    else:
        look = _watch_plainly(journal)
    if not as_json:
        _print_end(look)
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
            look = take_snapshot(journal)
            yield look
            if not look.at_work:
                return
            end = time.monotonic() + WATCH_SECONDS
            while not asked and time.monotonic() < end:
                time.sleep(0.1)
            if asked:
                raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)


def _watch_live(journal: Path, limit: Rate) -> JobSnapshot:
    """Redraw the dashboard in place; leave the last one on the screen, also after Ctrl-C."""
    from batch_runner.monitor.dashboard import live_picture, picture

    language, looks = reader_language(), _snapshots(journal)
    look = next(looks)

    def draw(columns: int, rows: int) -> Text:
        state = "slowed" if look.limited_lately and look.at_work else "fair"
        return picture(look, limit, language=language, columns=columns, rows=rows, state=state)

    try:
        with live_picture(sys.stdout, screen=True) as show:
            while look.at_work:
                show(draw)
                look = next(looks)
    finally:
        print_line(draw(columns=shutil.get_terminal_size().columns, rows=100).plain)
    return look


def _watch_plainly(journal: Path) -> JobSnapshot:
    """Print a line a minute, at every change of state, and for every new problem."""
    from batch_runner.monitor.progress import LineThrottle, facts_seen, line_of

    language, due, told = reader_language(), LineThrottle(), set[str]()
    for look in _snapshots(journal):
        if not look.at_work:
            break
        facts = facts_seen(look)
        if due.is_due(time.monotonic(), facts.state):
            print_line(line_of(facts, language))
        for line in _problem_lines(look, language):
            if line not in told:
                told.add(line)
                print_line(line)
    print_line(line_of(facts_seen(look), language))
    return look


def _problem_lines(look: JobSnapshot, language: Language) -> list[str]:
    """Return a line for each held item and each of the last errors."""
    word = status_word(ItemStatus.HELD, language)
    found = [(item.started_at, f"{word} {item.id}", item.message) for item in look.held]
    found += [(event.at, name, event.message or event.reason) for name, event in look.errors[::-1]]
    return [
        f"{time_of_day(at)} {printable(name, 60)}: {printable(why or '')}"
        for at, name, why in found
    ]


def _watch_as_json(journal: Path) -> JobSnapshot:
    """Print each snapshot as a JSON object on a line."""
    from batch_runner.monitor.progress import facts_seen

    for look in _snapshots(journal):
        print_json(
            {
                "event": "progress",
                **asdict(facts_seen(look)),
                "at_work": look.at_work,
                "limited_lately": look.limited_lately,
                "oldest": [_json_object(item) for item in look.oldest],
                "held_items": [_json_object(item) for item in look.held],
                "errors": [_error(name, event) for name, event in look.errors],
            }
        )
    return look


def _print_end(look: JobSnapshot) -> None:
    run = look.run
    if run is None:
        say_either("no run has been made yet", "还没有运行过")
    elif run.ended_at is None:
        say_either(
            f"run {run.run} was killed: its process {run.pid} is gone; the next run goes on",
            f"第 {run.run} 次运行已被终止：进程 {run.pid} 不在了；下次运行会继续",
        )
    else:
        ended = date_time(run.ended_at)
        why = f": {printable(run.message)}" if run.message else ""
        say_either(
            f"run {run.run} ended at {ended} with exit code {run.exit_code}{why}",
            f"第 {run.run} 次运行于 {ended} 结束，退出码 {run.exit_code}{why}",
        )


def _error(name: str, event: EventRow) -> dict[str, Any]:
    told = {field: getattr(event, field) for field in ("at", "event", "reason", "message")}
    return {"id": name, "key": event.key, **told}


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
    }


def _print_items(reader: JournalReader) -> None:
    language = reader_language()
    counts, name, spent = reader.counts(), reader.job().name, reader.spent()
    total = sum(counts.values())
    print_line(
        wording(
            language,
            f"{name}: {counted(total, 'item')}, {counted(spent, 'create')} so far",
            f"{name}：{total} 项，已创建 {spent} 次",
        )
    )
    for status, count in counts.items():
        if count:
            print_line(f"  {count:6} {status_word(status, language)}")
    for item in reader.items(*_LISTED):
        why = printable(item.message or item.reason or "", 160)
        if item.message and item.reason:
            why += f"  [{printable(item.reason, 60)}]"
        print_line(
            f"{fitted(status_word(item.status, language), 9)} {printable(item.id, 60)}  {why}"
        )
