"""The services that the simulator acts as, tested with a client that shares no code."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from batch_runner.simulator import PERSONALITIES, Simulator, SimulatorSettings
from tests.harness.plain_client import PlainClient, Reply, simulated

pytestmark = pytest.mark.anyio

KEY = "rh-key"
NODES = [{"nodeId": "6", "fieldName": "text", "fieldValue": "a horse"}]
TASK = {"model": "cards", "input": {"prompt": "a horse"}}


# --- RunningHub


async def post(client: PlainClient, call: str, **fields: Any) -> Reply:
    body = {"apiKey": KEY, **fields}
    return await client.call("POST", f"/task/openapi/{call}", key=None, json=body)


async def run(client: PlainClient, **fields: Any) -> Reply:
    return await post(client, "create", **{"workflowId": "1904", "nodeInfoList": NODES, **fields})


async def test_runninghub_task_goes_from_running_to_files() -> None:
    async with simulated(personality="runninghub", service_time="10s") as client:
        created = (await run(client)).body
        task_id = created["data"]["taskId"]
        early = [(await post(client, call, taskId=task_id)).body for call in ("status", "outputs")]
        await asyncio.sleep(10)
        late = [(await post(client, call, taskId=task_id)).body for call in ("status", "outputs")]
        url = late[1]["data"][0]["fileUrl"]
        file = await client.download(url)
        ledger = await client.ledger()

    assert (created["code"], created["msg"]) == (0, "success")
    assert task_id.isdigit()
    assert (early[0]["data"], early[1]["code"]) == ("RUNNING", 804)
    assert (late[0]["data"], late[1]["code"], file.status) == ("SUCCESS", 0, 200)
    assert ledger["submissions"][0]["params"] == {"6": {"text": "a horse"}}
    assert KEY not in str(ledger)
    assert ledger["leaks"] == []


async def test_runninghub_waiting_task_has_code_813() -> None:
    async with simulated(personality="runninghub", workers=1) as client:
        await run(client)
        task_id = (await run(client)).body["data"]["taskId"]
        reply = await post(client, "outputs", taskId=task_id)

    assert reply.body["code"] == 813


@pytest.mark.parametrize(
    ("fault", "code", "total"),
    [
        ("moderation:submit", 1501, "rejected"),
        ("balance:submit", 416, "rejected"),
        ("limited:submit", 814, "limited"),
        ("wrong_key:submit", 802, "rejected"),
    ],
)
async def test_runninghub_says_errors_with_200_and_a_code(
    fault: str, code: int, total: str
) -> None:
    async with simulated(fault, personality="runninghub") as client:
        reply = await run(client)
        totals = (await client.ledger())["totals"]

    assert (reply.status, reply.body["code"]) == (200, code)
    assert (totals["submissions"], totals[total]) == (0, 1)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"apiKey": None}, 802),
        ({"workflowId": None}, 301),
        ({"workflowId": "1"}, 380),
        ({"nodeInfoList": [{"nodeId": "6"}]}, 803),
    ],
)
async def test_runninghub_invalid_submission_has_its_code(fields: Any, code: int) -> None:
    async with simulated(personality="runninghub", workflows=("1904",)) as client:
        reply = await run(client, **fields)

    assert (reply.status, reply.body["code"]) == (200, code)


async def test_runninghub_failed_task_tells_why() -> None:
    async with simulated("fail", personality="runninghub", service_time=0) as client:
        task_id = (await run(client)).body["data"]["taskId"]
        reply = await post(client, "outputs", taskId=task_id)
        unknown = await post(client, "outputs", taskId="1")

    assert reply.body["code"] == 805
    assert reply.body["data"]["failedReason"]["exception_message"]
    assert unknown.body["code"] == 807


async def test_runninghub_cancels_and_uploads() -> None:
    form = aiohttp.FormData()
    form.add_field("apiKey", KEY)
    form.add_field("file", b"bytes", filename="photo.jpg")
    async with simulated(personality="runninghub") as client:
        task_id = (await run(client)).body["data"]["taskId"]
        cancelled = await post(client, "cancel", taskId=task_id)
        state = await post(client, "status", taskId=task_id)
        uploaded = await client.call("POST", "/task/openapi/upload", key=None, data=form)
        ledger = await client.ledger()

    assert (cancelled.body["code"], state.body["data"]) == (0, "FAILED")
    assert uploaded.body["data"]["fileName"].endswith(".jpg")
    assert ledger["submissions"][0]["cancelled"] is True


# --- Black Forest Labs


async def flux(client: PlainClient, **kwargs: Any) -> Reply:
    body = {"prompt": "a horse"}
    kwargs = {"headers": {"x-key": "k"}, "json": body, **kwargs}
    return await client.call("POST", "/v1/flux-2-pro", key=None, **kwargs)


async def poll(client: PlainClient, url: str, **headers: str) -> Reply:
    return await client.call("GET", url, key=None, headers=headers)


@pytest.mark.parametrize("variants", [(), ("other_host",)])
async def test_bfl_task_is_known_only_at_its_polling_url(variants: tuple[str, ...]) -> None:
    async with simulated(personality="bfl", service_time="10s", variants=variants) as client:
        created = (await flux(client)).body
        early = await poll(client, created["polling_url"], **{"x-key": "k"})
        guessed = await poll(client, f"/v1/get_result?id={created['id']}", **{"x-key": "k"})
        await asyncio.sleep(10)
        late = await poll(client, created["polling_url"], **{"x-key": "k"})
        same_origin = created["polling_url"].startswith(client.simulator.base_url)

    assert same_origin is (not variants)
    assert (early.body["status"], early.body["result"]) == ("Pending", None)
    assert (guessed.status, guessed.body["status"]) == (404, "Task not found")
    assert late.body["status"] == "Ready"


async def test_bfl_result_lives_ten_minutes() -> None:
    async with simulated(personality="bfl", service_time=0) as client:
        polling = (await flux(client)).body["polling_url"]
        url = (await poll(client, polling, **{"x-key": "k"})).body["result"]["sample"]
        early = await client.download(url)
        await asyncio.sleep(601)
        late = await client.download(url)

    assert (early.status, late.status) == (200, 403)


@pytest.mark.parametrize(
    ("fault", "word"),
    [("moderation", "Request Moderated"), ("withhold", "Content Moderated"), ("fail", "Error")],
)
async def test_bfl_says_in_the_status_what_is_not_allowed(fault: str, word: str) -> None:
    async with simulated(f"{fault}:submit", personality="bfl", service_time=0) as client:
        polling = (await flux(client)).body["polling_url"]
        reply = await poll(client, polling, **{"x-key": "k"})
        totals = (await client.ledger())["totals"]

    assert (reply.body["status"], totals["submissions"]) == (word, 1)


async def test_bfl_wants_its_key_and_a_prompt() -> None:
    async with simulated(personality="bfl") as client:
        replies = [await flux(client, headers={}), await flux(client, json={})]
        ledger = await client.ledger()

    assert [reply.status for reply in replies] == [403, 422]
    assert [entry["key_ok"] for entry in ledger["rejected"]] == [False, True]


# --- idempotency keys


async def task(client: PlainClient, body: Any = None, **headers: str) -> Reply:
    return await client.call("POST", "/v1/tasks", json=body or TASK, headers=headers)


async def test_same_key_and_body_is_the_same_task() -> None:
    async with simulated(personality="idempotent") as client:
        replies = [await task(client, **{"Idempotency-Key": "a"}) for _ in range(2)]
        ledger = await client.ledger()

    assert replies[0].body["id"] == replies[1].body["id"]
    assert [reply.headers.get("Idempotency-Replayed") for reply in replies] == [None, "true"]
    entry = ledger["submissions"][0]
    assert (entry["request_id"], entry["repeats"]) == ("a", 1)
    assert (ledger["totals"]["submissions"], ledger["totals"]["repeats"]) == (1, 1)


async def test_same_key_with_other_body_is_409() -> None:
    other = {"model": "cards", "input": {"prompt": "a foal"}}
    async with simulated(personality="idempotent") as client:
        await task(client, **{"Idempotency-Key": "a"})
        reply = await task(client, other, **{"Idempotency-Key": "a"})
        totals = (await client.ledger())["totals"]

    assert (reply.status, totals["submissions"]) == (409, 1)


async def test_expired_key_is_a_new_paid_task() -> None:
    async with simulated(personality="idempotent", idempotency_life=60) as client:
        first = await task(client, **{"Idempotency-Key": "a"})
        await asyncio.sleep(61)
        second = await task(client, **{"Idempotency-Key": "a"})
        totals = (await client.ledger())["totals"]

    assert first.body["id"] != second.body["id"]
    assert totals["submissions"] == 2


async def test_key_is_known_after_a_restart(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"personality": "idempotent", "state": tmp_path / "state.jsonl"}
    async with simulated("lose_answer:submit", **settings) as client:
        with pytest.raises(aiohttp.ClientOSError):
            await task(client, **{"Idempotency-Key": "a"})
    async with simulated(**settings) as client:
        await task(client, **{"Idempotency-Key": "a"})
        totals = (await client.ledger())["totals"]

    assert (totals["submissions"], totals["repeats"]) == (1, 1)


@pytest.mark.parametrize("variant", ["immediate_url", "immediate_base64"])
async def test_response_to_submission_can_hold_the_result(variant: str) -> None:
    async with simulated(personality="idempotent", variants=(variant,)) as client:
        body = (await task(client)).body
        file = body["output"][0]
        if variant == "immediate_url":
            content = (await client.download(file["url"])).content
        else:
            content = base64.b64decode(file["base64"])

    assert body["status"] == "succeeded"
    assert content.startswith(b"\x89PNG")


async def test_deleted_task_is_cancelled_unless_it_has_ended() -> None:
    async with simulated(personality="idempotent", service_time="10s") as client:
        first = (await task(client)).body["id"]
        cancelled = await client.call("DELETE", f"/v1/tasks/{first}")
        second = (await task(client)).body["id"]
        await asyncio.sleep(10)
        ended = await client.call("DELETE", f"/v1/tasks/{second}")

    assert (cancelled.body["status"], ended.body["status"]) == ("cancelled", "succeeded")


# --- Baicai's generations


@pytest.mark.parametrize(("kind", "start"), [("images", b"\x89PNG"), ("videos", b"\0\0\0\x10ftyp")])
async def test_generation_is_polled_as_every_task(kind: str, start: bytes) -> None:
    body = {"selected_model": "horses", "input": {"prompt": "a horse"}, "async": True}
    async with simulated(service_time=0) as client:
        created = (await client.call("POST", f"/v1/{kind}/generations", json=body)).body
        state = await client.state(created["data"]["taskId"])
        url = (await client.urls(created["data"]["taskId"]))[0]
        content = (await client.download(url)).content
        rejected = await client.call("POST", f"/v1/{kind}/generations", json={"input": {}})

    assert state == "COMPLETED"
    assert content.startswith(start)
    assert rejected.status == 400


# --- all


def test_unknown_personality_or_variant_is_a_clear_error() -> None:
    with pytest.raises(ValueError, match="personality is 'nobody'; it must be one of baicai, "):
        SimulatorSettings(personality="nobody")
    with pytest.raises(ValueError, match="variant is 'urls'; it must be one of other_host"):
        SimulatorSettings(personality="bfl", variants=("urls",))


@pytest.mark.parametrize("name", PERSONALITIES)
async def test_personality_starts_and_shows_its_ledger(name: str) -> None:
    async with Simulator(SimulatorSettings(personality=name)) as simulator:
        url = f"{simulator.base_url}/_sim/ledger"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            ledger = await response.json()

    assert ledger["totals"]["cancelled"] == 0


async def test_lost_task_is_paid_and_unknown() -> None:
    async with simulated("lose_task:submit") as client:
        task_id = await client.submitted()
        reply = await client.status(task_id)
        entry = (await client.ledger())["submissions"][0]

    assert (reply.status, entry["state"]) == (404, "LOST")
