"""Hundreds of thousands of items: planned from a manifest, and shown from a journal.

    python -m tests.bench.huge                   200,000 items
    python -m tests.bench.huge --items 1000000

The journal is filled by SQL as by a run in which all items but one in a thousand are done; there
are no files. Each command is a process of its own, measured once.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import time
from pathlib import Path

from batch_runner.jobdir.identity import JobIdentity
from batch_runner.jobdir.open import open_job
from batch_runner.journal import ItemImport
from batch_runner.manifest import load
from tests.bench import _rows

ITEMS = 200_000
PLAN_GOAL, PLAN_DONE_GOAL, STATUS_GOAL = 60.0, 30.0, 10.0  # CPU microseconds for an item
REPORT_GOAL = 20.0  # CPU seconds: the report shows no more than 100,000 items
PEAK_GOAL = 300  # MB
MEANS = (
    "How long a user waits for an answer about a huge job, and how much memory that takes: neither "
    "may grow beyond a small machine."
)
EVENTS = ("submit_started", "submit_confirmed", "task_completed", "placed")


def manifest(folder: Path, items: int) -> Path:
    """Write a manifest with that many rows of JSONL."""
    with (folder / "rows.jsonl").open("w") as file:
        file.writelines(
            f'{{"name": "Person {number}", "city": "City {number % 100}"}}\n'
            for number in range(items)
        )
    path = folder / "cards.yaml"
    path.write_text(
        "workflow: cards\nitems_from: rows.jsonl\nlimits: {price: 0.10 CNY}\n"
        'params: {"6": {text: "A card for {{ name }} of {{ city }}, 2026", steps: 20}}\n'
    )
    return path


def fill(path: Path) -> None:
    """Make the job of a manifest, as a run would leave it."""
    loaded = load(path)
    identity = JobIdentity(job=loaded.job, provider=loaded.provider, origin="http://127.0.0.1")
    with open_job(loaded.output_folder, identity) as job:
        listing = ItemImport(loaded.items)
        job.journal.import_items(
            listing,
            manifest=str(path),
            fingerprint=loaded.fingerprint,
            duplicates=loaded.duplicates,
        )
    connection = sqlite3.connect(job.folder.journal, isolation_level=None)
    items = connection.execute("SELECT count(*) FROM items").fetchone()[0]
    at = time.time() - items
    connection.execute("BEGIN")
    for event in EVENTS:
        connection.execute(
            "INSERT INTO events (at, key, event, attempt, task_id) "
            "SELECT ? + position, key, ?, 1, key FROM items ORDER BY position",
            (at, event),
        )
    connection.execute(
        "UPDATE items SET status = 'done', attempt = 1, task_id = key, started_at = :at + position,"
        " submitted_at = :at + position, completed_at = :at + position, done_at = :at + position, "
        "files = json_array(json_object('name', name || '.png', 'size', 1000, "
        "'sha256', key || key, 'media_type', 'image/png'))",
        {"at": at},
    )
    connection.execute(
        "UPDATE items SET status = 'failed', files = '[]', reason = 'moderation', "
        "message = 'The prompt was rejected.' WHERE position % 1000 = 0"
    )
    figures = (at, at + items, items, 5 * items)
    connection.execute(
        "INSERT INTO runs (started_at, ended_at, pid, host, exit_code, message, submissions, polls)"
        " VALUES (?, ?, 1, 'bench', 1, '', ?, ?)",
        figures,
    )
    connection.execute("COMMIT")
    connection.close()


def show(name: str, seconds: float, *arguments: str) -> None:
    """Print what a command takes; `seconds` of CPU time are its goal."""
    state = str(_rows.scratch() / "state")
    command = [*_rows.FAST, *arguments]
    usage = _rows.measure_process(command, BAICAI_API_KEY="sk-bench", XDG_STATE_HOME=state)
    if usage.code not in (0, 1, 3):
        raise SystemExit(f"{name}: exit status {usage.code}: {usage.stderr}")
    cells = (f"{usage.wall:.1f} s", f"{usage.cpu:.1f} s", f"{usage.peak:.0f} MB")
    ok = usage.cpu <= seconds and usage.peak <= PEAK_GOAL
    _rows.print_row(name, *cells, goal=f"≤ {seconds:g} s, {PEAK_GOAL} MB", ok=ok)


def main(arguments: list[str]) -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(prog="tests.bench.huge")
    parser.add_argument("--items", type=int, default=ITEMS)
    items = parser.parse_args(arguments).items
    path = manifest(_rows.new_folder(), items)
    start, million = 1.0, items / 1e6
    _rows.print_head(f"{items:,} items", "time", "cpu", "peak", means=MEANS)
    show("plan of a new job", start + PLAN_GOAL * million, "plan", str(path))
    fill(path)
    show("status", start + STATUS_GOAL * million, "status", str(path))
    show("plan, nothing left", start + PLAN_DONE_GOAL * million, "plan", str(path))
    show("report", REPORT_GOAL, "report", str(path))


if __name__ == "__main__":
    main(sys.argv[1:])
