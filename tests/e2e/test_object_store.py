"""Jobs whose results are in an object store: a real server over a socket."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.e2e.conftest import KEY, Service, kill, simulator, wait_until, write_manifest
from tests.harness.commands import CommandProcess, bare_environment, run_command, start_command
from tests.harness.object_store import KEY_ID, SECRET, Bucket, FaultyServer, object_server

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

    @property
    def address(self) -> str:
        """Return where the results are."""
        return f"s3://{self.bucket.name}/year"

    def write(self, more: str = "", output: str = "") -> None:
        """Write the manifest; `output` is more of that block."""
        block = f'output: {{folder: "{self.address}"{output}}}\n'
        write_manifest(self.manifest, ITEMS, more=block + more)

    @contextmanager
    def faulty(self) -> Iterator[FaultyServer]:
        """Put a server that can fail in front of the object store."""
        faulty = FaultyServer(object_server().url)
        self.environment["AWS_ENDPOINT_URL"] = faulty.url
        yield faulty
        faulty.close()
        self.environment["AWS_ENDPOINT_URL"] = object_server().url

    def beside(self, name: str) -> Job:
        """Return another job with the same items and the same bucket."""
        return replace(self, manifest=self.manifest.with_name(f"{name}.yaml"))

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


def test_store_that_cannot_be_written_is_refused_before_anything_is_sent(
    job: Job, service: Service
) -> None:
    with job.faulty() as store:
        store.status = 403
        refused = job("run")
        planned = job("plan", "--json")
        store.status, store.conditions = None, False
        overwriting = job("run")
    del job.environment["AWS_ACCESS_KEY_ID"]
    without_key = job("run")

    assert refused.returncode == overwriting.returncode == without_key.returncode == 2
    assert f"{job.address} cannot be used: the object store answers 403" in refused.stderr
    assert "answers 403" in planned.stdout
    assert "overwrites objects" in overwriting.stderr
    assert "set AWS_ACCESS_KEY_ID" in without_key.stderr
    assert service.paid() == {}
    assert not job.folder.exists()


def test_without_the_extra_it_is_named(job: Job, service: Service, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    missing.mkdir()
    (missing / "obstore.py").write_text("raise ImportError('obstore')\n")
    job.environment["PYTHONPATH"] = str(missing)

    refused = job("run")

    assert refused.returncode == 2
    assert 'pip install "batch-runner[s3]"' in refused.stderr
    assert service.paid() == {}


def test_failing_store_leaves_items_to_the_next_run(job: Job, service: Service) -> None:
    with job.faulty() as store:
        store.refused_after = 2 + 3  # of the check at the start, and of files
        stopped = job("run")
    assert stopped.returncode == 3
    assert f"cannot store files in {job.address}: the object store answers 403" in stopped.stdout
    assert f"files: {job.address}\n" in stopped.stdout
    assert len(pictures(job)) == 3
    assert job.statuses() == {"done", "download_pending"}

    finished = job("run")

    assert finished.returncode == 0, finished.stderr
    assert job.bucket.names() == NAMES
    assert sum(service.paid().values()) == ITEMS
    job.check_nothing_leaked()


def test_missing_and_changed_objects_are_found_and_downloaded_again(
    job: Job, service: Service
) -> None:
    job("run")
    original = job.bucket.objects()
    job.bucket.remove(NAMES[0])
    changed = original[NAMES[1]][:-1] + b"?"
    job.bucket.put(NAMES[1], changed)

    verified = job("verify")
    assert verified.returncode == 1
    assert "card-0: card-0.png is missing" in verified.stdout
    assert "card-1: card-1.png has been changed" in verified.stdout
    again = job("verify", "--redownload")
    assert "2 items will be downloaded again" in again.stderr
    finished = job("run")

    assert finished.returncode == 0, finished.stderr
    assert job.bucket.objects() == original
    assert [path.read_bytes() for path in (job.folder / ".batch/damaged").iterdir()] == [changed]
    assert sum(service.paid().values()) == ITEMS


def test_jobs_on_several_hosts_share_a_prefix(job: Job, tmp_path: Path) -> None:
    other = job.beside("others")
    with simulator("--image-bytes", "4000") as another:
        other.environment = job.environment | {
            "XDG_STATE_HOME": str(tmp_path / "other-state"),
            "BAICAI_BASE_URL": another.url,
        }
        other.write()
        runs = [job.start("run"), other.start("run")]
        errors = [run.communicate()[1] for run in runs]

    assert [run.returncode for run in runs] == [0, 0], errors
    assert len(pictures(job)) == 2 * ITEMS
    assert [one("verify").returncode for one in (job, other)] == [0, 0]


def test_report_export_and_commands_know_the_addresses(job: Job, tmp_path: Path) -> None:
    job.write("on_item: {command: cat >> ended.jsonl}\n", output=", sidecar: json")
    finished = job("run")
    assert finished.returncode == 0, finished.stderr

    ended = [json.loads(line) for line in (tmp_path / "ended.jsonl").read_text().splitlines()]
    assert sorted(one["files"][0] for one in ended) == [
        f"{job.address}/card-{number}.png" for number in range(ITEMS)
    ]
    sidecars = [name for name in job.bucket.names() if name.endswith(".json")]
    assert len(sidecars) == ITEMS
    assert json.loads(job.bucket.objects()[sidecars[0]])["id"] == "card-0"
    job("report")
    report = job.folder / ".batch/report"
    assert len(list((report / "thumbnails").iterdir())) == 1  # all pictures are the same
    assert f'"objects":"{job.address}/"' in next(report.glob("head-*.js")).read_text()
    picks, chosen = tmp_path / "picks.txt", tmp_path / "chosen"
    picks.write_text("card-3\n")
    exported = job("export", "--picks", str(picks), "--to", str(chosen))
    assert exported.returncode == 0, exported.stderr
    assert (chosen / "card-3.png").read_bytes() == job.bucket.objects()[NAMES[3]]
    shared = job("report", "--share", str(tmp_path / "shared.html"))
    assert shared.returncode == 0, shared.stderr
    doctor = job("doctor")
    assert f"{job.address}; files can be stored" in doctor.stdout
    job.check_nothing_leaked()


def test_results_of_another_job_are_used(job: Job, service: Service) -> None:
    job("run")
    inside, local = job.beside("inside"), job.beside("local")
    inside.write(output=', name: "again-{{ id }}"')
    write_manifest(local.manifest, ITEMS)

    for one in (inside, local):
        finished = one("run")
        assert finished.returncode == 0, finished.stderr
    back = job.beside("back")
    back.write(output=', name: "back-{{ id }}"')
    assert back("run").returncode == 0

    assert sum(service.paid().values()) == ITEMS
    assert len(pictures(job)) == 3 * ITEMS
    assert local.local_files() == [*(f"card-{n}.png" for n in range(ITEMS)), "index.html"]
    assert service.ledger()["totals"]["downloads"] == ITEMS


def test_object_of_a_result_that_was_taken_back_is_moved_here(job: Job, service: Service) -> None:
    job.write(output=", sidecar: json")
    job("run")
    before = job.bucket.objects()

    held = job("resolve", "card-2", "hold")

    assert held.returncode == 0, held.stderr
    gone = {"year/card-2.png", "year/card-2.json"}
    assert set(before) - set(job.bucket.names()) == gone
    removed = {path.read_bytes() for path in (job.folder / ".batch/removed").iterdir()}
    assert removed == {before[name] for name in gone}
    with job.faulty() as store:
        store.status = 403
        refused = job("resolve", "card-3", "hold")
    assert refused.returncode == 2
    assert "answers 403" in refused.stderr


def test_moved_job_keeps_its_objects(job: Job, service: Service, tmp_path: Path) -> None:
    job("run")
    moved = tmp_path / "moved"

    run_command("jobs", "move", str(job.folder), str(moved), environment=job.environment)
    finished = job("run", "--output", str(moved))

    assert finished.returncode == 0, finished.stderr
    assert job("verify", "--output", str(moved)).returncode == 0
    assert f"files: {job.address}" in finished.stdout
    assert job.bucket.names() == NAMES
    assert sum(service.paid().values()) == ITEMS


def test_other_place_for_the_files_of_a_job_is_refused(job: Job, service: Service) -> None:
    job("run")
    write_manifest(job.manifest, ITEMS)

    refused = job("run")

    assert refused.returncode == 2
    assert f"has its files in {job.address}, not in {job.folder}" in refused.stderr
    assert job("status").returncode == 0
    option = job("run", "--output", job.address)
    assert option.returncode == 2
    assert "not with --output" in option.stderr


def test_rehearsal_stores_its_files_locally(job: Job) -> None:
    rehearsed = job("run", "--rehearse")

    assert rehearsed.returncode == 0, rehearsed.stderr
    assert job.bucket.names() == []
    local = job.folder.with_name("cards.rehearsal")
    assert len(list(local.glob("card-*.png"))) == ITEMS
