"""Runs on one's own ComfyUI servers, which are killed and come back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from batch_runner.engine.context import Run
from batch_runner.engine.summary import ExitCode, RunSummary
from batch_runner.lifecycle import ItemStatus
from batch_runner.models import ItemSpec
from batch_runner.settings import Service
from tests.harness import rows, run_job, some_items, some_settings, statuses
from tests.harness.comfyui import ComfyServer, a_graph

pytestmark = pytest.mark.anyio

NO_SIMULATOR: Any = None


async def run_on(
    root: Path, items: list[ItemSpec], *servers: ComfyServer, **options: Any
) -> RunSummary:
    for item in items:
        item.workflow = "cards.json"
    urls = tuple(server.url for server in servers)
    service = Service(
        provider="comfyui",
        base_url=urls[0],
        base_urls=urls,
        key=SecretStr(""),
        workflows={"cards.json": a_graph()},
    )
    settings = some_settings(in_flight=2 * len(servers))
    return await run_job(root, NO_SIMULATOR, items, settings, service=service, **options)


def prompts_executed(*servers: ComfyServer) -> Counter[str]:
    sent = {
        content["prompt_id"]: content["prompt"]["6"]["inputs"]["text"]
        for server in servers
        for _, path, content in server.requests
        if path == "/prompt" and content
    }
    return Counter(sent[task_id] for server in servers for task_id in server.executed)


async def test_items_are_done_on_two_servers(tmp_path: Path) -> None:
    async with (
        ComfyServer(tmp_path / "1", seconds=5) as first,
        ComfyServer(tmp_path / "2", seconds=20) as second,
    ):
        summary = await run_on(tmp_path / "job", some_items(10), first, second)

    assert summary.exit_code == ExitCode.DONE
    assert statuses(tmp_path / "job") == {ItemStatus.DONE: 10}
    assert set(prompts_executed(first, second).values()) == {1}
    assert len(first.executed) > len(second.executed) > 0


async def test_killed_server_that_comes_back_finishes_the_job(tmp_path: Path) -> None:
    async with ComfyServer(tmp_path / "1", seconds=10) as server:

        async def kill_and_restart(_: Run) -> None:
            for _kill in range(3):
                await anyio.sleep(25)
                await server.kill()
                await anyio.sleep(40)
                await server.start()

        root = tmp_path / "job"
        await run_on(root, some_items(12), server, background_tasks=[kill_and_restart])

    assert statuses(root) == {ItemStatus.DONE: 12}
    again = sum(prompts_executed(server).values()) - 12
    assert 0 < again <= 3  # at most the one task that ran at each kill
    assert len({row.task_id for row in rows(root)}) == 12


async def test_server_that_stays_down_leaves_its_tasks_to_the_next_run(tmp_path: Path) -> None:
    root = tmp_path / "job"
    async with (
        ComfyServer(tmp_path / "1", seconds=10) as first,
        ComfyServer(tmp_path / "2", seconds=10) as second,
    ):

        async def kill(_: Run) -> None:
            await anyio.sleep(15)
            await first.kill()

        await run_on(root, some_items(10), first, second, background_tasks=[kill], deadline=300)
        left = [row for row in rows(root) if row.status is not ItemStatus.DONE]
        assert 1 <= len(left) <= 2
        assert {row.status for row in left} == {ItemStatus.SUBMITTED}

        await first.start()
        await run_on(root, some_items(10), first, second)
    assert statuses(root) == {ItemStatus.DONE: 10}


async def test_lost_answers_are_settled_by_asking(tmp_path: Path) -> None:
    root = tmp_path / "job"
    async with ComfyServer(tmp_path / "1", seconds=3) as server:
        server.lose_answers = 3
        await run_on(root, some_items(6), server)

        assert statuses(root) == {ItemStatus.DONE: 6}
        assert set(prompts_executed(server).values()) == {1}


async def test_wrong_workflow_stops_the_run_before_anything_is_sent(tmp_path: Path) -> None:
    items = some_items(3)
    for item in items:
        item.params = {"6": {"txt": "a goat"}}
    async with ComfyServer(tmp_path / "1") as server:
        summary = await run_on(tmp_path / "job", items, server)

    assert summary.stop is not None
    assert "node 6 (CLIPTextEncode): no input is named txt; did you mean text?" in str(summary.stop)
    assert statuses(tmp_path / "job") == {ItemStatus.PENDING: 3}
    assert ("POST", "/prompt") not in [request[:2] for request in server.requests]
