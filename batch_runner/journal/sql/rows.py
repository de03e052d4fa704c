"""Rows of the database as records."""

from __future__ import annotations

import json

from batch_runner.journal.records import EventRow, ItemRow, RunRow
from batch_runner.journal.sql.connection import Connection, Row
from batch_runner.lifecycle import ItemStatus
from batch_runner.models import InputFile, ReusedFrom, placed_files
from batch_runner.util.paths import Utf8Path

ITEM_COLUMNS = (
    "rowid AS row, key, position, import_number, id, name, status, attempt, attempts, task_id, "
    "prompt, workflow, params, variables, inputs, source, not_before, reason, message, files, "
    "started_at, submitted_at, completed_at, done_at, reused_from, request_id"
)


def item_of(row: Row, current: int) -> ItemRow:
    """Return a row as an item; `current` is the import number of the listed items."""
    return ItemRow(
        row=row["row"],
        key=row["key"],
        position=row["position"],
        listed=row["import_number"] == current,
        id=row["id"],
        name=row["name"],
        status=ItemStatus(row["status"]),
        attempt=row["attempt"],
        attempts=row["attempts"],
        task_id=row["task_id"],
        prompt=row["prompt"],
        workflow=row["workflow"],
        params=json.loads(row["params"]),
        variables=json.loads(row["variables"]),
        inputs=inputs_of(row["inputs"]),
        source=row["source"],
        not_before=row["not_before"],
        reason=row["reason"],
        message=row["message"],
        files=placed_files(row["files"]),
        started_at=row["started_at"],
        submitted_at=row["submitted_at"],
        completed_at=row["completed_at"],
        done_at=row["done_at"],
        reused_from=ReusedFrom(**json.loads(row["reused_from"])) if row["reused_from"] else None,
        request_id=row["request_id"],
    )


def inputs_of(text: str) -> tuple[InputFile, ...]:
    if text == "[]":
        return ()
    return tuple(
        InputFile(path=Utf8Path(one["path"]), sha256=one["sha256"]) for one in json.loads(text)
    )


def event_of(row: Row) -> EventRow:
    return EventRow(**{name: row[name] for name in EventRow.__dataclass_fields__})


def run_of(row: Row) -> RunRow:
    values = {name: row[name] for name in RunRow.__dataclass_fields__}
    values["samples"] = json.loads(values["samples"])
    return RunRow(**values)


_COUNTS = """
SELECT status, count(*) FROM items
WHERE import_number = (SELECT import_number FROM job)
   OR status IN ('submitting', 'submitted', 'downloading', 'held', 'download_pending')
GROUP BY status
"""


def count_by_status(connection: Connection) -> dict[ItemStatus, int]:
    """Return the number of items by status; unlisted ones count while they may cost money."""
    counts = dict.fromkeys(ItemStatus, 0)
    counts.update((ItemStatus(row[0]), row[1]) for row in connection.execute(_COUNTS))
    return counts
