"""The journal as plain data for the page.

Strings that others chose (prompts, variables, params) travel as values, never as object keys: in
a script the key `__proto__` would be a command.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from batch_runner.lifecycle import ItemStatus
from batch_runner.report.history import by_minute, events_by_item, last_look, status_at
from batch_runner.report.triage import group_troubles, next_commands
from batch_runner.report.verdict import verdict_sentence
from batch_runner.settings import Price, parse_price
from batch_runner.target import target_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from batch_runner.journal import EventRow, ItemRow, JobRow, JournalReader, RunRow
    from batch_runner.report.thumbnails import Thumbnail
    from batch_runner.report.triage import Group

#: The journal's `origin` of a job that is played against the simulator.
REHEARSAL = "rehearsal"
#: In the order in which the page counts them.
SHOWN_ORDER = (
    ItemStatus.DONE,
    ItemStatus.HELD,
    ItemStatus.UNFETCHED,
    ItemStatus.FAILED,
    ItemStatus.REFUSED,
    ItemStatus.FETCHING,
    ItemStatus.SUBMITTED,
    ItemStatus.SUBMITTING,
    ItemStatus.PENDING,
)
#: A variable with more values than this is searched for, not laid out as an axis of the sheet.
MOST_AXIS_VALUES = 200


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """Everything the page shows, read from the journal once."""

    job: JobRow
    runs: list[RunRow]
    items: list[ItemRow]
    events: dict[str, list[EventRow]]
    spent: int
    now: float


def read_snapshot(reader: JournalReader, *, now: float) -> Snapshot:
    """Return the journal's content; `now` is wall clock."""
    # A line that was taken out of the manifest before it cost anything is not worth a place.
    items = [item for item in reader.items() if item.listed or item.attempt or item.files]
    return Snapshot(
        job=reader.job(),
        runs=reader.runs(),
        items=items,
        events=events_by_item(reader),
        spent=reader.spent(),
        now=now,
    )


def head_data(snapshot: Snapshot, folder: Path) -> dict[str, Any]:
    """Return what stands above the contact sheet, and what the sheet needs to be laid out.

    `folder` is the job's, and is named in the commands where the manifest does not name it.
    """
    job = snapshot.job
    target = target_of(job.manifest, folder, rehearsal=job.origin == REHEARSAL)
    counts = Counter(item.status for item in snapshot.items)
    return {
        "job": {"id": job.id, "name": job.name, "provider": job.provider, "manifest": job.manifest},
        "written": snapshot.now,
        "verdict": {tag: verdict_of(snapshot, tag) for tag in ("en", "zh")},
        "counts": {status.value: counts[status] for status in SHOWN_ORDER if counts[status]},
        "total": len(snapshot.items),
        "commands": next_commands(counts, target),
        "troubles": [_group_data(one) for one in group_troubles(snapshot.items, target)],
        "variables": _variables(snapshot.items),
        "runs": [_run_data(run) for run in snapshot.runs],
        "price": _price_data(price_of(job)),
        "changes": _changes(snapshot),
    }


def verdict_of(snapshot: Snapshot, language: str) -> str:
    """Return the sentence on how the job stands."""
    spans = ((run.ended_at or snapshot.now) - run.started_at for run in snapshot.runs)
    return verdict_sentence(
        Counter(item.status for item in snapshot.items),
        creates=snapshot.spent,
        price=price_of(snapshot.job),
        seconds=sum(max(0.0, span) for span in spans),
        stopped=snapshot.runs[-1].verdict if snapshot.runs else None,
        language=language,
    )


def price_of(job: JobRow) -> Price | None:
    """Return the price of one create; None when the manifest names none that can be read."""
    try:
        return parse_price(job.price)
    except ValueError:
        return None


