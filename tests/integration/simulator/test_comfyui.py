"""The simulator as a ComfyUI server, tested with a client that shares no code with the program."""

from __future__ import annotations

import asyncio
import copy
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.harness.plain_client import PlainClient, Reply, simulated

pytestmark = pytest.mark.anyio

GRAPH: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "card"}},
}


def a_graph(prefix: str = "card", **inputs: Any) -> dict[str, Any]:
    graph = copy.deepcopy(GRAPH)
    graph["1"]["inputs"] |= inputs
    graph["9"]["inputs"]["filename_prefix"] = prefix
    return graph


def comfyui(*faults: str, **settings: Any) -> Any:
    return simulated(*faults, personality="comfyui", **{"service_time": "10s", **settings})


async def queue(client: PlainClient, graph: Any = None, **fields: Any) -> Reply:
    body = {"prompt": a_graph() if graph is None else graph, **fields}
    return await client.call("POST", "/prompt", key=None, json=body)


async def queued(client: PlainClient, graph: Any = None) -> str:
    task_id = str(uuid.uuid4())
    assert (await queue(client, graph, prompt_id=task_id)).status == 200
    return task_id


async def get(client: PlainClient, path: str) -> Reply:
    return await client.call("GET", path, key=None)


async def job_state(client: PlainClient, task_id: str) -> Any:
    reply = await get(client, f"/api/jobs/{task_id}")
    return reply.body["status"] if reply.status == 200 else reply.status


async def test_client_chooses_the_id_of_a_prompt() -> None:
    task_id = str(uuid.uuid4())
    async with comfyui() as client:
        reply = await queue(client, prompt_id=task_id)
        ledger = await client.ledger()

    assert reply.body == {"prompt_id": task_id, "number": 1, "node_errors": {}}
    assert ledger["submissions"][0]["request_id"] == task_id


@pytest.mark.parametrize("task_id", ["no-uuid", "CF0E10A0-2B04-408F-9EDD-53E5AA397F2E", 7])
async def test_id_that_is_no_lower_case_uuid_is_400(task_id: Any) -> None:
    async with comfyui() as client:
        reply = await queue(client, prompt_id=task_id)
        totals = (await client.ledger())["totals"]

    assert (reply.status, totals["submissions"]) == (400, 0)


async def test_same_id_twice_runs_twice() -> None:
    task_id = str(uuid.uuid4())
    async with comfyui() as client:
        for number in range(2):
            await queue(client, a_graph(color=number), prompt_id=task_id)
        ledger = await client.ledger()

    assert [each["task_id"] for each in ledger["submissions"]] == [task_id, task_id]


@pytest.mark.parametrize(
    ("graph", "kind"),
    [
        ("text", "no_prompt"),
        ({"1": {"inputs": {}}}, "invalid_prompt"),
        ({"1": {"class_type": "NoSuchNode", "inputs": {}}}, "missing_node_type"),
        ({"1": GRAPH["1"]}, "prompt_no_outputs"),
        (a_graph(width="wide"), "prompt_outputs_failed_validation"),
    ],
)
async def test_workflow_that_cannot_run_is_400(graph: Any, kind: str) -> None:
    async with comfyui() as client:
        reply = await queue(client, graph)
        totals = (await client.ledger())["totals"]

    assert (reply.status, reply.body["error"]["type"]) == (400, kind)
    assert (totals["submissions"], totals["rejected"]) == (0, 1)


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        ({"width": "wide"}, "invalid_input_type"),
        ({"width": 0}, "value_smaller_than_min"),
        ({"width": 99999}, "value_bigger_than_max"),
        ({"width": ["no", 0]}, "exception_during_inner_validation"),
        ({"width": ["no"]}, "bad_linked_input"),
    ],
)
async def test_node_error_names_input_and_kind(inputs: Any, kind: str) -> None:
    async with comfyui() as client:
        reply = await queue(client, a_graph(**inputs))

    entry = reply.body["node_errors"]["1"]
    assert entry["errors"][0]["type"] == kind
    assert entry["errors"][0]["extra_info"]["input_name"] == "width"
    assert (entry["dependent_outputs"], entry["class_type"]) == (["9"], "EmptyImage")


async def test_one_bad_output_of_two_is_a_200_with_node_errors() -> None:
    graph = a_graph()
    graph["10"] = {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}
    async with comfyui(service_time=0) as client:
        reply = await queue(client, graph, prompt_id=str(uuid.uuid4()))
        job = (await get(client, f"/api/jobs/{reply.body['prompt_id']}")).body

    assert reply.status == 200
    assert reply.body["node_errors"]["10"]["errors"][0]["type"] == "required_input_missing"
    assert list(job["outputs"]) == ["9"]


