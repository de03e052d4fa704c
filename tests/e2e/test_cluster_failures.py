"""A cluster under failures: every item is done or held by name, nothing is paid twice or lost."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.cluster.network import Network, can_have_networks, new_network
from tests.cluster.scene import Scene, audit, new_scene
from tests.e2e.conftest import wait_until
from tests.harness.commands import PATIENCE
from tests.harness.postgres import postgres

ITEMS, TWO_SHARDS, RATE = 300, 600, 100.0
SOON, NEVER = ("--take-over-after", "3s"), ("--take-over-after", "1h")

pytestmark = pytest.mark.slow


#: Responses that take a second: there are submissions on their way at any time.
SERVICE = ("--service-time", "200ms", "--latency", "1s")


@pytest.fixture
def scene() -> Iterator[Scene]:
    postgres()  # skips
    with new_scene(RATE, *SERVICE) as scene:
        scene.write_manifest(ITEMS)
        yield scene


def check(scene: Scene, items: int = ITEMS, *, held: int = 0) -> None:
    """Check that every item is done, but for up to `held` that are held, and that each is paid."""
    found = audit(scene)
    assert (found.duplicates, found.lost) == (0, 0)
    assert found.statuses["done"] + found.statuses["held"] == items
    assert found.statuses["held"] <= held


def test_others_take_over_from_a_worker_that_is_killed(scene: Scene) -> None:
    killed, _ = scene.worker(1, *SOON), scene.worker(2, *SOON)
    run = scene.run()
    scene.wait_for_submissions(ITEMS // 3)

    killed.kill()
    run.wait(PATIENCE)

    check(scene, held=ITEMS // 2)  # what it had sent without an answer


def test_stopped_worker_submits_nothing_more_and_keeps_the_outcomes(scene: Scene) -> None:
    stopped = scene.worker(1, *SOON)
    run = scene.run()
    scene.wait_for_submissions(ITEMS // 3)
    stopped.send_signal(signal.SIGSTOP)
    scene.worker(2, *SOON)
    run.wait(PATIENCE)
    check(scene, held=ITEMS // 2)
    assert scene.statuses()["held"]

    stopped.send_signal(signal.SIGCONT)
    wait_until(lambda: scene.statuses()["done"] == ITEMS)

    check(scene)


@pytest.mark.parametrize("lease", [SOON, NEVER], ids=["soon", "never"])
def test_workers_come_back_when_the_database_does(scene: Scene, lease: tuple[str, str]) -> None:
    for number in (1, 2):
        scene.worker(number, *lease)
    run = scene.run()
    scene.wait_for_submissions(ITEMS // 3)

    scene.server.stop()
    scene.server.start()
    run.wait(PATIENCE)

    check(scene, held=ITEMS // 2 if lease is SOON else 0)


def test_interrupted_run_is_followed_again(scene: Scene) -> None:
    scene.worker(1)
    run = scene.run()
    scene.wait_for_submissions(ITEMS // 3)

    run.send_signal(signal.SIGINT)
    assert run.wait(PATIENCE) == 3
    assert scene.run().wait(PATIENCE) == 0

    check(scene)


def test_job_is_given_to_workers_by_one_run_at_a_time(scene: Scene) -> None:
    first = scene.run()
    scene.wait_until_given(first)

    assert scene.run().wait(PATIENCE) == 5

    scene.worker(1)
    assert first.wait(PATIENCE) == 0
    check(scene)


def test_others_take_over_at_once_from_a_worker_that_ends(scene: Scene) -> None:
    ended, _ = scene.worker(1, *NEVER), scene.worker(2, *NEVER)
    run = scene.run()
    scene.wait_for_submissions(ITEMS // 3)

    ended.send_signal(signal.SIGTERM)
    assert ended.wait(PATIENCE) == 0
    assert run.wait(PATIENCE) == 0

    check(scene)


def test_nothing_is_submitted_from_an_older_state_of_the_database(scene: Scene) -> None:
    run = scene.run()
    scene.wait_until_given(run)
    older = scene.folder / "older"
    while_stopped(scene, lambda data: shutil.copytree(data, older))
    workers = [scene.worker(number, *SOON) for number in (1, 2)]
    scene.wait_for_submissions(ITEMS // 3)

    while_stopped(scene, lambda data: replace(data, older))

    assert run.wait(PATIENCE) == 3
    wait_until(lambda: paused(scene) is not None)
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0
    submissions = scene.submissions()
    assert len({one["body"] for one in submissions}) == len(submissions)
    assert "an older state of the database was restored" in str(paused(scene))
    scene.worker(3, "--until-idle").wait(PATIENCE)
    assert len(scene.submissions()) == len(submissions)


def while_stopped(scene: Scene, change: Callable[[Path], object]) -> None:
    scene.server.stop()
    change(scene.server.folder / "data")
    scene.server.start()


def replace(data: Path, older: Path) -> None:
    owner = data.stat()
    shutil.rmtree(data)
    shutil.copytree(older, data)
    for path in (data, *data.rglob("*")):
        shutil.chown(path, owner.st_uid, owner.st_gid)
    data.chmod(0o700)


def paused(scene: Scene) -> str | None:
    with psycopg.connect(scene.server.dsn) as connection:
        row = connection.execute("SELECT paused FROM batch_runner.jobs").fetchone()
    return None if row is None else row[0]


@pytest.fixture
def network() -> Iterator[Network]:
    postgres()  # skips
    if not can_have_networks():
        pytest.skip("needs root and network namespaces")
    with new_network() as network:
        yield network


@pytest.mark.soak
def test_worker_that_is_cut_off_from_the_database_keeps_the_outcomes(network: Network) -> None:
    with new_scene(RATE, *SERVICE, network=network) as scene:
        scene.write_manifest(ITEMS)
        scene.worker(1, *SOON)
        run = scene.run()
        scene.wait_for_submissions(ITEMS // 3)
        scene.worker(2, *SOON)

        network.cut("database")
        run.wait(PATIENCE)
        check(scene, held=ITEMS // 2)

        network.mend("database")
        wait_until(lambda: scene.statuses()["done"] == ITEMS)
        check(scene)


@pytest.mark.soak
def test_worker_that_is_cut_off_from_the_service_leaves_its_items(network: Network) -> None:
    with new_scene(RATE, *SERVICE, network=network) as scene:
        scene.write_manifest(TWO_SHARDS)
        timeouts = (
            "timeouts: {submit: 3s, status: 3s, connect: 3s, outage: 5s, first_contact: 5s}\n"
        )
        scene.manifest.write_text(timeouts + scene.manifest.read_text())
        for number in (1, 2):
            scene.worker(number, *SOON)
        run = scene.run()
        scene.wait_for_submissions(TWO_SHARDS // 2)

        network.cut("service")
        run.wait(PATIENCE)

        check(scene, TWO_SHARDS, held=TWO_SHARDS // 2)
