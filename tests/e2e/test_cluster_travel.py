"""What workers on other hosts need of a job, and get through the database."""

from __future__ import annotations

import functools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

import batch_runner
from batch_runner.errors import UsageError
from batch_runner.lifecycle import ItemStatus
from tests.cluster.scene import DONE, PATIENCE, Scene, new_scene
from tests.e2e.conftest import KEY, Service, write_manifest
from tests.harness.commands import simulator_process

pytestmark = pytest.mark.slow

DESCRIPTION = Path(__file__).parents[1] / "contract/idempotent.yaml"


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


def write_comfyui_job(scene: Scene, items: int) -> None:
    """Write a manifest whose items scale one photo to different widths."""
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "2": {
            "class_type": "ImageScale",
            "inputs": {
                "image": ["1", 0],
                "upscale_method": "bicubic",
                "width": 8,
                "height": 8,
                "crop": "disabled",
            },
        },
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "a"}},
    }
    (scene.folder / "cards.json").write_text(json.dumps(graph))
    (scene.folder / "photo.png").write_bytes(b"a photo")
    prompts = (f"  - {{id: card-{n}, prompt: '{100 + n}'}}\n" for n in range(items))
    scene.manifest.write_text(
        "provider: comfyui\nworkflow: cards.json\nfiles: {photo: photo.png}\n"
        'params: {"1": {image: "{{ photo }}"}, "2": {width: "{{ prompt | int }}"}}\n'
        "limits: {rate: 10/s}\npolling: {first: 200ms, shortest: 100ms}\nprompts:\n"
        + "".join(prompts)
    )


def test_workers_use_the_comfyui_server_of_their_host(scene: Scene) -> None:
    write_comfyui_job(scene, 40)
    options = ("--as", "comfyui", "--service-time", "0.2", "--image-bytes", "3000")
    with simulator_process(*options) as first, simulator_process(*options) as second:
        services = [Service(*first), Service(*second)]
        for number, service in enumerate(services, 1):
            scene.variables[f"host{number}"] = {"COMFYUI_BASE_URL": service.url}
            scene.worker(number)
        without = scene.worker(3)
        code = scene.run().wait(PATIENCE)
        ledgers = [service.ledger() for service in services]
    without.terminate()
    without.wait(PATIENCE)

    assert code == 0, scene.log("host0") + scene.log("host1")
    assert scene.statuses() == {DONE: 40}
    assert len(list(scene.out.glob("*.png"))) == 40
    assert all(ledger["submissions"] and len(ledger["uploads"]) == 1 for ledger in ledgers)
    widths = [one["params"]["2"]["width"] for each in ledgers for one in each["submissions"]]
    assert sorted(map(int, widths)) == list(range(100, 140))
    assert 'job "cards": set COMFYUI_BASE_URL to the address of' in scene.log("host3")


def test_items_of_a_killed_host_are_executed_by_another_server(scene: Scene) -> None:
    write_comfyui_job(scene, 30)
    options = ("--as", "comfyui", "--service-time", "0.5", "--image-bytes", "3000")
    with simulator_process(*options) as first, simulator_process(*options) as second:
        for number, (_, url) in enumerate((first, second), 1):
            scene.variables[f"host{number}"] = {"COMFYUI_BASE_URL": url}
        worker = scene.worker(1, "--take-over-after", "5s")
        run = scene.run()
        Service(*first).wait_for(lambda ledger: len(ledger["submissions"]) > 2)
        worker.kill()
        scene.worker(2, "--take-over-after", "5s")
        code = run.wait(PATIENCE)

    assert code == 0, scene.log("host0") + scene.log("host2")
    assert scene.statuses() == {DONE: 30}
    assert len(list(scene.out.glob("*.png"))) == 30


def test_worker_uses_a_description_that_its_user_has_approved(scene: Scene) -> None:
    description = scene.folder / "providers/own.yaml"
    description.parent.mkdir()
    shutil.copy(DESCRIPTION, description)
    scene.manifest.write_text(
        "provider: own\nworkflow: v1\nparams: {prompt: '{{ prompt }}'}\n"
        "polling: {first: 200ms, shortest: 100ms}\nprompts: [a, b, c]\n"
    )
    with simulator_process("--as", "idempotent") as (_, url):
        for host in range(4):
            scene.variables[f"host{host}"] = {"OWN_BASE_URL": url, "OWN_API_KEY": KEY}
        for host in (0, 1):
            assert scene.call(f"host{host}", "providers", "approve", str(description)) == 0
        trusted = scene.folder / "host2/.config/batch-runner/providers"
        trusted.mkdir(parents=True)
        shutil.copy(description, trusted)
        for host in (1, 2):
            run = scene.run()
            scene.wait_until_given(run)
            assert scene.call("host3", "worker", "--until-idle") == 0
            assert scene.call(f"host{host}", "worker", "--until-idle") == 0
            assert run.wait(PATIENCE) == 0, scene.log("host0") + scene.log(f"host{host}")
            scene.manifest.write_text(scene.manifest.read_text().replace("[a, b", "[d, a, b"))

    assert scene.statuses() == {DONE: 4}
    refusal = scene.log("host3")
    assert "own.yaml describes a service at https://idempotent.example" in refusal
    stored = re.search(r"providers approve (\S+)", refusal)
    assert stored is not None
    assert Path(stored[1]).read_bytes() == DESCRIPTION.read_bytes()


def test_library_gives_a_job_to_the_workers(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in scene.environment("host0").items():
        monkeypatch.setenv(name, value)
    write_manifest(scene.manifest, 20)
    manifest = batch_runner.load_manifest(scene.manifest)

    async def give_and_cancel() -> None:
        with anyio.move_on_after(3):
            await run_job(manifest)

    run_job = functools.partial(batch_runner.run_job, output=scene.out, cluster=True)
    anyio.run(give_and_cancel)
    scene.worker(1)
    summary = anyio.run(run_job, manifest)

    assert summary.counts[ItemStatus.DONE] == 20, scene.log("host1")
    assert summary.exit_code is batch_runner.ExitCode.DONE
    assert set(scene.service.paid().values()) == {1}
    with pytest.raises(UsageError, match="is one of a cluster"):
        anyio.run(functools.partial(run_job, cluster=False), manifest)
    with pytest.raises(UsageError, match="a rehearsal runs on this host alone"):
        anyio.run(functools.partial(run_job, rehearse=True), manifest)
