"""Start, resume and end of a run: the time before its first request and after its last.

    python -m tests.bench.start                      100,000 items
    python -m tests.bench.start --items 3000         fewer
    python -m tests.bench.start help resume          the rows whose name contains a word

`help`, `plan` and `run` are medians of interleaved pairs: the command, and an empty click program.
The other rows use a job in which all items but the last are done (`resume`), or all (`nothing
left`). Its journal is filled by the statements that a run would use, and its small files are
written, with thumbnails of the same content.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sqlite3
import statistics
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from batch_runner.jobdir.identity import JobIdentity
from batch_runner.jobdir.open import open_job
from batch_runner.journal import Change
from batch_runner.journal.sql.transitions import Move
from batch_runner.journal.sqlite.commit import apply_all
from batch_runner.lifecycle import Event
from batch_runner.manifest import load
from batch_runner.models import PlacedFile
from tests.bench import _rows

ITEMS = 100_000
ROUNDS, DONE_ROUNDS = 7, 3
SIDE = 16  # pixels of a picture
PAGE = 500  # items per transaction step
END_GOAL, PEAK_GOAL = 60.0, 150  # seconds and MB, with ITEMS
DONE_GOAL = 0.03  # CPU milliseconds for each item that is done
MEANS = (
    "How long a command takes until it does something, beside an empty program, and what it costs "
    "to start a job again that is nearly or wholly done, as cron does."
)
KEY = "BAICAI_API_KEY"
EMPTY = "import click\n@click.group()\ndef main(): pass\nmain(prog_name='empty')"
EVENTS = (
    Event.SUBMIT_STARTED,
    Event.SUBMIT_CONFIRMED,
    Event.TASK_COMPLETED,
    Event.PLACED,
)


def manifest(folder: Path, items: int) -> Path:
    """Write a manifest with that many rows of JSONL."""
    with (folder / "rows.jsonl").open("w") as file:
        for number in range(items):
            file.write(f'{{"name": "Person {number}", "city": "City {number % 100}"}}\n')
    path = folder / "cards.yaml"
    path.write_text(
        "workflow: cards\nlimits: {rate: 1000/s, in_flight: 1000, poll_rate: 1000/s}\n"
        "items_from: rows.jsonl\n"
        'params: {"6": {text: "A card for {{ name }} of {{ city }}, 2026", steps: 20}}\n'
    )
    return path


def picture(number: int) -> bytes:
    """Return a small PNG that differs for each number."""
    rows = random.Random(number).randbytes(SIDE * SIDE * 3)
    lines = b"".join(b"\0" + rows[at : at + SIDE * 3] for at in range(0, len(rows), SIDE * 3))
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(lines, 1)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def make_job(path: Path, server: _rows.Server | None = None, *, leave: int) -> Path:
    """Make a job in which all items but the last `leave` are done; return its folder.

    With a server, the registry of its runs knows the job, as after a run that was interrupted.
    """
    loaded = load(path)
    origin = "http://127.0.0.1" if server is None else server.url
    identity = JobIdentity(job=loaded.job, provider=loaded.provider, origin=origin)
    with open_job(loaded.output_folder, identity) as job:
        job.journal.import_items(
            loaded.items(),
            manifest=str(path),
            fingerprint=loaded.fingerprint,
            duplicates=loaded.duplicates,
        )
    journal = sqlite3.connect(job.folder.journal, isolation_level=None)
    journal.row_factory = sqlite3.Row
    rows = journal.execute("SELECT key, name, position FROM items ORDER BY position").fetchall()
    (job.folder.batch / "report/thumbnails").mkdir(parents=True)
    journal.execute("BEGIN")
    for page in _pages(rows[: len(rows) - leave]):
        files = {row["key"]: _place(job.folder.root, row["name"], row["position"]) for row in page}
        for event in EVENTS:
            at = time.time()
            moves = [Move(_change(row, event, files[row["key"]]), at) for row in page]
            assert not any(apply_all(journal, moves))
    journal.execute("COMMIT")
    journal.close()
    if server is not None:
        state = Path(server.environment["XDG_STATE_HOME"]) / "batch-runner"
        with open_job(job.folder.root, identity, state=state, key=server.environment[KEY]):
            pass  # copies the outcomes to the registry
    return job.folder.root


def _pages(rows: Sequence[sqlite3.Row]) -> Iterator[Sequence[sqlite3.Row]]:
    return (rows[at : at + PAGE] for at in range(0, len(rows), PAGE))


def _place(root: Path, name: str, number: int) -> PlacedFile:
    data = picture(number)
    digest = hashlib.sha256(data).hexdigest()
    (root / f"{name}.png").write_bytes(data)
    (root / ".batch/report/thumbnails" / f"{digest[:32]}.webp").write_bytes(data)
    return PlacedFile(name=f"{name}.png", size=len(data), sha256=digest, media_type="image/png")


def _change(row: sqlite3.Row, event: Event, file: PlacedFile) -> Change:
    task = row["key"] if event is Event.SUBMIT_CONFIRMED else None
    return Change(
        key=row["key"], event=event, task_id=task, files=(file,) if event is Event.PLACED else ()
    )


def show_pairs(name: str, command: Sequence[str], goal: float | None, **environment: str) -> None:
    """Print the time of a command and its multiple of an empty click program, interleaved."""
    pairs = [
        (
            _rows.measure_process([sys.executable, "-c", EMPTY, "--help"]),
            _rows.measure_process(command, limit=_rows.LIMIT, **environment),
        )
        for _ in range(ROUNDS)
    ]
    if failed := [usage for pair in pairs for usage in pair if usage.code]:
        raise SystemExit(f"{name}: exit status {failed[0].code}: {failed[0].stderr}")
    for kind in ("wall", "cpu"):
        least = statistics.median(getattr(empty, kind) for empty, _ in pairs)
        figure = statistics.median(getattr(full, kind) for _, full in pairs)
        ok = None if goal is None else figure <= goal * least
        cells = (f"{1000 * figure:.0f} ms", "", "", f"{figure / least:.2f}")
        _rows.print_row(f"{name}, {kind}", *cells, goal=f"≤ {goal}" if goal else "", ok=ok)


def show_plan(folder: Path) -> None:
    """Print the time of a plan of one item."""
    command = [*_rows.FAST, "plan", str(manifest(folder, 1))]
    show_pairs("plan, 1 item", command, None, XDG_STATE_HOME=str(folder / "state"))


def show_run(folder: Path) -> None:
    """Print the time of a run of one item."""
    path = manifest(folder, 1)
    with _rows.Server("--bytes", 1000) as server:
        command = [*_rows.FAST, "run", str(path), "--quiet", "--output"]
        show_pairs("run, 1 item", [*command, str(folder / "one")], None, **server.environment)


def show_resume(path: Path, items: int, server: _rows.Server) -> None:
    """Print the time to the first submission when one item is left, and from there to the end."""
    begun = time.monotonic()
    usage = _rows.run(_rows.FAST, path, server)
    first = server.counts()["first"] - begun
    cells = (f"{first:.2f} s", "", "", "")
    _rows.print_row(f"resume to first submission, {items:,}", *cells, goal="≤ 3 s", ok=first <= 3)
    show_end(f"from there to the end, {items:,}", usage, usage.wall - first)


def show_nothing_left(path: Path, items: int, server: _rows.Server) -> None:
    """Print the time of a run in which every item is done, and the report stays as it is."""
    _rows.run(_rows.FAST, path, server)  # writes the report
    usages = [_rows.run(_rows.FAST, path, server) for _ in range(DONE_ROUNDS)]
    usage = sorted(usages, key=lambda usage: usage.cpu)[DONE_ROUNDS // 2]
    show_end(f"run, nothing left, {items:,}", usage, usage.wall)
    cost = 1000 * usage.cpu / items
    cells = ("", f"{cost:.3f} ms", "", "")
    _rows.print_row("the same, an item", *cells, goal=f"≤ {DONE_GOAL} ms", ok=cost <= DONE_GOAL)


def show_end(name: str, usage: _rows.Usage, seconds: float) -> None:
    """Print a row about the end of a run; `seconds` is what it took."""
    cells = (f"{seconds:.1f} s", f"{usage.cpu:.1f} s", f"{usage.peak:.0f} MB", "")
    ok = seconds <= END_GOAL and usage.peak <= PEAK_GOAL
    _rows.print_row(name, *cells, goal=f"≤ {END_GOAL:g} s, {PEAK_GOAL} MB", ok=ok)


def main(arguments: list[str]) -> None:
    """Print every row whose name contains one of the words."""
    parser = argparse.ArgumentParser(prog="tests.bench.start")
    parser.add_argument("words", nargs="*", help="help, plan, run, resume, nothing")
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--make", type=Path, help="only make the job in this folder, and keep it")
    asked = parser.parse_args(arguments)
    if asked.make:
        make_job(manifest(asked.make, asked.items + 1), leave=1)
        return

    def wanted(name: str) -> bool:
        return not asked.words or name in asked.words

    _rows.print_head("start", "time", "cpu", "peak", "× empty", means=MEANS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if wanted("help"):
            show_pairs("--help", [*_rows.FAST, "--help"], 1.5)
        if wanted("plan"):
            show_plan(folder)
        if wanted("run"):
            show_run(folder)
        if not any(map(wanted, ("resume", "nothing"))):
            return
        path = manifest(folder, asked.items + 1)
        with _rows.Server("--bytes", 1000) as server:
            make_job(path, server, leave=1)
            if wanted("resume"):
                show_resume(path, asked.items, server)
            if wanted("nothing"):
                show_nothing_left(path, asked.items, server)


if __name__ == "__main__":
    main(sys.argv[1:])
