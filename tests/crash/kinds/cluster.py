"""A cluster job: workers are killed and stopped, its run is interrupted, its database restarted."""

from __future__ import annotations

import signal
import subprocess
import time

from tests.cluster.scene import Scene as ClusterScene
from tests.cluster.scene import audit, new_scene
from tests.crash.processes import Skipped
from tests.crash.scene import Scene
from tests.harness.postgres import is_installed

ITEMS, RATE = 600, 40.0
WORKERS = (1, 2, 3)
#: Seconds after which a run that has what it needs must have ended.
PATIENCE = 300.0
_SERVICE = ("--service-time", "uniform:0.2,3", "--latency", "uniform:0,0.5")


def failing_cluster(scene: Scene) -> None:
    """Disturb a cluster some times, then let it end its job, and audit it."""
    if not is_installed():
        raise Skipped("PostgreSQL is not installed")
    with new_scene(RATE, *_SERVICE) as cluster:
        _Disturbance(scene, cluster).go_on()
        _end(scene, cluster)
        found = audit(cluster)
        scene.counts.update(submissions=found.submissions, held=found.statuses["held"])
        ended = found.statuses["done"] + found.statuses["held"]
        scene.check(not found.duplicates, f"{found.duplicates} submissions were made again")
        scene.check(not found.lost, f"{found.lost} task ids are lost")
        scene.check(ended == ITEMS, f"items are neither done nor held: {dict(found.statuses)}")
        if scene.found:
            for host in range(len(WORKERS) + 1):
                (scene.folder / f"host{host}.log").write_text(cluster.log(f"host{host}"))


class _Disturbance:
    def __init__(self, scene: Scene, cluster: ClusterScene) -> None:
        self._scene, self._cluster, self._dice = scene, cluster, scene.random
        cluster.write_manifest(ITEMS)
        self._workers = {number: self._worker(number) for number in WORKERS}
        self._run = cluster.run()
        scene.counts["runs"] += 1

    def go_on(self) -> None:
        """Disturb the cluster at random, and leave its workers as they are then."""
        for _ in range(self._dice.randrange(3, 9)):
            time.sleep(self._dice.uniform(0.0, 4.0))
            self._dice.choice((self._kill, self._stop, self._end, self._restart, self._interrupt))()
        self._run.send_signal(signal.SIGINT)
        self._run.wait(PATIENCE)

    def _worker(self, number: int) -> subprocess.Popen[str]:
        return self._cluster.worker(number, "--take-over-after", "3s")

    def _kill(self) -> None:
        number = self._dice.choice(WORKERS)
        self._workers[number].kill()
        self._workers[number].wait()
        self._workers[number] = self._worker(number)
        self._scene.counts["kills"] += 1

    def _stop(self) -> None:
        worker = self._workers[self._dice.choice(WORKERS)]
        worker.send_signal(signal.SIGSTOP)
        time.sleep(self._dice.uniform(0.0, 6.0))
        worker.send_signal(signal.SIGCONT)

    def _end(self) -> None:
        number = self._dice.choice(WORKERS)
        self._workers[number].send_signal(signal.SIGTERM)
        self._workers[number].wait(PATIENCE)
        self._workers[number] = self._worker(number)

    def _restart(self) -> None:
        self._cluster.server.stop()
        time.sleep(self._dice.uniform(0.0, 5.0))
        self._cluster.server.start()

    def _interrupt(self) -> None:
        self._run.send_signal(self._dice.choice((signal.SIGINT, signal.SIGKILL)))
        self._run.wait(PATIENCE)
        self._run = self._cluster.run()
        self._scene.counts["runs"] += 1


def _end(scene: Scene, cluster: ClusterScene) -> None:
    """Run the job until each item is done or held."""
    for _ in range(5):
        code = cluster.run().wait(PATIENCE)
        scene.counts["runs"] += 1
        statuses = cluster.statuses()
        if statuses["done"] + statuses["held"] == ITEMS:
            return
        scene.check(code in (0, 1, 3), f"the run exited {code}")
