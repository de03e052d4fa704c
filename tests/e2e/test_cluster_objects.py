"""A cluster whose results are in an object store: workers need no folder in common."""

from __future__ import annotations

import pytest

from tests.cluster.scene import Scene, new_scene
from tests.e2e.conftest import wait_until
from tests.harness.commands import PATIENCE
from tests.harness.object_store import object_server

pytestmark = pytest.mark.slow


def test_workers_without_the_output_folder_store_every_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = object_server()
    bucket = server.new_bucket()
    with new_scene(20.0, "--service-time", "uniform:0.5,1", "--image-bytes", "3000") as scene:
        plain = Scene.environment
        monkeypatch.setattr(
            Scene, "environment", lambda self, host: plain(self, host) | server.environment
        )
        scene.write_manifest(60)
        text = scene.manifest.read_text()
        address = f"output: {{folder: 's3://{bucket.name}/cards'}}\n"
        scene.manifest.write_text(text.replace("prompts:", f"{address}prompts:"))
        run = scene.start("host0", "run", str(scene.manifest), "--cluster")
        out = scene.folder / "out" / "cards"
        wait_until(lambda: scene.service.ledger()["totals"]["polls"] == 0 and out.is_dir())
        workers = [scene.worker(number) for number in (1, 2)]
        scene.wait_for_submissions(20)
        workers[0].kill()

        code = run.wait(PATIENCE)

        verified = scene.command("verify", str(scene.manifest))
        received = [scene.folder / f"host{number}" / ".local" for number in (1, 2)]
        assert verified.stderr == ""
        assert (code, verified.returncode) in ((0, 0), (1, 0))
        assert len(bucket.names()) >= 59
        assert not list(out.glob("*.png"))
        assert all(list(one.rglob("files.json")) for one in received)
        texts = [one["params"]["6"]["text"] for one in scene.submissions()]
        assert len(set(texts)) == len(texts)
