"""Start, resume and end of a run: what a night costs before its first request and after its last.

    python -m tests.bench.start                      100,000 items
    python -m tests.bench.start --items 3000         fewer
    python -m tests.bench.start help resume          the rows whose name holds a word

`help` and `run` are medians of interleaved pairs: the verb, and an empty click program. The other
rows use a job whose items are all done but the last (`resume`), or all done (`nothing left`). Its
journal is brought to that point by the statements that a run would have used, with small files of
their own in place; the first of these runs also makes previews, as long as a run may.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from batch_runner.journal.changes import Change, Move, apply_all
from batch_runner.lifecycle import Event
from batch_runner.manifest import load
from batch_runner.models import PlacedFile
from batch_runner.opening import Identity, open_job

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ITEMS = 100_000
ROUNDS = 7
SIDE = 16  # pixels of a picture
PAGE = 500  # items brought on together
END_GOAL = 60.0  # seconds, with ITEMS

EMPTY = "import click\n@click.group()\ndef main(): pass\nmain(prog_name='empty')"
RUNNER = [sys.executable, "-m", "batch_runner"]
COURSE = (
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
        "workflow: cards\nlimits: {pace: 1000/s, in_flight: 1000, polls: 1000/s}\n"
        "items_from: rows.jsonl\n"
        'params: {"6": {text: "A card for {{ name }} of {{ city }}, 2026", steps: 20}}\n'
    )
    return path


def picture(number: int) -> bytes:
    """Return a small PNG unlike that of any other number."""
    rows = random.Random(number).randbytes(SIDE * SIDE * 3)
    lines = b"".join(b"\0" + rows[at : at + SIDE * 3] for at in range(0, len(rows), SIDE * 3))
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(lines, 1)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def make_job(path: Path, *, leave: int) -> Path:
    """Carry the items of a manifest to their files, all but the last few; return the folder."""
    loaded = load(path)
    identity = Identity(job=loaded.job, provider=loaded.provider, origin="http://127.0.0.1")
    with open_job(loaded.output_folder, identity) as job:
        job.journal.import_items(loaded.items(), manifest=str(path), fingerprint=loaded.fingerprint)
    journal = sqlite3.connect(job.folder.journal, isolation_level=None)
    journal.row_factory = sqlite3.Row
    rows = journal.execute("SELECT key, name, position FROM items ORDER BY position").fetchall()
    journal.execute("BEGIN")
    for page in _pages(rows[: len(rows) - leave]):
        files = {row["key"]: _place(job.folder.root, row["name"], row["position"]) for row in page}
        for event in COURSE:
            at = time.time()
            moves = [Move(_change(row, event, files[row["key"]]), at) for row in page]
            assert not any(apply_all(journal, moves))
    journal.execute("COMMIT")
    journal.close()
    return job.folder.root


def _pages(rows: Sequence[sqlite3.Row]) -> Iterator[Sequence[sqlite3.Row]]:
    return (rows[at : at + PAGE] for at in range(0, len(rows), PAGE))


def _place(root: Path, name: str, number: int) -> PlacedFile:
    data = picture(number)
    (root / f"{name}.png").write_bytes(data)
    return PlacedFile(
        name=f"{name}.png",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        media_type="image/png",
    )


def _change(row: sqlite3.Row, event: Event, file: PlacedFile) -> Change:
    task = row["key"] if event is Event.SUBMIT_CONFIRMED else None
    return Change(
        key=row["key"], event=event, task_id=task, files=(file,) if event is Event.PLACED else ()
    )


class Spent(NamedTuple):
    """What one process took: seconds of wall and processor, and its peak in MB."""

    begun: float  # on the monotonic clock, which all processes share
    wall: float
    cpu: float
    peak: float


def spend(command: Sequence[str], **environment: str) -> Spent:
    """Run a command to its end, its words thrown away."""
    begun = time.monotonic()
    process = subprocess.Popen(
        command,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return Spent(begun, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**10)


class Service:
    """The neutral server, for the length of a block; `seen` is what it saw."""

    def __enter__(self) -> Service:
        command = [sys.executable, "-m", "tests.bench._server", "--bytes", "1000"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        port = int(self._process.stdout.readline())
        self.environment = {
            "BAICAI_BASE_URL": f"http://127.0.0.1:{port}",
            "BAICAI_API_KEY": "sk-bench",
        }
        return self

    def __exit__(self, *exception: object) -> None:
        told, _ = self._process.communicate("")
        self.seen: dict[str, float] = json.loads(told)


def show(name: str, figure: str, ratio: str, goal: str, *, ok: bool | None) -> None:
    """Print one row."""
    verdict = {None: "", True: "ok", False: "MISSED"}[ok]
    print(f"{name:34}{figure:>26}{ratio:>10}   {goal:10}{verdict}", flush=True)


def show_pairs(name: str, command: Sequence[str], goal: float | None, **environment: str) -> None:
    """Print what a command costs over an empty click program, run in turn with it."""
    pairs = [
        (spend([sys.executable, "-c", EMPTY, "--help"]), spend(command, **environment))
        for _ in range(ROUNDS)
    ]
    for kind in ("wall", "cpu"):
        yard = statistics.median(getattr(empty, kind) for empty, _ in pairs)
        figure = statistics.median(getattr(full, kind) for _, full in pairs)
        ratio, ok = figure / yard, None if goal is None else figure <= goal * yard
        show(f"{name}, {kind}", _ms(figure), f"{ratio:.2f}", f"≤ {goal}" if goal else "", ok=ok)


def show_run(folder: Path) -> None:
    """Print what a run of one item costs, that item included."""
    path = manifest(folder, 1)
    with Service() as service:
        command = [*RUNNER, "run", str(path), "--quiet", "--output"]
        show_pairs("run, 1 item", [*command, str(folder / "one")], None, **service.environment)


def show_resume(path: Path, items: int) -> None:
    """Print the time to the first create of a job done but for one item, and to the run's end."""
    with Service() as service:
        spent = spend([*RUNNER, "run", str(path), "--quiet", "--yes"], **service.environment)
    first = service.seen["first"] - spent.begun
    show(f"resume to first create, {items:,}", f"{first:.2f} s", "", "≤ 3 s", ok=first <= 3)
    show_end(f"from there to the end, {items:,}", spent, spent.wall - first)


