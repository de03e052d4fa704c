"""A rehearsal against the simulator that acts as the manifest's provider."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import batch_runner
from batch_runner import ItemStatus, Manifest
from batch_runner.providers import PROVIDERS
from batch_runner.simulator import PERSONALITIES

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

RUNNINGHUB = """\
provider: runninghub
workflow: "19041"
params: {"6": {text: "{{ prompt }}"}}
prompts: [a horse]
"""
OWN = """\
description: 1
title: Mine
source: none
base_url: https://mine.example
task_id: "[0-9]+"
submit: {request: POST /tasks, json: "{{ params }}", task_id: id}
status:
  request: GET /tasks/{{ task_id }}
  word: state
  words: {completed: [done], failed: [broken]}
result: {urls: url}
"""


def submissions(manifest: Manifest) -> list[dict[str, Any]]:
    """Return what the simulator of a rehearsal has accepted."""
    folder = manifest.output_folder.with_name(f"{manifest.output_folder.name}.rehearsal")
    lines = (folder / ".batch" / "simulator.jsonl").read_text("utf-8").splitlines()
    return [event for line in lines if (event := json.loads(line))["kind"] == "submit"]


async def test_baicai_is_sent_what_it_was_always_sent(manifest: Manifest) -> None:
    settings = batch_runner.load_settings(manifest, {"max_submissions": "1"})
    await batch_runner.run_job(manifest, settings=settings, rehearse=True)

    (event,) = submissions(manifest)
    assert event["body"] == '{"workflowId": "w", "params": {"6": {"text": "horse 0"}}}'


async def test_another_provider_is_rehearsed_as_itself(tmp_path: Path) -> None:
    path = tmp_path / "cards.yaml"
    path.write_text(RUNNINGHUB)
    manifest = batch_runner.load_manifest(path)
    summary = await batch_runner.run_job(manifest, rehearse=True)

    assert summary.counts[ItemStatus.DONE] == 1
    (event,) = submissions(manifest)
    assert json.loads(event["body"])["nodeInfoList"] == [
        {"nodeId": "6", "fieldName": "text", "fieldValue": "a horse"}
    ]


async def test_own_description_cannot_be_rehearsed(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "batch-runner" / "providers"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(OWN)
    path = tmp_path / "cards.yaml"
    path.write_text(RUNNINGHUB.replace("runninghub", "mine"))
    manifest = batch_runner.load_manifest(path)

    with pytest.raises(batch_runner.UsageError, match="mine cannot be rehearsed"):
        await batch_runner.run_job(manifest, rehearse=True)
    assert not manifest.output_folder.parent.exists()


def test_every_built_in_provider_can_be_rehearsed() -> None:
    assert {info.simulated_as for info in PROVIDERS.built_in()} <= set(PERSONALITIES)
