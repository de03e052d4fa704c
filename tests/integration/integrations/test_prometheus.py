"""The Prometheus file of a run in virtual time."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from batch_runner.engine.context import Run
from batch_runner.engine.summary import ExitCode
from batch_runner.integrations.prometheus import keep_metrics
from tests.harness import run_job, simulated_service, some_items

pytestmark = pytest.mark.anyio


def samples(path: Path) -> dict[tuple[str, str], float]:
    """Return the samples of a file by name and status or share."""
    assert not list(path.parent.glob(f".{path.name}*"))  # no temporary file is left
    found = {}
    for family in text_string_to_metric_families(path.read_text("utf-8")):
        assert family.documentation
        for sample in family.samples:
            label = sample.labels.get("status") or sample.labels.get("share") or ""
            assert (sample.name, label) not in found
            found[sample.name, label] = sample.value
    return found


async def test_final_metrics_agree_with_the_summary(tmp_path: Path) -> None:
    path = tmp_path / "batch.prom"
    faults = ("fail:submit:times=2", "lose_answer:submit:times=1:after=4", "limited:status:times=1")
    root = tmp_path / 'a "folder" \\ of ours'
    items = [replace(item, workflow='w"\\\n') for item in some_items(8)]

    async with simulated_service(*faults) as simulator:
        summary = await run_job(
            root, simulator, items, background_tasks=[functools.partial(keep_metrics, path=path)]
        )

    found = samples(path)
    for status, count in summary.counts.items():
        assert found["batch_runner_items", status.value] == count
    assert found["batch_runner_items", "held"] == 1
    assert found["batch_runner_items", "failed"] == 2
    assert found["batch_runner_submissions_total", ""] == summary.submissions == 8
    assert found["batch_runner_polls_total", ""] == summary.polls
    assert found["batch_runner_limited_total", ""] == summary.limited == 1
    assert found["batch_runner_paid_submissions", ""] == summary.spent
    assert found["batch_runner_rate", ""] > 0
    seconds = [found["batch_runner_task_seconds", share] for share in ("0.5", "0.9")]
    assert 1 <= seconds[0] <= seconds[1]
    families = text_string_to_metric_families(path.read_text("utf-8"))
    every = [sample.labels for family in families for sample in family.samples]
    assert {labels["folder"] for labels in every} == {str(root)}
    assert [labels["workflow"] for labels in every if "workflow" in labels] == ['w"\\\n'] * 2


async def test_file_is_always_complete_and_new_every_minute(tmp_path: Path) -> None:
    path = tmp_path / "batch.prom"
    seen: list[tuple[float, int]] = []

    async def watch(run: Run) -> None:
        while True:
            await anyio.sleep(5)
            assert samples(path)["batch_runner_items", "done"] >= 0
            if not seen or seen[-1][1] != path.stat().st_ino:  # another file under the name
                seen.append((run.context.clock.monotonic(), path.stat().st_ino))

    async with simulated_service(service_time="uniform:200,300") as simulator:
        await run_job(
            tmp_path / "out",
            simulator,
            some_items(3),
            background_tasks=[functools.partial(keep_metrics, path=path), watch],
        )

    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(seen)]
    assert len(gaps) >= 3
    assert all(55 <= gap <= 70 for gap in gaps)


async def test_unwritable_file_does_not_fail_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "not-there/batch.prom"
    keep = functools.partial(keep_metrics, path=path)

    async with simulated_service(service_time="uniform:100,200") as simulator:
        summary = await run_job(tmp_path / "out", simulator, some_items(3), background_tasks=[keep])

    assert summary.exit_code is ExitCode.DONE
    assert len([one for one in caplog.messages if "the metrics cannot be written" in one]) == 1