def show_nothing_left(path: Path, items: int) -> None:
    """Print the time of a run that finds everything done, its page included."""
    with Service() as service:
        spent = spend([*RUNNER, "run", str(path), "--quiet", "--yes"], **service.environment)
    show_end(f"run, nothing left, {items:,}", spent, spent.wall)


def show_end(name: str, spent: Spent, seconds: float) -> None:
    """Print a row about the end of a run."""
    figure = f"{seconds:.1f} s {spent.cpu:.1f} cpu {spent.peak:.0f} MB"
    show(name, figure, "", f"≤ {END_GOAL:g} s", ok=seconds <= END_GOAL)


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def main(arguments: list[str]) -> None:
    """Print every row that holds one of the words."""
    parser = argparse.ArgumentParser(prog="tests.bench.start")
    parser.add_argument("words", nargs="*", help="help, run, resume, nothing")
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--make", type=Path, help="only make the job in this folder, and keep it")
    asked = parser.parse_args(arguments)
    if asked.make:
        make_job(manifest(asked.make, asked.items + 1), leave=1)
        return

    def wanted(name: str) -> bool:
        return not asked.words or name in asked.words

    print(f"{'start':34}{'':>26}{'× empty':>10}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if wanted("help"):
            show_pairs("--help", [*RUNNER, "--help"], 1.5)
        if wanted("run"):
            show_run(folder)
        if not any(map(wanted, ("resume", "nothing"))):
            return
        path = manifest(folder, asked.items + 1)
        make_job(path, leave=1)
        if wanted("resume"):
            show_resume(path, asked.items)
        if wanted("nothing"):
            show_nothing_left(path, asked.items)


if __name__ == "__main__":
    main(sys.argv[1:])