async def test_unknown_input_name_is_ignored() -> None:
    async with comfyui() as client:
        reply = await queue(client, a_graph(widht=64))

    assert (reply.status, reply.body["node_errors"]) == (200, {})


async def test_body_that_is_not_json_is_a_500() -> None:
    async with comfyui() as client:
        reply = await client.call("POST", "/prompt", key=None, data=b"{half")

    assert reply.status == 500
    assert b"Internal Server Error" in reply.content


async def test_tasks_are_executed_one_at_a_time() -> None:
    async with comfyui() as client:
        first, second = await queued(client, a_graph(color=1)), await queued(client)
        await asyncio.sleep(5)
        early = [await job_state(client, each) for each in (first, second)]
        shown = (await get(client, "/queue")).body
        await asyncio.sleep(10)
        late = [await job_state(client, each) for each in (first, second)]

    assert (early, late) == (["in_progress", "pending"], ["completed", "in_progress"])
    assert [entry[1] for entry in shown["queue_running"]] == [first]
    assert [entry[1] for entry in shown["queue_pending"]] == [second]


async def test_files_are_numbered_for_each_prefix() -> None:
    async with comfyui(service_time=0, outputs=2) as client:
        tasks = [await queued(client, a_graph(prefix, color=n)) for n, prefix in enumerate("aab")]
        jobs = [(await get(client, f"/api/jobs/{each}")).body for each in tasks]

    names = [[file["filename"] for file in job["outputs"]["9"]["images"]] for job in jobs]
    assert names == [
        ["a_00001_.png", "a_00002_.png"],
        ["a_00003_.png", "a_00004_.png"],
        ["b_00001_.png", "b_00002_.png"],
    ]


async def test_prefix_with_slash_is_a_subfolder() -> None:
    async with comfyui(service_time=0) as client:
        task_id = await queued(client, a_graph("cards/horse"))
        job = (await get(client, f"/api/jobs/{task_id}")).body
        path = "/view?filename=horse_00001_.png&subfolder=cards&type=output"
        reply = await get(client, path)

    expected = {"filename": "horse_00001_.png", "subfolder": "cards", "type": "output"}
    assert job["outputs"]["9"]["images"] == [expected]
    assert (reply.status, reply.headers["Content-Type"]) == (200, "image/png")


async def test_head_tells_whether_a_file_exists() -> None:
    async with comfyui() as client:
        await queued(client)
        path = "/view?filename=card_00001_.png&type=output"
        before = await client.call("HEAD", path, key=None)
        await asyncio.sleep(10)
        after = await client.call("HEAD", path, key=None)
        totals = (await client.ledger())["totals"]

    assert (before.status, after.status, after.content) == (404, 200, b"")
    assert totals["downloads"] == 0


async def test_history_has_only_what_has_ended() -> None:
    async with comfyui() as client:
        task_id = await queued(client)
        before = (await get(client, f"/history/{task_id}")).body
        await asyncio.sleep(10)
        after = (await get(client, f"/history/{task_id}")).body

    assert before == {}
    assert after[task_id]["status"]["status_str"] == "success"
    assert after[task_id]["outputs"]["9"]["images"][0]["filename"] == "card_00001_.png"


async def test_same_workflow_is_cached_and_names_the_earlier_file() -> None:
    async with comfyui() as client:
        first = await queued(client)
        await asyncio.sleep(10)
        second = await queued(client)
        jobs = [(await get(client, f"/api/jobs/{each}")).body for each in (first, second)]

    assert jobs[1]["status"] == "completed"
    assert jobs[0]["outputs"] == jobs[1]["outputs"]


