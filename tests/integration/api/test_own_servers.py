"""The servers of a manifest, and what makes a job on them the same job."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import batch_runner
from batch_runner.api.steps import identity_of

GRAPH = {
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a"}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "a", "images": ["6", 0]}},
}
JOB = (
    'provider: comfyui\nworkflow: "{{ style }}.json"\nparams: {"6": {text: "{{ prompt }}"}}\n'
    "prompts: [{prompt: a, style: ink}]\n"
)


def manifest(folder: Path, servers: str = "") -> batch_runner.Manifest:
    (folder / "ink.json").write_text(json.dumps(GRAPH))
    (folder / "cards.yaml").write_text(JOB + servers)
    return batch_runner.load_manifest(folder / "cards.yaml")


def test_servers_of_the_manifest_are_used_unless_the_environment_names_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = manifest(tmp_path, "base_urls: [http://gpu1:8188, http://gpu2:8188]\n")

    assert batch_runner.load_service(two).base_urls == ("http://gpu1:8188", "http://gpu2:8188")
    assert batch_runner.load_service(manifest(tmp_path)).base_url == "http://127.0.0.1:8188"
    monkeypatch.setenv("COMFYUI_BASE_URL", "http://gpu3:8188")
    assert batch_runner.load_service(two).base_urls == ("http://gpu3:8188",)


def test_service_reads_workflow_files_when_they_are_needed(tmp_path: Path) -> None:
    service = batch_runner.load_service(manifest(tmp_path))

    assert service.workflows["ink.json"] == GRAPH
    assert service.workflows.get("oil.json") is None


def test_job_stays_the_same_on_other_servers_of_the_user(tmp_path: Path) -> None:
    first = manifest(tmp_path, "base_url: http://gpu1:8188\n")
    moved = manifest(tmp_path, "base_url: http://gpu2:8199\n")

    identities = {identity_of(one, batch_runner.load_service(one)) for one in (first, moved)}

    assert len(identities) == 1
