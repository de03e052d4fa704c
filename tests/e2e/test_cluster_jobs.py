"""Commands on a cluster job while its workers go on: what is safe, and what is refused."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from batch_runner.jobdir.paths import JobFolder
from batch_runner.journal.places import schema_of
from tests.cluster.scene import Scene, new_scene
from tests.e2e.conftest import wait_until
from tests.harness.commands import PATIENCE

pytestmark = pytest.mark.slow

RATE = 4.0


@pytest.fixture
def scene() -> Iterator[Scene]:
    with new_scene(RATE, "--service-time", "uniform:0.5,1", "--image-bytes", "3000") as made:
        yield made


def on_job(scene: Scene, name: str, *more: str) -> subprocess.CompletedProcess[str]:
    return scene.command(name, str(scene.manifest), *more, "--output", str(scene.out))


def give(scene: Scene) -> None:
    """Give the job to the workers, and leave it to them."""
    run = scene.run()
    scene.wait_for_submissions(2)
    run.send_signal(signal.SIGINT)
    assert run.wait(PATIENCE) == 3


def orders(scene: Scene) -> int:
    """Return how many runs have been given to the workers."""
    schema = schema_of(JobFolder(scene.out).journal)
    with psycopg.connect(scene.server.dsn) as connection:
        rows = connection.execute(f'SELECT run FROM "{schema}".run_orders'.encode())  # noqa: S608
        return len(rows.fetchall())


def test_commands_while_workers_go_on(scene: Scene) -> None:
    scene.write_manifest(2000)  # more than they can submit meanwhile
    scene.worker(1)
    give(scene)

    read = {
        name: on_job(scene, name).returncode
        for name in ("status", "plan", "report", "verify", "resolve")
    }
    retry = on_job(scene, "retry", "--all")
    redo = on_job(scene, "redo", "card-0")
    alone = on_job(scene, "run", "--yes")
    forget = scene.command("jobs", "forget", str(scene.out), "--yes")
    move = scene.command("jobs", "move", str(scene.out), str(scene.folder / "moved"))
    again = scene.run()
    wait_until(lambda: orders(scene) == 2)
    held_up = on_job(scene, "retry", "--all")
    scene.command("cluster", "stop", str(scene.out))
    end = again.wait(PATIENCE)

    assert read == {"status": 3, "plan": 0, "report": 0, "verify": 1, "resolve": 0}
    assert (retry.returncode, redo.returncode) == (0, 0), retry.stderr + redo.stderr
    assert (alone.returncode, "add --cluster" in alone.stderr) == (2, True)
    for done in (forget, move):
        assert (done.returncode, done.stdout) == (5, "")
        assert f"use `batch-runner cluster stop {scene.out}` first" in done.stderr
    assert (held_up.returncode, end) == (5, 3)
    paid = Counter(one["body"] for one in scene.submissions())
    assert set(paid.values()) == {1}
    assert scene.statuses() == {"done": len(paid), "pending": 2001 - len(paid)}


def test_status_watch_follows_workers_that_nobody_follows(scene: Scene) -> None:
    scene.write_manifest(16)
    scene.worker(1)
    give(scene)

    watched = on_job(scene, "status", "--watch", "--json")

    shown = [json.loads(line) for line in watched.stdout.splitlines()]
    assert (watched.returncode, shown[0]["running"], shown[-1]["running"]) == (0, True, False)
    assert shown[-1]["done"] == 16


def test_stop_without_a_worker_ends_the_run(scene: Scene) -> None:
    scene.write_manifest(3)
    run = scene.run()
    stopped = ""
    while not stopped.startswith("stopped: "):  # as soon as the run has given the job
        stopped = scene.command("cluster", "stop", str(scene.out)).stdout

    assert run.wait(PATIENCE) == 3
    assert scene.statuses() == {"pending": 3}


def test_forgotten_job_is_removed_from_the_database_if_wanted(scene: Scene) -> None:
    scene.write_manifest(2)
    scene.worker(1)
    assert scene.run().wait(PATIENCE) == 0
    schema = schema_of(JobFolder(scene.out).journal)

    done = scene.command("jobs", "forget", str(scene.out), "--with-journal", "--yes")

    assert done.returncode == 0
    assert "; its journal is removed from the database" in done.stderr
    with psycopg.connect(scene.server.dsn) as connection:
        assert connection.execute("SELECT * FROM batch_runner.jobs").fetchall() == []
        left = connection.execute("SELECT to_regnamespace(%s)", (schema,)).fetchone()
        assert left == (None,)
    assert scene.command("cluster", "status").returncode == 0


def test_run_with_cluster_on_a_job_of_one_host_is_refused(scene: Scene) -> None:
    scene.write_manifest(2)
    assert on_job(scene, "run", "--quiet").returncode == 0

    done = on_job(scene, "run", "--cluster")

    assert (done.returncode, done.stdout) == (2, "")
    assert "is not one of a cluster: continue it without --cluster" in done.stderr
