"""`cluster status`, `stop` and `approve`, and what `run --cluster` says; workers are processes."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batch_runner.api.steps import load_manifest
from batch_runner.cluster import jobs
from tests.cluster.scene import Scene, new_scene
from tests.e2e.conftest import wait_until, write_manifest
from tests.harness.cluster_job import ClusterJob
from tests.harness.commands import PATIENCE, bare_environment, run_command
from tests.harness.postgres import postgres

pytestmark = pytest.mark.slow

PASSWORD = "a-password-that-must-not-leak"
RATE = 4.0


@pytest.fixture
def scene() -> Iterator[Scene]:
    with new_scene(RATE, "--service-time", "uniform:0.5,1", "--image-bytes", "3000") as made:
        yield made


def in_flight(scene: Scene) -> bool:
    """Return whether `cluster status` shows a worker with a task in flight."""
    listed = scene.command("cluster", "status", "--json").stdout.splitlines()[1:]
    workers = [worker for line in listed for worker in json.loads(line)["workers"]]
    return any(worker["in_flight"] for worker in workers)


def test_status_shows_a_cluster_at_work_and_at_its_end(scene: Scene) -> None:
    empty = scene.command("cluster", "status")
    scene.write_manifest(20)
    worker = scene.worker(1)
    run = scene.run()
    wait_until(lambda: in_flight(scene))

    during = scene.command("cluster", "status")
    run.wait(PATIENCE)
    after = scene.command("cluster", "status", "--json")

    assert empty.stdout.splitlines()[-1] == "no job has been given to the workers of this cluster"
    lines = during.stdout.splitlines()
    assert (during.returncode, during.stderr) == (0, "")
    assert lines[2].startswith("it answers in ")
    assert lines[3].startswith("cards: ")
    assert lines[4] == f"  output folder: {scene.out}"
    assert lines[5].startswith("  1 of 1 shards left; ")
    assert lines[5].endswith(" submissions/s in the last minute, 4/s allowed")
    assert f", process {worker.pid}: since " in lines[6]
    assert "; 1 shard, " in lines[6]
    database, job = map(json.loads, after.stdout.splitlines())
    assert (database["kind"], job["kind"]) == ("database", "job")
    assert (job["name"], job["items"], job["submissions"]) == ("cards", {"done": 20}, 20)
    assert (job["shards"], job["shards_left"], job["stopped"]) == (1, 0, None)


def test_stop_lets_tasks_in_flight_finish(scene: Scene) -> None:
    scene.write_manifest(200)
    scene.worker(1)
    run = scene.run()
    scene.wait_for_submissions(3)

    stopped = scene.command("cluster", "stop", str(scene.out))
    code = run.wait(PATIENCE)
    again = scene.command("cluster", "stop", str(scene.out))

    assert stopped.stdout.startswith("stopped: nothing more is submitted")
    assert code == 3
    assert "stopped early: `batch-runner cluster stop` was used on " in scene.log("host0")
    statuses = scene.statuses()
    assert set(statuses) == {"done", "pending"}
    assert statuses["done"] == len(scene.submissions())
    assert again.stdout.startswith("the workers have nothing to do for this job")


def test_workers_go_on_after_a_signal_and_are_followed_again(scene: Scene) -> None:
    scene.write_manifest(16)
    scene.worker(1)
    first = scene.run()
    scene.wait_for_submissions(2)

    first.send_signal(signal.SIGINT)
    interrupted = first.wait(PATIENCE)
    printed = scene.log("host0")
    second = scene.run().wait(PATIENCE)

    assert (interrupted, second) == (3, 0)
    assert "the workers go on. The same command follows them again, `batch-runner " in printed
    assert f"run {scene.manifest} --output {scene.out} --cluster; stop them: " in printed
    assert f"cluster stop {scene.out}" in printed
    assert len(scene.submissions()) == 16


def test_worker_says_what_it_does(scene: Scene) -> None:
    idle = scene.worker(1, "--until-idle").wait(PATIENCE)  # there is no job yet
    scene.write_manifest(5)
    run = scene.run()
    worker = scene.worker(2)
    followed = run.wait(PATIENCE)
    worker.terminate()
    ended = worker.wait(PATIENCE)

    assert (idle, followed, ended) == (0, 0, 0)
    assert scene.log("host1").splitlines()[-1].endswith("ended: 0 submissions, 0 polls")
    printed = scene.log("host2")
    assert f", process {worker.pid} on " in printed
    assert f"; database on {scene.server.folder}, PostgreSQL " in printed
    assert f"processing the job in {scene.out}, run 1\n" in printed
    assert "ended: 5 submissions, " in printed


def test_quiet_worker_prints_only_warnings(scene: Scene) -> None:
    scene.write_manifest(3)
    run = scene.run()
    worker = scene.worker(1, "--quiet")
    run.wait(PATIENCE)
    worker.terminate()

    assert worker.wait(PATIENCE) == 0
    assert scene.log("host1") == (
        "stopping: waiting for requests being sent; signal again to abort\n"
    )


class PausedJob:
    """A cluster job that workers have paused because its database is older than it was."""

    def __init__(self, folder: Path) -> None:
        server = postgres()
        self.dsn = f"{server.dsn_of(server.create_database())} password={PASSWORD}"
        self.environment = bare_environment(HOME=str(folder), BATCH_RUNNER_CLUSTER=self.dsn)
        self.out = folder / "out"
        assert self("cluster", "init").returncode == 0
        manifest = folder / "cards.yaml"
        write_manifest(manifest, 3)
        specs = list(load_manifest(manifest).items())
        job = ClusterJob(self.out, origin="http://127.0.0.1:9", dsn=self.dsn)
        with closing(job.journal), jobs.connected(self.dsn) as connection:
            job.list(*specs)
            job.submitted(specs[0])
            jobs.activate(connection, job.schema, dict(job.journal.job()), "account")
            jobs.pause(connection, job.schema, "the database is older than it was")
        self.schema = job.schema

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        done = run_command(*words, environment=self.environment)
        assert PASSWORD not in done.stdout + done.stderr
        return done

    def row(self) -> jobs.ClusterJob:
        with jobs.connected(self.dsn) as connection:
            (row,) = jobs.all_jobs(connection)
            return row


@pytest.fixture
def paused(tmp_path: Path) -> PausedJob:
    return PausedJob(tmp_path)


def test_status_shows_a_pause(paused: PausedJob) -> None:
    lines = paused("cluster", "status").stdout.splitlines()

    assert "  paused: the database is older than it was" in lines
    assert "  `batch-runner cluster approve` ends the pause" in lines


def test_approve_shows_the_risk_and_needs_an_answer(paused: PausedJob) -> None:
    refused = paused("cluster", "approve", str(paused.out))
    before = paused.row()
    approved = paused("cluster", "approve", str(paused.out), "--yes")
    again = paused("cluster", "approve", str(paused.out), "--yes")

    assert (refused.returncode, before.paused is None, before.approvals) == (2, False, 0)
    assert "would be paid for again: at most 2 submissions" in refused.stderr
    assert "If you accept that, add --yes" in refused.stderr
    assert (approved.returncode, paused.row().paused, paused.row().approvals) == (0, None, 1)
    assert again.stdout == "this job is not paused; nothing was changed\n"


def test_status_without_the_tables_says_what_to_do() -> None:
    server = postgres()
    dsn = server.dsn_of(server.create_database())
    done = run_command("cluster", "status", environment=bare_environment(BATCH_RUNNER_CLUSTER=dsn))

    assert (done.returncode, done.stdout) == (2, "")
    assert "is not set up for a cluster; `batch-runner cluster init` does that" in done.stderr


def cluster_checks(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    """Return what `doctor --json` found of the cluster, by name."""
    rows = map(json.loads, done.stdout.splitlines())
    return {row["check"]: row for row in rows if row["check"].startswith("cluster")}


def test_doctor_checks_the_database(paused: PausedJob) -> None:
    found = cluster_checks(paused("doctor", "--json"))
    not_asked = cluster_checks(paused("doctor", "--json", "--offline"))

    assert {name: row["level"] for name, row in found.items()} == {
        "cluster": "ok",
        "cluster clock": "ok",
    }
    assert " of 100 connections in use; it answers in " in found["cluster"]["seen"]
    assert not_asked["cluster"]["seen"] == "its database was not asked (--offline)"


def test_doctor_reports_a_database_that_cannot_be_used(paused: PausedJob) -> None:
    server = postgres()
    empty = server.dsn_of(server.create_database(), password=PASSWORD)
    dsns = (f"host=/nowhere-at-all password={PASSWORD}", f"postgresql://a:{PASSWORD}@b@c/d", empty)
    found = []
    for dsn in dsns:
        paused.environment["BATCH_RUNNER_CLUSTER"] = dsn
        found.append(cluster_checks(paused("doctor", "--json"))["cluster"])
    del paused.environment["BATCH_RUNNER_CLUSTER"]

    assert {one["level"] for one in found} == {"problem"}
    unreachable, invalid, not_set_up = (one["seen"] for one in found)
    assert unreachable.startswith("the database of the cluster cannot be reached: ")
    assert invalid == "the connection string of the database is not valid"
    assert "`batch-runner cluster init` does that" in not_set_up
    assert cluster_checks(paused("doctor", "--json")) == {}


@pytest.mark.parametrize("name", ["stop", "approve"])
def test_job_of_one_host_is_refused(paused: PausedJob, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "single"
    (folder / ".batch").mkdir(parents=True)
    (folder / ".batch-job.json").write_text("{}")

    done = paused("cluster", name, str(folder))
    argument = paused("cluster", name, f"postgresql://me:{PASSWORD}@db/cluster")

    assert (done.returncode, done.stdout) == (2, "")
    assert "is not one of a cluster" in done.stderr
    assert argument.returncode == 2