async def test_restart_loses_tasks_and_keeps_files(tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    async with comfyui(state=state) as client:
        done = await queued(client, a_graph("done"))
        await asyncio.sleep(15)
        lost = await queued(client, a_graph("lost"))
    async with comfyui(state=state) as client:
        states = [await job_state(client, each) for each in (done, lost)]
        await asyncio.sleep(100)
        files = [
            (await get(client, f"/view?filename={name}_00001_.png&type=output")).status
            for name in ("done", "lost")
        ]
        ledger = await client.ledger()

    assert (states, files) == ([404, 404], [200, 404])
    assert [entry["state"] for entry in ledger["submissions"]] == ["COMPLETED", "LOST"]


async def test_forgotten_workflow_is_executed_again_beside_its_file() -> None:
    async with comfyui(service_time=0) as client:
        await queued(client)
        await client.call("POST", "/_sim/forget", key=None)
        again = await queued(client)
        job = (await get(client, f"/api/jobs/{again}")).body

    assert job["outputs"]["9"]["images"][0]["filename"] == "card_00002_.png"


async def test_cancelled_task_leaves_the_queue_or_is_interrupted() -> None:
    async with comfyui() as client:
        first, second = await queued(client, a_graph(color=1)), await queued(client)
        for task_id in (second, first):
            await client.call("POST", f"/api/jobs/{task_id}/cancel", key=None)
        states = [await job_state(client, each) for each in (first, second)]
        history = (await get(client, "/history")).body
        ledger = await client.ledger()

    assert states == ["cancelled", 404]
    assert history[first]["status"]["messages"][-1][0] == "execution_interrupted"
    assert [entry["cancelled"] for entry in ledger["submissions"]] == [True, True]
    assert ledger["totals"]["cancelled"] == 2


@pytest.mark.parametrize(("named", "state"), [(True, "in_progress"), (False, "cancelled")])
async def test_interrupt_without_id_ends_whatever_runs(named: bool, state: str) -> None:
    body = {"prompt_id": str(uuid.uuid4())} if named else {}
    async with comfyui() as client:
        task_id = await queued(client)
        await client.call("POST", "/interrupt", key=None, json=body)
        found = await job_state(client, task_id)

    assert found == state


async def test_deleted_queue_entry_lets_the_next_one_run() -> None:
    async with comfyui() as client:
        tasks = [await queued(client, a_graph(color=number)) for number in range(3)]
        await client.call("POST", "/queue", key=None, json={"delete": [tasks[1]]})
        await asyncio.sleep(15)
        states = [await job_state(client, each) for each in tasks]

    assert states == ["completed", 404, "in_progress"]


@pytest.mark.parametrize(
    ("variant", "job", "cancel"), [("no_cancel", 200, 404), ("no_jobs", 404, 404)]
)
async def test_old_server_lacks_the_newer_calls(variant: str, job: int, cancel: int) -> None:
    async with comfyui(variants=(variant,)) as client:
        task_id = await queued(client)
        replies = [
            await get(client, f"/api/jobs/{task_id}"),
            await client.call("POST", f"/api/jobs/{task_id}/cancel", key=None),
        ]

    assert [reply.status for reply in replies] == [job, cancel]


async def test_server_of_old_ids_ignores_the_chosen_one() -> None:
    async with comfyui(variants=("own_ids",)) as client:
        task_id = str(uuid.uuid4())
        reply = await queue(client, prompt_id=task_id)

    assert reply.body["prompt_id"] != task_id


async def upload(client: PlainClient, content: bytes, **fields: str) -> Any:
    form = aiohttp.FormData()
    for name, value in fields.items():
        form.add_field(name, value)
    form.add_field("image", content, filename="photo.png")
    return (await client.call("POST", "/upload/image", key=None, data=form)).body


async def test_upload_gets_another_name_if_the_content_differs() -> None:
    async with comfyui() as client:
        names = [
            (await upload(client, b"one"))["name"],
            (await upload(client, b"one"))["name"],
            (await upload(client, b"two"))["name"],
            (await upload(client, b"three", overwrite="true"))["name"],
        ]
        inside = await upload(client, b"four", subfolder="cards")

    assert names == ["photo.png", "photo.png", "photo (1).png", "photo.png"]
    assert inside == {"name": "photo.png", "subfolder": "cards", "type": "input"}


async def test_image_that_was_not_uploaded_is_a_node_error() -> None:
    graph = a_graph()
    graph["1"] = {"class_type": "LoadImage", "inputs": {"image": "photo.png"}}
    async with comfyui() as client:
        before = await queue(client, graph)
        await upload(client, b"one")
        after = await queue(client, graph)

    assert before.body["node_errors"]["1"]["errors"][0]["type"] == "custom_validation_failed"
    assert after.status == 200


async def test_object_info_has_core_classes_and_given_ones() -> None:
    custom = {"5": {"class_type": "MyNode", "inputs": {"words": "x"}}}
    async with comfyui(graphs=(custom,)) as client:
        every = (await get(client, "/object_info")).body
        one = (await get(client, "/object_info/MyNode")).body
        none = (await get(client, "/object_info/Other")).body
        stats = (await get(client, "/system_stats")).body

    assert every["SaveImage"]["output_node"] is True
    assert every["KSampler"]["input"]["required"]["seed"][0] == "INT"
    assert "words" in one["MyNode"]["input"]["optional"]
    assert none == {}
    assert stats["system"]["comfyui_version"] == "0.33.0"


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("other", 401), ("secret", 200)])
async def test_token_is_needed_only_if_one_is_set(key: str | None, status: int) -> None:
    async with comfyui(keys=("secret",)) as client:
        reply = await client.call("GET", "/queue", key=key)

    assert reply.status == status


async def test_fault_reaches_the_files_of_a_job() -> None:
    async with comfyui("no_urls:result", service_time=0) as client:
        task_id = await queued(client)
        job = (await get(client, f"/api/jobs/{task_id}")).body

    assert job["outputs"]["9"]["images"] == []
