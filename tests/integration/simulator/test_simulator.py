"""The service's contract, tested with a client that shares no code with the program."""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batch_runner.simulator import Simulator, SimulatorSettings
from tests.harness.plain_client import CARD, simulated

pytestmark = pytest.mark.anyio

JAVA_STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+08:00\[Asia/Shanghai\]"


async def test_submission_returns_a_task_id() -> None:
    async with simulated() as client:
        reply = await client.submit()

    assert reply.status == 200
    assert reply.body["code"] == 0
    assert reply.body["message"] == "任务提交成功"
    assert re.fullmatch(r"[0-9a-f]{32}", reply.body["data"]["taskId"])
    assert re.fullmatch(JAVA_STAMP, reply.body["ts"])


async def test_poll_returns_an_array_with_progress_as_text() -> None:
    async with simulated(service_time="100s") as client:
        task_id = await client.submitted()

        await asyncio.sleep(50)
        reply = await client.status(task_id)

    assert reply.body["data"] == [{"status": "RUNNING", "progress": "50"}]


async def test_task_completes_after_its_service_time() -> None:
    async with simulated(service_time="10m") as client:
        task_id = await client.submitted()

        await asyncio.sleep(599)
        before = await client.state(task_id)
        await asyncio.sleep(1)
        after = await client.state(task_id)

    assert (before, after) == ("RUNNING", "COMPLETED")


async def test_tasks_wait_for_a_free_worker_in_order() -> None:
    async with simulated(service_time="10s", workers=1) as client:
        first, second = await client.submitted(), await client.submitted()

        await asyncio.sleep(5)
        early = [await client.state(task) for task in (first, second)]
        await asyncio.sleep(10)
        late = [await client.state(task) for task in (first, second)]

    assert early == ["RUNNING", "PENDING"]
    assert late == ["COMPLETED", "RUNNING"]


async def test_file_downloads_from_another_origin_without_key() -> None:
    async with simulated(service_time=0, outputs=2) as client:
        urls = await client.urls(await client.submitted())

        reply = await client.download(urls[1])
        files_url = client.simulator.files_url

    assert len(urls) == 2
    assert urls[1].startswith(files_url + "/")
    assert files_url != client.simulator.base_url
    assert reply.headers["Content-Type"] == "image/png"
    assert Image.open(io.BytesIO(reply.content)).size == (640, 800)


async def test_result_of_running_task_is_rejected() -> None:
    async with simulated(service_time="10s") as client:
        reply = await client.result(await client.submitted())

    assert (reply.status, reply.body["code"]) == (400, 400)


@pytest.mark.parametrize("key", [None, "", "pk-other"])
async def test_request_without_valid_key_is_rejected(key: str | None) -> None:
    async with simulated() as client:
        replies = [
            await client.submit(key=key),
            await client.status("0" * 32, key=key),
            await client.result("0" * 32, key=key),
            await client.upload(b"abc", key=key),
        ]
        ledger = await client.ledger()

    assert [(reply.status, reply.body["code"]) for reply in replies] == [(401, 401)] * 4
    assert ledger["totals"]["submissions"] == 0
    assert [entry["key_ok"] for entry in ledger["rejected"]] == [False] * 4


async def test_only_the_given_keys_are_accepted() -> None:
    async with simulated(keys=("sk-mine",)) as client:
        mine = await client.submit(key="sk-mine")
        other = await client.submit(key="sk-other")

    assert (mine.status, other.status) == (200, 401)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param([], id="not-an-object"),
        pytest.param({"params": {}}, id="no-workflow"),
        pytest.param({"workflowId": "w"}, id="no-params"),
        pytest.param({"workflowId": "w", "params": {"6": "text"}}, id="node-without-fields"),
    ],
)
async def test_invalid_submission_is_rejected_and_not_paid(content: Any) -> None:
    async with simulated() as client:
        reply = await client.submit(content)
        ledger = await client.ledger()

    assert (reply.status, reply.body["code"]) == (400, 400)
    assert ledger["totals"]["submissions"] == 0


async def test_submission_that_is_not_json_is_rejected() -> None:
    async with simulated() as client:
        reply = await client.call(
            "POST",
            "/v1/comfyui/create",
            data=b"{half",
            headers={"Content-Type": "application/json"},
        )

    assert (reply.status, reply.body["code"]) == (400, 400)


