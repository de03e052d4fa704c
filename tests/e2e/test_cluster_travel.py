"""What workers on other hosts need of a job, and get through the database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.scene import DONE, PATIENCE, Scene, new_scene
from tests.e2e.conftest import write_manifest

pytestmark = pytest.mark.slow


@pytest.fixture
def scene() -> Iterator[Scene]:
    with new_scene(50, "--service-time", "uniform:0.1,0.4", "--image-bytes", "3000") as made:
        yield made


def write_manifest_with_photos(scene: Scene, items: int, *photos: str) -> None:
    """Write a manifest whose items use the photos in turn."""
    write_manifest(scene.manifest, 0)
    text = scene.manifest.read_text().replace(
        '{text: "{{ prompt }}"}', '{text: "{{ prompt }}", photo: "{{ photo }}"}'
    )
    text = text.replace("prompts:\n", 'files: {photo: "{{ source }}"}\nprompts:\n')
    each = (
        f"  - {{id: card-{n}, prompt: horse {n}, source: {photos[n % len(photos)]}}}\n"
        for n in range(items)
    )
    scene.manifest.write_text(text + "".join(each))


def test_worker_uploads_an_input_file_that_only_the_first_host_has(scene: Scene) -> None:
    photo = scene.folder / "photo.png"
    photo.write_bytes(bytes(range(256)) * 40_000)  # more than one part
    write_manifest_with_photos(scene, 20, photo.name)
    run = scene.run()
    scene.wait_until_given(run)
    photo.unlink()

    scene.worker(1)

    assert run.wait(PATIENCE) == 0, scene.log("host1")
    assert scene.statuses() == {DONE: 20}
    (upload,) = scene.service.ledger()["uploads"]
    assert upload["size"] == 10_240_000
    (sent,) = {one["params"]["6"]["photo"] for one in scene.submissions()}
    assert sent.endswith(upload["path"])


def test_large_input_file_rejects_its_item_only(scene: Scene) -> None:
    with (scene.folder / "large.png").open("wb") as large:
        large.truncate(100_000_001)
    (scene.folder / "small.png").write_bytes(b"small")
    write_manifest_with_photos(scene, 2, "large.png", "small.png")
    scene.worker(1)

    assert scene.run().wait(PATIENCE) == 1, scene.log("host1")
    assert scene.statuses() == {DONE: 1, "rejected": 1}
    assert scene.call("host0", "status", "--output", str(scene.out)) == 1
    assert "in a cluster an input file may have 100 MB" in scene.log("host0")
