"""A million items: planned from a manifest, and shown from a journal.

    python -m tests.bench.million
    python -m tests.bench.million --items 100000

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

ITEMS = 1_000_000
PLAN_GOAL, PLAN_PEAK = 60.0, 300  # microseconds of CPU for an item, MB
SHOW_GOAL, SHOW_PEAK = 10.0, 300  # CPU seconds with ITEMS, MB
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


def fill(path: Path, items: int) -> None:
    """Make the job of a manifest, as a run would leave it."""
    loaded = load(path)
    identity = JobIdentity(job=loaded.job, provider=loaded.provider, origin="http://127.0.0.1")
    with open_job(loaded.output_folder, identity) as job:
        listing = ItemImport(loaded.items)
        job.journal.import_items(listing, manifest=str(path), fingerprint=loaded.fingerprint)
    connection = sqlite3.connect(job.folder.journal, isolation_level=None)
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


def show(name: str, items: int, *arguments: str, seconds: float, peak: float) -> None:
    """Print what a command takes; the seconds of CPU time are the goal at ITEMS."""
    state = str(_rows.scratch() / "state")
    command = [*_rows.FAST, *arguments]
    usage = _rows.measure_process(command, BAICAI_API_KEY="sk-bench", XDG_STATE_HOME=state)
    if usage.code not in (0, 1, 3):
        raise SystemExit(f"{name}: exit status {usage.code}: {usage.stderr}")
    cells = (f"{usage.wall:.1f} s", f"{usage.cpu:.1f} s", f"{usage.peak:.0f} MB")
    ok = usage.cpu <= max(1.0, seconds * items / ITEMS) and usage.peak <= peak
    _rows.print_row(name, *cells, goal=f"≤ {seconds:g} s, {peak:g} MB", ok=ok)


def main(arguments: list[str]) -> None:
    """Print the rows that are asked for."""
    parser = argparse.ArgumentParser(prog="tests.bench.million")
    parser.add_argument("words", nargs="*", help="names of commands")
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--make", type=Path, help="only make the job in this folder, and keep it")
    parser.add_argument("--job", type=Path, help="a folder that --make has filled")
    asked = parser.parse_args(arguments)
    if asked.make:
        fill(manifest(asked.make, asked.items), asked.items)
        return
    folder = asked.job or _rows.new_folder()
    path = folder / "cards.yaml"
    _rows.print_head(f"{asked.items:,} items", "time", "cpu", "peak", means=MEANS)
    if asked.job is None:
        manifest(folder, asked.items)
        limit = PLAN_GOAL * ITEMS / 1e6
        show("plan, new", asked.items, "plan", str(path), seconds=limit, peak=PLAN_PEAK)
        fill(path, asked.items)
    for command in ("status", "plan", "report", "verify", "jobs"):
        if asked.words and command not in asked.words:
            continue
        show(command, asked.items, command, str(path), seconds=SHOW_GOAL, peak=SHOW_PEAK)


if __name__ == "__main__":
    main(sys.argv[1:])