async def test_unknown_task_file_path_or_workflow_is_404() -> None:
    async with simulated(workflows=("known",)) as client:
        replies = [
            await client.status("0" * 32),
            await client.result("0" * 32),
            await client.download(f"{client.simulator.files_url}/outputs/{'0' * 32}/1.png"),
            await client.call("GET", "/v1/comfyui/nothing"),
            await client.submit(CARD),
        ]

    assert [(reply.status, reply.body["code"]) for reply in replies] == [(404, 404)] * 5


async def test_upload_is_recorded_with_its_sha256() -> None:
    async with simulated() as client:
        reply = await client.upload(b"some bytes", "photo.jpg")
        no_file = await client.upload(b"some bytes", field="picture")
        ledger = await client.ledger()

    assert reply.body["code"] == 0
    assert re.fullmatch(r"http://.+/uploads/[0-9a-f]{32}\.jpg", reply.body["data"]["fullPath"])
    assert (no_file.status, no_file.body["code"]) == (400, 400)
    assert ledger["uploads"][0]["sha256"] == hashlib.sha256(b"some bytes").hexdigest()


async def test_submission_above_the_limit_waits_for_retry_after() -> None:
    async with simulated(submit_limit="1/10s:burst=2") as client:
        replies = [await client.submit() for _ in range(3)]
        await asyncio.sleep(int(replies[2].headers["Retry-After"]))
        later = await client.submit()
        ledger = await client.ledger()

    assert [reply.status for reply in replies] == [200, 200, 429]
    assert replies[2].body["code"] == 429
    assert later.status == 200
    assert (ledger["totals"]["submissions"], ledger["totals"]["limited"]) == (3, 1)


async def test_rate_at_the_limit_is_never_rejected() -> None:
    async with simulated(submit_limit="10/s") as client:
        for _ in range(30):
            await client.submit()
            await asyncio.sleep(0.1)
        ledger = await client.ledger()

    assert (ledger["totals"]["submissions"], ledger["totals"]["limited"]) == (30, 0)


async def test_expired_url_is_rejected_and_a_new_one_works() -> None:
    async with simulated(service_time=0, url_life=60) as client:
        task_id = await client.submitted()
        old = (await client.urls(task_id))[0]
        await asyncio.sleep(61)
        new = (await client.urls(task_id))[0]

        statuses = [(await client.download(url)).status for url in (old, new)]

    assert statuses == [403, 200]


@pytest.mark.parametrize(
    ("variant", "path"),
    [
        ("urls", ["urls"]),
        ("result_urls", ["result", "urls"]),
        ("list_result_urls", [0, "result", "urls"]),
        ("list_urls", [0, "urls"]),
    ],
)
async def test_result_has_the_chosen_shape(variant: str, path: list[Any]) -> None:
    async with simulated(service_time=0, variants=(variant,)) as client:
        found = (await client.result(await client.submitted())).body["data"]

    for step in path:
        found = found[step]
    assert found[0].endswith("/1.png")


async def test_variants_change_codes_and_data() -> None:
    variants = ("code_string", "data_array", "data_object", "server_path")
    async with simulated(variants=variants) as client:
        submitted = await client.submit()
        status = await client.status(submitted.body["data"][0]["taskId"])
        uploaded = await client.upload(b"abc", "a.png")

    assert submitted.body["code"] == "0"
    assert status.body["data"]["status"] == "RUNNING"
    assert uploaded.body["data"][0]["fullPath"].startswith("/uploads/")


@pytest.mark.parametrize(("progress", "shown"), [("honest", "25"), ("stuck", "37"), ("none", None)])
async def test_progress_is_honest_stuck_or_absent(progress: str, shown: str | None) -> None:
    async with simulated(service_time="100s", progress=progress) as client:
        task_id = await client.submitted()
        await asyncio.sleep(25)

        data = (await client.status(task_id)).body["data"][0]

    assert data.get("progress") == shown


async def test_lying_progress_differs_from_the_share_done() -> None:
    async with simulated(service_time="100s", progress="lying") as client:
        task_id = await client.submitted()
        await asyncio.sleep(20)

        shown = (await client.status(task_id)).body["data"][0]["progress"]

    assert shown in {"2", "8", "50", "99"}