def item_data(
    item: ItemRow, names: list[str], thumbnails: Mapping[str, Thumbnail], was: ItemStatus | None
) -> dict[str, Any]:
    """Return what the contact sheet and the search need of one item."""
    return {
        "key": item.key,
        "id": item.id,
        "name": item.name,
        "status": item.status.value,
        "was": was.value if was else None,
        "listed": item.listed,
        "prompt": item.prompt,
        "values": [item.variables.get(name) for name in names],
        "reason": item.reason,
        "message": item.message,
        "attempt": item.attempt,
        "task": item.task_id,
        "source": item.source,
        "workflow": item.workflow,
        "times": [item.started_at, item.submitted_at, item.completed_at, item.done_at],
        "files": [_file_data(file.name, thumbnails.get(file.sha256)) for file in item.files],
    }


def detail_data(item: ItemRow, events: Iterable[EventRow]) -> dict[str, Any]:
    """Return what only the viewer and the export need of one item."""
    return {
        "params": spread(item.params),
        "inputs": [[str(file.path), file.sha256] for file in item.inputs],
        "events": [
            [event.at, event.event, event.attempt, event.task_id, event.reason, event.message]
            for event in events
        ],
    }


_spell = json.JSONEncoder(ensure_ascii=False).encode


def spread(value: Any, margin: str = "\n") -> str:
    """Return JSON as `json.dumps` writes it with an indent of two, at a fifth of the time."""
    if isinstance(value, dict) and value:
        inner = margin + "  "
        rows = (f"{_spell(name)}: {spread(one, inner)}" for name, one in value.items())
        return f"{{{inner}{f',{inner}'.join(rows)}{margin}}}"
    if isinstance(value, list) and value:
        inner = margin + "  "
        return f"[{inner}{f',{inner}'.join(spread(one, inner) for one in value)}{margin}]"
    return _spell(value)


def statuses_before(snapshot: Snapshot) -> dict[str, ItemStatus | None]:
    """Return where each item stood before the last run; empty when there is nothing to compare."""
    moment = last_look(snapshot.runs)
    if moment is None:
        return {}
    courses = snapshot.events
    return {one.key: status_at(courses.get(one.key, ()), moment) for one in snapshot.items}


def _changes(snapshot: Snapshot) -> list[list[Any]] | None:
    before = statuses_before(snapshot)
    if not before:
        return None
    moves = Counter(
        (before[item.key], item.status)
        for item in snapshot.items
        if before[item.key] is not item.status
    )
    return [[was.value if was else None, now.value, n] for (was, now), n in moves.most_common()]


def _variables(items: list[ItemRow]) -> list[dict[str, Any]]:
    values: dict[str, dict[str, None]] = {}  # in the order of the manifest
    for item in items:
        for name, value in item.variables.items():
            values.setdefault(name, {}).setdefault(value)
    return [
        {"name": name, "values": list(found) if len(found) <= MOST_AXIS_VALUES else None}
        for name, found in values.items()
    ]


def variable_names(items: list[ItemRow]) -> list[str]:
    """Return the variables of all items, in the order in which they first appear."""
    return list(dict.fromkeys(name for item in items for name in item.variables))


def _group_data(group: Group) -> dict[str, Any]:
    members = [
        [item.key, item.id, item.source, item.message, item.started_at] for item in group.members
    ]
    return {
        "status": group.status.value,
        "reason": group.reason,
        "fixer": group.fixer.value,
        "command": group.command,
        "count": group.count,
        "members": members,
    }


def _file_data(name: str, thumbnail: Thumbnail | None) -> list[str | None]:
    if thumbnail is None:
        return [name, None, None]
    return [name, thumbnail.name, thumbnail.state.value]


def _run_data(run: RunRow) -> dict[str, Any]:
    data = asdict(run) | {"weather": by_minute(run)}
    del data["pid"], data["host"]  # nobody's business where the page may be sent
    return data


def _price_data(price: Price | None) -> list[float | str] | None:
    return [price.amount, price.currency] if price else None
