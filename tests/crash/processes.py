"""Real processes of one sweep: a simulator, and jobs whose runs are disturbed."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.conftest import KEY, Service

ITEMS = 10
#: Seconds after which a run that should end by itself has failed.
PATIENCE = 120.0
#: Seconds to wait for something to happen in a run before it is disturbed anyway.
SOON = 20.0
BASIC = (
    'workflow: cards\nparams: {"6": {text: "{{ prompt }}"}}\n'
    "limits: {rate: 20/s, in_flight: 8, poll_rate: 50/s}\n"
    "timeouts: {submit: 2s, status: 2s, upload: 4s, download: 5s, idle: 2s, unknown: 3s, "
    "first_contact: 2s}\n"
    "polling: {first: 100ms, shortest: 50ms, longest: 500ms}\n"
    "retries: {base: 50ms, cap: 500ms}\n"
    "downloads: {free_bytes: 1}\n"
)


class Skipped(Exception):
    """A kind cannot be tried on this machine; the text says why."""


class Job:
    """A manifest with its output folder, and the runs of it."""

    def __init__(
        self,
        folder: Path,
        url: str,
        counts: Counter[str],
        *,
        name: str = "cards",
        program: Sequence[str] = ("-m", "batch_runner"),
    ) -> None:
        self.folder, self.counts = folder, counts
        self.manifest = folder / f"{name}.yaml"
        self.out = folder / f"out-{name}"
        self.state = folder / "state"
        self.program = [sys.executable, *program]
        self.delivered: Path | None = None  # what `on_item` was given
        self.said: list[str] = []  # output of each run
        self.code: int | None = None  # of the last run that ended
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "BAICAI_BASE_URL": url,
            "BAICAI_API_KEY": KEY,
        }
        self.write_manifest()

    def write_manifest(self) -> None:
        prompts = "".join(f"  - {{id: card-{n}, prompt: horse {n}}}\n" for n in range(ITEMS))
        self.manifest.write_text(f"{BASIC}prompts:\n{prompts}")

    def deliver_items(self) -> None:
        """Have `on_item` append each item that ends to `delivered`."""
        self.delivered = self.folder / f"{self.manifest.stem}-delivered.jsonl"
        with self.manifest.open("a", encoding="utf-8") as manifest:
            manifest.write(f"on_item: {{command: cat >> {self.delivered.name}}}\n")

    def submit_slowly(self, rate: str) -> None:
        """Set the rate limit, so that what is done to a run meets its submissions."""
        text = self.manifest.read_text()
        self.manifest.write_text(text.replace("rate: 20/s", f"rate: {rate}"))

    def start(
        self, *arguments: str, prefix: Sequence[str] = (), log: Path | None = None
    ) -> subprocess.Popen[str]:
        """Start a run; its output goes to `log` if that can be opened."""
        self.counts["runs"] += 1
        output: int = subprocess.PIPE
        if log is not None:
            try:
                output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            except OSError:
                log = None
        process = subprocess.Popen(
            [
                *(*prefix, *self.program, "run", str(self.manifest)),
                *("--output", str(self.out), *arguments),
            ],
            env=self.environment | {"XDG_STATE_HOME": str(self.state)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if log is not None:
            os.close(output)
        return process

    def end(self, process: subprocess.Popen[str], seconds: float = PATIENCE) -> int | None:
        """Wait until a run has ended, and return its exit status; None: it did not end."""
        try:
            text, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill(process)
            self.code = None
            return None
        self.said.append(text or "")
        self.code = process.returncode
        return self.code

    def run(self, *arguments: str, prefix: Sequence[str] = ()) -> int | None:
        """Run the job to the end of the run; return its exit status; None: it did not end."""
        return self.end(self.start(*arguments, prefix=prefix))

    def kill(self, process: subprocess.Popen[str]) -> None:
        """End a run as a power cut would."""
        self.counts["kills"] += process.poll() is None
        process.send_signal(signal.SIGKILL)
        self.said.append(process.communicate()[0] or "")


def start_service(seed: int, faults: Sequence[str] = (), *more: str) -> Service:
    """Start a simulator whose tasks take less than half a second."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "batch_runner", "simulate", "--port", "0"),
            *("--seed", str(seed), "--service-time", "uniform:0.05,0.5"),
            *("--image-bytes", "3000", "--latency", "uniform:0.001,0.05"),
            *(argument for fault in faults for argument in ("--fault", fault)),
            *more,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    match = re.search(r"http://\S+", process.stdout.readline())
    assert match is not None
    return Service(process, match[0])


def wait_for_submissions(service: Service, process: subprocess.Popen[str], count: int) -> None:
    """Wait until `count` items were submitted, the run has ended, or nothing happens."""
    end = time.monotonic() + SOON
    while process.poll() is None and time.monotonic() < end:
        if len(service.ledger()["submissions"]) >= count:
            return
        time.sleep(0.02)


def some_time(dice: random.Random, least: float, most: float) -> None:
    """Sleep for a random time."""
    time.sleep(dice.uniform(least, most))
