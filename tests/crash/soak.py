"""The kill sweep: the real command, killed again and again, against a failing simulator.

    python -m tests.crash.soak --seconds 600 --seed 1

For each seed: a new job and service, random faults, the command killed at random times, then run to
its end without faults. Then the audit: the service's ledger is compared with the journal and the
files. Prints its counts; exits 1 on a violation.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal import ItemRow, open_reader
from batch_runner.lifecycle import FINAL, ItemStatus
from batch_runner.storage.verify import find_damage

KEY = "sk-a-key-that-must-not-leak"
ITEMS = 12
FAULTS = (
    *("reset:submit", "lose_answer:submit", "http_late:submit", "half_json:submit"),
    *("garbage:submit", "limited:submit:retry_after=1", "http:submit:status=503"),
    *("no_task_id:submit", "moderation:submit", "fail:submit", "cancel:submit", "slow:submit"),
    *("close:status", "http:status", "html:status", "null:status", "word:status", "forget:status"),
    *("backwards:status", "not_ready:result", "no_urls:result", "expired_url:result"),
    *("cut:download", "cut_closed:download", "bit_flip:download", "empty_file:download"),
    *("html_as_png:download", "short_file:download", "missing:download", "reset:download"),
)


@dataclass
class Counts:
    """What a sweep did."""

    jobs: int = 0
    kills: int = 0
    submissions: int = 0
    held: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"jobs {self.jobs}, kills {self.kills}, faults {sum(self.faults.values())} "
            f"({len(self.faults)} kinds), submissions audited {self.submissions}, "
            f"held {self.held}, violations {len(self.violations)}"
        )


class KilledJob:
    """One job, one service, some faults, some kills, one audit."""

    def __init__(self, folder: Path, seed: int, counts: Counts) -> None:
        self.folder, self.seed, self.counts = folder, seed, counts
        self.random = random.Random(seed)
        self.manifest = folder / "cards.yaml"
        prompts = "".join(f"  - {{id: card-{n}, prompt: horse {n}}}\n" for n in range(ITEMS))
        self.manifest.write_text(
            'workflow: cards\nparams: {"6": {text: "{{ prompt }}"}}\n'
            "limits: {rate: 40/s, in_flight: 8, poll_rate: 50/s}\n"
            "timeouts: {submit: 2s, status: 2s, download: 5s, idle: 2s, unknown: 3s}\n"
            "polling: {first: 100ms, shortest: 50ms, longest: 500ms}\n"
            "retries: {base: 50ms, cap: 500ms}\nprompts:\n" + prompts
        )
        self.out = folder / "out"

    def run(self) -> list[str]:
        """Run the job and return its violations."""
        drawn = self.random.sample(FAULTS, self.random.randint(0, 3))
        self.counts.faults.update(drawn)
        faults = [f"{fault}:rate=0.3" for fault in drawn]
        service = subprocess.Popen(
            [
                *(sys.executable, "-m", "batch_runner", "simulate", "--port", "0"),
                *("--seed", str(self.seed), "--service-time", "uniform:0.05,0.5"),
                *("--image-bytes", "3000", "--latency", "uniform:0.001,0.05"),
                *(argument for fault in faults for argument in ("--fault", fault)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert service.stdout is not None
            match = re.search(r"http://\S+", service.stdout.readline())
            assert match is not None
            return self._against(match[0])
        finally:
            service.terminate()
            service.communicate()

    def _against(self, url: str) -> list[str]:
        found: list[str] = []
        for _ in range(self.random.randint(1, 4)):
            self._killed_run(url, self.random.uniform(0.3, 3.0))
            self.counts.kills += 1
        request = urllib.request.Request(f"{url}/_sim/faults", b"[]", method="POST")  # noqa: S310
        urllib.request.urlopen(request).close()  # noqa: S310
        last = self._start(url)
        try:
            _, err = last.communicate(timeout=250)
        except subprocess.TimeoutExpired:
            last.kill()
            last.communicate()
            return ["the last run did not end"]
        if last.returncode not in (0, 1):
            found.append(f"the last run exited {last.returncode}: {err[-400:]}")
        with urllib.request.urlopen(f"{url}/_sim/ledger") as answer:  # noqa: S310
            ledger = json.load(answer)
        return [*found, *self._audit(ledger)]

    def _start(self, url: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "batch_runner", "run", str(self.manifest)),
                *("--output", str(self.out)),
            ],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.manifest.parent),
                "BAICAI_BASE_URL": url,
                "BAICAI_API_KEY": KEY,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _killed_run(self, url: str, seconds: float) -> None:
        process = self._start(url)
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()

    def _audit(self, ledger: dict[str, list[dict[str, object]]]) -> Iterator[str]:
        with open_reader(JobFolder(self.out).journal) as reader:
            items = list(reader.items())
            task_ids = {event.task_id for row in items for event in reader.events(row.key)}
        yield from self._audit_submissions(ledger["submissions"], items, task_ids)
        for row in items:
            if row.status not in FINAL:
                yield f"{row.id} ends as {row.status}"
        yield from self._audit_files([row for row in items if row.status is ItemStatus.DONE])
        files = [path for path in self.out.rglob("*") if path.is_file()]
        if ledger["leaks"] or any(KEY.encode() in path.read_bytes() for path in files):
            yield "the key leaked"

    def _audit_submissions(
        self, paid: list[dict[str, object]], items: list[ItemRow], task_ids: set[str | None]
    ) -> Iterator[str]:
        held = {row.prompt for row in items if row.status is ItemStatus.HELD}
        prompts = [json.loads(str(one["body"]))["params"]["6"]["text"] for one in paid]
        self.counts.submissions += len(prompts)
        self.counts.held += len(held)
        for prompt, count in Counter(prompts).items():
            if count > 1:
                yield f"{prompt} was paid {count} times"
        for one, prompt in zip(paid, prompts, strict=True):
            if one["task_id"] not in task_ids and prompt not in held:
                yield f"task {one['task_id']} of {prompt} is not in the journal"

    def _audit_files(self, done: list[ItemRow]) -> Iterator[str]:
        for row in done:
            for file in row.files:
                if (damage := find_damage(JobFolder(self.out), file, deep=True)) is not None:
                    yield damage
        placed = {file.name for row in done for file in row.files}
        names = {path.name for path in self.out.iterdir() if path.is_file()}
        for name in names - placed - {"index.html"}:
            if not name.startswith("."):
                yield f"{name} belongs to no item"


def sweep(seconds: float, seed: int) -> Counts:
    """Run jobs for so many seconds and return what happened."""
    counts, end = Counts(), time.monotonic() + seconds
    while time.monotonic() < end:
        folder = Path(tempfile.mkdtemp(prefix="killed-job-"))
        found = KilledJob(folder, seed, counts).run()
        counts.jobs += 1
        counts.violations += [f"seed {seed}: {one}" for one in found]
        if found:
            print(f"seed {seed}, kept in {folder}: {found}", flush=True)
        else:
            shutil.rmtree(folder)
        seed += 1
    return counts


def main() -> int:
    """Sweep, print the counts, and fail on a violation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    counts = sweep(arguments.seconds, arguments.seed)
    print(counts)
    return 1 if counts.violations else 0


if __name__ == "__main__":
    sys.exit(main())
