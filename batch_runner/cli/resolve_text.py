"""The texts of `resolve`: what needs a decision, and what was decided."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from batch_runner.cli.output import print_json, print_line
from batch_runner.journal import JournalReader, open_reader
from batch_runner.lifecycle import TASK_UNKNOWN, Event, ItemStatus
from batch_runner.util.locale import items_text, tr, tr_n
from batch_runner.util.text import date_time, printable, utc_offset

if TYPE_CHECKING:
    from batch_runner.jobdir.paths import JobFolder
    from batch_runner.journal import ItemRow


def decided_text(decision: str, count: int) -> str:
    """Return what was decided about how many items."""
    if decision == "attach" and not count:
        return tr("no item needs a decision; nothing was changed")
    if decision == "attach":
        return tr(
            "the task id is attached; the next run downloads the files, nothing is paid again"
        )
    if decision == "resubmit":
        return tr_n(
            "{count} item will be submitted again by the next run, and may be paid for twice",
            "{count} items will be submitted again by the next run, and may be paid for twice",
            count,
        )
    if decision == "hold":
        return tr("the item is held again; its files are in .batch/removed; now decide about it")
    return tr_n(
        "{count} item is dropped; it is submitted again only if `retry` names it",
        "{count} items are dropped; each is submitted again only if `retry` names it",
        count,
    )


def show_held(folder: JobFolder, *, as_json: bool) -> int:
    """Print the items that need a decision; return the exit status."""
    with open_reader(folder.journal) as reader:
        held = list(reader.items(ItemStatus.HELD))
        # Opening the job makes every `download_pending` item `submitted` again.
        paid = reader.items(ItemStatus.DOWNLOAD_PENDING, ItemStatus.SUBMITTED)
        unknown = [item for item in paid if item.reason == TASK_UNKNOWN]
        candidates = held + unknown
        windows = {item.key: _window(reader, item) for item in candidates}
    names = Counter(item.id for item in candidates)
    for item in candidates:
        if as_json:
            print_json(_json_object(item, *windows[item.key]))
        else:
            name = item.id if names[item.id] == 1 else f"{item.id} ({item.key})"
            _print_item(item, name, *windows[item.key])
    if not as_json:
        line = tr("{count} held", count=items_text(len(held)))
        if unknown:
            line += tr(", {count} whose task the service no longer knows", count=len(unknown))
        if candidates:
            line += tr(
                "; decide about each: attach TASK_ID if the service's console shows its task, "
                "resubmit if not, drop if you do not need it (see --help)"
            )
        print_line(line)
    return 1 if candidates else 0


def _json_object(item: ItemRow, first: float | None, last: float | None) -> dict[str, Any]:
    return {
        "id": item.id,
        "key": item.key,
        "status": item.status.value,
        "task_id": item.task_id,
        "attempt": item.attempt,
        "from": first,
        "to": last,
        "prompt": item.prompt,
        "message": item.message,
    }


def _print_item(item: ItemRow, name: str, first: float | None, last: float | None) -> None:
    sent, seen, prompt = date_time(first), date_time(last), printable(item.prompt, 120)
    print_line(
        tr(
            "{name}  attempt {attempt}, sent {sent} to {seen} ({zone})\n    prompt: {prompt}",
            name=name,
            attempt=item.attempt,
            sent=sent,
            seen=seen,
            zone=utc_offset(last or first),
            prompt=prompt,
        )
    )
    print_line(f"    {printable(item.message or '', 400)}")


def _window(reader: JournalReader, item: ItemRow) -> tuple[float | None, float | None]:
    """Return when the submission can have reached the service: its start, and the last event."""
    ends = (Event.SUBMIT_UNANSWERED.value, Event.SUBMIT_INTERRUPTED.value)
    since = item.started_at or 0.0
    events = (event for event in reader.events(item.key) if event.at >= since)
    seen = [event.at for event in events if event.event in ends]
    return item.started_at, seen[-1] if seen else item.submitted_at
