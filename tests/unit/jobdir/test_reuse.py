from __future__ import annotations

import json
from pathlib import Path

import pytest

from batch_runner.jobdir.reuse import Action, ReuseRules
from batch_runner.registry import Claim

KEY = "a" * 32
FILE = {"name": "card.png", "size": 3, "sha256": "0" * 64, "media_type": "image/png"}


def a_claim(folder: Path, status: str, *, task: str | None = None, mount: str = "/") -> Claim:
    files = json.dumps([FILE]) if status == "done" else "[]"
    return Claim(
        key=KEY,
        job="j" * 32,
        folder=str(folder),
        mount=mount,
        status=status,
        task_id=task,
        files=files,
    )


@pytest.mark.parametrize(
    ("status", "task", "action"),
    [
        ("done", "t", Action.DOWNLOAD),
        ("done", None, Action.HOLD),
        ("submitted", "t", Action.DOWNLOAD),
        ("downloading", "t", Action.DOWNLOAD),
        ("download_pending", "t", Action.DOWNLOAD),
        ("claimed", None, Action.HOLD),
        ("submitting", None, Action.HOLD),
        ("pending", "t", Action.HOLD),
        ("failed", "t", Action.FAIL),
        ("rejected", None, Action.FAIL),
        ("held", "t", Action.HOLD),
        ("dropped", "t", Action.HOLD),
    ],
)
def test_item_of_a_deleted_job_is_never_submitted(
    tmp_path: Path, status: str, task: str | None, action: Action
) -> None:
    prior = ReuseRules().decide([a_claim(tmp_path / "gone", status, task=task)])[KEY]

    assert prior.action is action


@pytest.mark.parametrize("status", ["claimed", "submitting", "submitted", "download_pending"])
def test_unfinished_item_on_an_unmounted_disk_waits(tmp_path: Path, status: str) -> None:
    claim = a_claim(tmp_path / "gone", status, task="t", mount=str(tmp_path / "disk"))

    assert ReuseRules().decide([claim])[KEY].action is Action.WAIT


@pytest.mark.parametrize(("content", "action"), [(b"abc", Action.COPY), (b"abcd", Action.DOWNLOAD)])
def test_file_of_the_recorded_size_is_copied(
    tmp_path: Path, content: bytes, action: Action
) -> None:
    tmp_path.joinpath("card.png").write_bytes(content)

    assert ReuseRules().decide([a_claim(tmp_path, "done", task="t")])[KEY].action is action


def test_best_of_several_jobs_decides(tmp_path: Path) -> None:
    tmp_path.joinpath("card.png").write_bytes(b"abc")
    claims = [
        a_claim(tmp_path / "one", "held"),
        a_claim(tmp_path, "done", task="t"),
        a_claim(tmp_path / "two", "failed"),
    ]

    assert ReuseRules().decide(claims)[KEY].action is Action.COPY
