"""One cluster of real processes, what is done to it, and what the ledger says at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batch_runner.cluster.jobs import all_jobs, connected
from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal.places import schema_of
from batch_runner.journal.postgres.reader import open_reader
from batch_runner.lifecycle import ItemStatus
from tests.cluster.network import Network
from tests.e2e.conftest import KEY, Service, wait_until
from tests.harness.commands import run_command, simulator_process
from tests.harness.postgres import PostgresServer, new_server

ROOT = Path(__file__).parents[2]
#: Seconds after which a run that should end by itself has failed.
PATIENCE = 600.0
_MANIFEST = """
workflow: cards
params: {{"6": {{text: "{{{{ prompt }}}}"}}}}
limits: {{rate: {rate}/s, in_flight: {in_flight}, poll_rate: {poll_rate}/s}}
polling: {{first: 500ms, shortest: 200ms}}
prompts:
"""


@dataclass(slots=True, kw_only=True)
class Scene:
    """A job of a cluster, and the processes that work on it."""

    folder: Path
    server: PostgresServer
    service: Service
    rate: float
    network: Network | None = None  # of host1; None: that of the tests
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    variables: dict[str, dict[str, str]] = field(default_factory=dict)  # further ones, by host

    @property
    def manifest(self) -> Path:
        return self.folder / "cards.yaml"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def environment(self, host: str) -> dict[str, str]:
        """Return the environment of a host, which has a home of its own."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / host),
            "PYTHONPATH": str(ROOT),
            "BAICAI_BASE_URL": self.service.url,
            "BAICAI_API_KEY": KEY,
            "BATCH_RUNNER_CLUSTER": self.server.dsn,
            **self.variables.get(host, {}),
        }

    def start(self, host: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a command on a host; its output goes to a file there."""
        inside = self.network.inside if self.network is not None and host == "host1" else ()
        (self.folder / host).mkdir(exist_ok=True)
        with (self.folder / host / "log").open("a") as log:
            process = subprocess.Popen(
                [*inside, sys.executable, "-m", "batch_runner", *arguments],
                env=self.environment(host),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self.processes.append(process)
        return process

    def call(self, host: str, *arguments: str) -> int:
        """Run a command on a host to its end; return its exit status."""
        return self.start(host, *arguments).wait(PATIENCE)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the host of the user to its end, and return what it printed."""
        return run_command(*words, environment=self.environment("host0"), folder=self.folder)

    def worker(self, number: int, *arguments: str) -> subprocess.Popen[str]:
        return self.start(f"host{number}", "worker", *arguments)

    def run(self) -> subprocess.Popen[str]:
        """Give the job to the workers, and follow it."""
        output = ("--output", str(self.out))
        return self.start("host0", "run", str(self.manifest), *output, "--cluster")

    def log(self, host: str) -> str:
        return (self.folder / host / "log").read_text()

    def write_manifest(self, items: int, *, in_flight: int = 1000) -> None:
        text = _MANIFEST.format(rate=self.rate, in_flight=in_flight, poll_rate=self.rate * 4)
        prompts = (f"  - {{id: card-{n}, prompt: horse {n}}}\n" for n in range(items))
        self.manifest.write_text(text.lstrip() + "".join(prompts))

    def submissions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.service.ledger()["submissions"]
        return found

    def wait_for_submissions(self, count: int) -> None:
        """Wait until the service has accepted so many submissions."""
        deadline = time.monotonic() + PATIENCE
        while len(self.submissions()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{count} submissions were not made")
            time.sleep(0.2)

    def wait_until_given(self, run: subprocess.Popen[str]) -> None:
        """Wait until `run` has given its job to the workers."""

        def is_given() -> bool:
            assert run.poll() is None, self.log("host0")
            return any(job.active for job in all_jobs(connection))

        with connected(self.server.dsn) as connection:
            wait_until(is_given)

    def statuses(self) -> Counter[str]:
        """Return how many items have which status."""
        schema = schema_of(JobFolder(self.out).journal)
        assert schema is not None
        with open_reader(self.server.dsn, schema) as reader:
            return Counter(str(row.status) for row in reader.items())


@contextmanager
def new_scene(
    rate: float, *simulator_options: str, network: Network | None = None
) -> Iterator[Scene]:
    """Yield a cluster with a service and no workers; at the end its processes are killed.

    `network`: of host1; None: the same as that of the others.
    """
    with ExitStack() as stack:
        if network is not None:
            simulator_options += ("--host", network.service)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cluster-")))
        server = stack.enter_context(new_server(network.database if network else ""))
        process, url = stack.enter_context(simulator_process(*simulator_options))
        service = Service(process, url)
        scene = Scene(folder=folder, server=server, service=service, rate=rate, network=network)
        try:
            if scene.call("host0", "cluster", "init"):
                raise RuntimeError(scene.log("host0"))
            yield scene
        finally:
            for one in scene.processes:
                one.send_signal(signal.SIGCONT)
                one.kill()
                one.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What the service's ledger and the journal say of a job that has ended."""

    submissions: int
    duplicates: int  # submissions beyond the first of an item
    lost: int  # tasks that the journal does not know, and whose items are not held
    fullest: int  # submissions in the fullest second
    pause: float  # longest time between two submissions, in seconds
    used: float  # share of the rate between the first and the last submission
    used_otherwise: float  # the same without that longest time
    statuses: Counter[str]


def audit(scene: Scene) -> Audit:
    """Compare the service's ledger and the journal."""
    submissions = scene.submissions()
    times = sorted(float(one["time"]) for one in submissions)
    per_item = Counter(_prompt(one) for one in submissions)
    span = max(times[-1] - times[0], 0.001)
    pause = max(map(float.__sub__, times[1:], times), default=0.0)
    return Audit(
        submissions=len(submissions),
        duplicates=sum(per_item.values()) - len(per_item),
        lost=_lost(scene, submissions),
        fullest=_fullest(times),
        pause=pause,
        used=(len(times) - 1) / span / scene.rate,
        used_otherwise=(len(times) - 2) / max(span - pause, 0.001) / scene.rate,
        statuses=scene.statuses(),
    )


def _lost(scene: Scene, submissions: list[dict[str, Any]]) -> int:
    """Return how many tasks are neither in the journal nor those of an item that is held."""
    schema = schema_of(JobFolder(scene.out).journal)
    assert schema is not None
    with open_reader(scene.server.dsn, schema) as reader:
        rows = list(reader.items())
    known = {row.task_id for row in rows}
    held = {row.prompt for row in rows if row.status is ItemStatus.HELD}
    return sum(one["task_id"] not in known and _prompt(one) not in held for one in submissions)


def _prompt(submission: dict[str, Any]) -> str:
    return str(submission["params"]["6"]["text"])


def _fullest(times: list[float]) -> int:
    most = first = 0
    for last, time_ in enumerate(times):
        while times[first] <= time_ - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


DONE = str(ItemStatus.DONE)