async def test_ledger_counts_requests_of_each_task() -> None:
    async with simulated(service_time="1s") as client:
        task_id = await client.submitted()
        await client.state(task_id)
        await asyncio.sleep(1)
        await client.state(task_id)
        for url in await client.urls(task_id):
            await client.download(url)
        ledger = await client.ledger()

    entry = ledger["submissions"][0]
    assert {name: entry[name] for name in ("n", "task_id", "workflowId", "params", "state")} == {
        "n": 1,
        "task_id": task_id,
        "workflowId": "year_of_the_horse_greeting_card",
        "params": {"6": {"text": "a horse"}},
        "state": "COMPLETED",
    }
    assert (entry["polls"], entry["results"], entry["downloads"]) == (2, 1, 1)
    assert entry["finished_at"] == pytest.approx(entry["time"] + 1)
    assert ledger["leaks"] == []


async def test_key_sent_to_the_files_is_recorded_not_stored() -> None:
    async with simulated(service_time=0) as client:
        url = (await client.urls(await client.submitted()))[0]

        await client.call("GET", url, key="sk-plain", read_json=False)
        ledger = await client.ledger()

    assert [(leak["origin"], leak["where"]) for leak in ledger["leaks"]] == [
        ("files", "Authorization")
    ]
    assert "sk-plain" not in str(ledger)


async def test_restart_keeps_tasks_ledger_and_time(tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    async with simulated(service_time="10000s", state=state) as client:
        task_id = await client.submitted()
        await asyncio.sleep(6050)
        before = await client.status(task_id)

    await asyncio.sleep(100_000)
    async with simulated(service_time="10000s", state=state) as client:
        after = await client.status(task_id)
        await asyncio.sleep(5000)
        finished = await client.state(task_id)
        ledger = await client.ledger()

    assert before.body["data"] == after.body["data"] == [{"status": "RUNNING", "progress": "60"}]
    assert finished == "COMPLETED"
    assert ledger["submissions"][0]["polls"] == 3


async def test_state_file_with_partial_last_line_is_read(tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    async with simulated(state=state) as client:
        task_id = await client.submitted()
    with state.open("ab") as file:
        file.write(b'{"kind": "subm')

    async with simulated(state=state) as client:
        second = await client.submitted()
    async with simulated(state=state) as client:
        submissions = (await client.ledger())["submissions"]

    assert [entry["task_id"] for entry in submissions] == [task_id, second]


async def test_reset_deletes_everything_in_the_state_file(tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    async with simulated(state=state) as client:
        task_id = await client.submitted()
        await client.call("POST", "/_sim/reset", key=None)
        after = await client.status(task_id)
    async with simulated(state=state) as client:
        totals = (await client.ledger())["totals"]

    assert after.status == 404
    assert totals["submissions"] == 0


async def test_port_in_use_is_an_oserror() -> None:
    async with simulated() as client:
        port = int(client.simulator.base_url.rpartition(":")[2])

        with pytest.raises(OSError, match="address already in use"):
            await Simulator(SimulatorSettings(port=port)).start()


async def test_same_prompt_again_gives_another_picture() -> None:
    async with simulated(service_time=0) as client:
        tasks = [await client.submitted(), await client.submitted()]
        urls = [(await client.urls(task))[0] for task in tasks]
        first, second = [(await client.download(url)).content for url in urls]
        again = (await client.download(urls[0])).content

    assert first == again
    assert first != second


async def test_picture_can_be_noise_of_constant_size() -> None:
    async with simulated(service_time=0, image_bytes=10_000) as client:
        url = (await client.urls(await client.submitted()))[0]
        content = (await client.download(url)).content

    assert len(content) == pytest.approx(10_000, rel=0.03)
    assert Image.open(io.BytesIO(content)).format == "PNG"


async def test_overview_page_shows_pictures_without_counting() -> None:
    prompt = {"workflowId": "w", "params": {"6": {"text": "<b>a horse</b>"}}}
    async with simulated() as client:
        await client.submitted(prompt)
        page = await client.call("GET", "/_sim/", key=None)
        source = re.search(r'src="(/_sim/pictures/[^"]+)"', page.content.decode())
        assert source is not None
        picture = await client.call("GET", source[1], key=None)
        totals = (await client.ledger())["totals"]

    assert "&lt;b&gt;a horse" in page.content.decode()
    assert picture.headers["Content-Type"] == "image/png"
    assert totals["downloads"] == 0
