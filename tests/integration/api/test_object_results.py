"""The library, if results are in an object store."""

from __future__ import annotations

from pathlib import Path

import pytest

import batch_runner
from batch_runner import ExitCode, ItemDone, ItemStatus, RunEvent
from batch_runner.errors import UsageError
from tests.harness import service_at, simulated_service
from tests.harness.object_store import Bucket, object_server

pytestmark = pytest.mark.anyio


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name, value in object_server().environment.items():
        monkeypatch.setenv(name, value)
    return object_server().new_bucket()


def manifest_for(path: Path, address: str) -> batch_runner.Manifest:
    path.write_text(
        'workflow: w\nparams: {"6": {text: "{{ prompt }}"}}\nprompts: [{id: card, prompt: a}]\n'
        f"output: {{folder: {address}/}}\n"
    )
    return batch_runner.load_manifest(path)


async def test_items_and_events_have_addresses(bucket: Bucket, tmp_path: Path) -> None:
    manifest = manifest_for(tmp_path / "cards.yaml", f"s3://{bucket.name}/a")
    events: list[RunEvent] = []
    async with simulated_service(service_time="uniform:0.05,0.2") as simulator:
        service = service_at(simulator)
        summary = await batch_runner.run_job(manifest, service=service, on_event=events.append)

    assert summary.exit_code is ExitCode.DONE
    (item,) = batch_runner.iter_items(manifest, ItemStatus.DONE)
    (done,) = (event for event in events if isinstance(event, ItemDone))
    assert item.addresses == done.addresses == (f"s3://{bucket.name}/a/card.png",)
    assert item.files == done.files == ()
    assert bucket.names() == ["a/card.png"]
    assert manifest.output_folder == tmp_path / "out/cards"
    assert (manifest.output_folder / "index.html").exists()


async def test_rehearsed_items_have_paths(bucket: Bucket, tmp_path: Path) -> None:
    manifest = manifest_for(tmp_path / "cards.yaml", f"s3://{bucket.name}/a")

    await batch_runner.run_job(manifest, rehearse=True)

    (item,) = batch_runner.iter_items(manifest, rehearse=True)
    assert item.addresses == tuple(map(str, item.files))
    assert item.files[0].is_file()
    assert bucket.names() == []


async def test_address_is_no_output_folder(bucket: Bucket, tmp_path: Path) -> None:
    manifest = manifest_for(tmp_path / "cards.yaml", f"s3://{bucket.name}/a")

    with pytest.raises(UsageError, match=r"named in the manifest \(output.folder\)"):
        batch_runner.plan_job(manifest, output=f"s3://{bucket.name}/b")
