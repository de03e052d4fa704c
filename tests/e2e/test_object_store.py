"""Jobs whose results are in an object store: a real server over a socket."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import KEY, Service, kill, wait_until, write_manifest
from tests.harness.commands import CommandProcess, bare_environment, run_command, start_command
from tests.harness.object_store import (
    KEY_ID,
    SECRET,
    Bucket,
    object_server,
)

ITEMS = 8


@dataclass
class Job:
    """A job and the bucket of its results."""

    manifest: Path
    bucket: Bucket
    environment: dict[str, str]

    @property
    def folder(self) -> Path:
        """Return the folder of journal, logs and report."""
        return self.manifest.parent / "out" / self.manifest.stem

    def write(self, more: str = "", output: str = "") -> None:
        """Write the manifest; `output` is more of that block."""
        block = f'output: {{folder: "s3://{self.bucket.name}/year"{output}}}\n'
        write_manifest(self.manifest, ITEMS, more=block + more)

    def start(self, name: str, *arguments: str) -> CommandProcess:
        return start_command(name, str(self.manifest), *arguments, environment=self.environment)

    def __call__(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_command(name, str(self.manifest), *arguments, environment=self.environment)

    def statuses(self) -> set[str]:
        lines = self("status", "--json").stdout.splitlines()
        return {json.loads(line)["status"] for line in lines}

    def local_files(self) -> list[str]:
        """Return the files in the job's folder that are not hidden."""
        return sorted(path.name for path in self.folder.glob("[!.]*"))

    def check_nothing_leaked(self) -> None:
        """Check that no file of the job contains a credential or the endpoint."""
        words = (KEY_ID, SECRET, self.environment["AWS_ENDPOINT_URL"])
        for path in self.folder.rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            assert not [word for word in words if word.encode() in content], path


@pytest.fixture
def job(tmp_path: Path, service: Service) -> Job:
    environment = bare_environment(
        XDG_STATE_HOME=str(tmp_path / "state"),
        BAICAI_BASE_URL=service.url,
        BAICAI_API_KEY=KEY,
        **object_server().environment,
    )
    job = Job(tmp_path / "cards.yaml", object_server().new_bucket(), environment)
    job.write()
    return job


NAMES = [f"year/card-{number}.png" for number in range(ITEMS)]


def pictures(job: Job) -> list[str]:
    return [name for name in job.bucket.names() if name.endswith(".png")]


def test_killed_run_is_continued_and_pays_once(job: Job, service: Service) -> None:
    service.set_faults("hang:download:after=3")
    run = job.start("run")
    wait_until(lambda: len(pictures(job)) >= 2)
    kill(run)
    service.set_faults()

    finished = job("run")

    assert finished.returncode == 0, finished.stderr
    assert job.bucket.names() == NAMES
    assert sum(service.paid().values()) == ITEMS
    assert job.local_files() == ["index.html"]
    verified = job("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    job.check_nothing_leaked()
