"""The real command in subprocesses, against the real simulator over a socket."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.harness.commands import (
    PATIENCE,
    CommandProcess,
    bare_environment,
    run_command,
    simulator_process,
    start_command,
)

KEY = "sk-a-key-that-must-not-leak"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell sets it for what it starts in the background: commands would ignore SIGINT, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class Service:
    """A simulator in a process of its own."""

    process: CommandProcess
    url: str

    def ledger(self) -> dict[str, Any]:
        """Return what the simulator recorded."""
        with urllib.request.urlopen(f"{self.url}/_sim/ledger") as answer:  # noqa: S310
            content: dict[str, Any] = json.load(answer)
            return content

    def set_faults(self, *faults: str) -> None:
        """Replace the active faults."""
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/_sim/faults", json.dumps(faults).encode(), method="POST"
        )
        urllib.request.urlopen(request).close()  # noqa: S310

    def wait_for(self, what: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the ledger meets a condition."""
        wait_until(lambda: what(self.ledger()))

    def paid(self) -> dict[str, int]:
        """Return how many tasks were created for each prompt."""
        counts: dict[str, int] = {}
        for task in self.ledger()["submissions"]:
            counts[task["body"]] = counts.get(task["body"], 0) + 1
        return counts


def wait_until(what: Callable[[], bool]) -> None:
    """Wait until a condition is true; fail the test after PATIENCE seconds."""
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@dataclass
class Command:
    """The command line of one job."""

    folder: Path
    manifest: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        """Return the output folder."""
        return self.folder / "out"

    def start(self, name: str, *arguments: str) -> CommandProcess:
        """Start a command."""
        words = (name, str(self.manifest), *arguments, "--output", str(self.out))
        return start_command(*words, environment=self.environment)

    def __call__(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        words = (name, str(self.manifest), *arguments, "--output", str(self.out))
        return run_command(*words, environment=self.environment)

    def statuses(self) -> dict[str, str]:
        """Return the status of each item, by id."""
        lines = self("status", "--json").stdout.splitlines()
        return {row["id"]: row["status"] for row in map(json.loads, lines)}

    def pictures(self) -> list[Path]:
        """Return the files of the output folder, except the report."""
        files = [path for path in self.out.glob("*.*") if not path.name.startswith(".")]
        return sorted(path for path in files if path.name != "index.html")


def write_manifest(path: Path, count: int, *, more: str = "") -> None:
    """Write a manifest of `count` items, `card-0` and so on."""
    prompts = "".join(f"  - {{id: card-{n}, prompt: a horse number {n}}}\n" for n in range(count))
    path.write_text(
        'workflow: year_of_the_horse_greeting_card\nparams: {"6": {text: "{{ prompt }}"}}\n'
        "limits: {rate: 50/s, in_flight: 50, poll_rate: 50/s}\n"
        "polling: {first: 200ms, shortest: 100ms}\n" + more + "prompts:\n" + prompts,
        encoding="utf-8",
    )


def kill(process: CommandProcess) -> None:
    """End a process as a power cut would."""
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE)


@contextmanager
def simulator(*options: str) -> Iterator[Service]:
    """Run a simulator with these options in a process of its own."""
    usual = ("--service-time", "uniform:0.1,0.4", "--image-bytes", "3000")
    with simulator_process(*usual, *options) as (process, url):
        yield Service(process, url)


@pytest.fixture
def service() -> Iterator[Service]:
    with simulator() as running:
        yield running


@pytest.fixture
def command(tmp_path: Path, service: Service) -> Command:
    manifest = tmp_path / "cards.yaml"
    write_manifest(manifest, 8)
    environment = bare_environment(
        XDG_STATE_HOME=str(tmp_path / "state"), BAICAI_BASE_URL=service.url, BAICAI_API_KEY=KEY
    )
    return Command(tmp_path, manifest, environment)
