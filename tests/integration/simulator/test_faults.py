"""Each fault by name, and what a client receives."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import anyio
import pytest
from PIL import Image

from batch_runner.simulator import FAULTS
from tests.harness.plain_client import CARD, PlainClient, Reply, simulated

pytestmark = pytest.mark.anyio

NO_RESPONSE = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


@pytest.mark.parametrize(
    ("fault", "error", "paid"),
    [
        ("reset", aiohttp.ClientOSError, 0),
        ("lose_answer", aiohttp.ClientOSError, 1),
        ("close", aiohttp.ServerDisconnectedError, 0),
        ("close_late", aiohttp.ServerDisconnectedError, 1),
        ("hang", TimeoutError, 0),
        ("hang_late", TimeoutError, 1),
        ("garbage", aiohttp.ClientResponseError, 1),
        ("half_json", aiohttp.ClientPayloadError, 1),
    ],
)
async def test_ledger_shows_if_broken_submission_was_paid(
    fault: str, error: type[Exception], paid: int
) -> None:
    async with simulated(f"{fault}:submit") as client:
        with pytest.raises(error):
            await client.submit()
        ledger = await client.ledger()

    assert ledger["totals"]["submissions"] == paid
    assert [entry["response"] for entry in ledger["submissions"]] == [fault] * paid


@pytest.mark.parametrize("call", ["status", "result", "upload", "download"])
@pytest.mark.parametrize("fault", ["lose_answer", "close_late", "hang"])
async def test_connection_fault_affects_every_call(fault: str, call: str) -> None:
    async with simulated(service_time=0, patience=5) as client:
        task_id = await client.submitted()
        url = (await client.urls(task_id))[0]
        calls = {
            "status": lambda: client.status(task_id),
            "result": lambda: client.result(task_id),
            "upload": lambda: client.upload(b"abc"),
            "download": lambda: client.download(url),
        }

        await client.set_faults(f"{fault}:{call}")
        with pytest.raises((*NO_RESPONSE, TimeoutError)):
            await calls[call]()
        await client.set_faults()
        again = await calls[call]()

    assert again.status == 200


@pytest.mark.parametrize(
    ("fault", "status", "code", "paid"),
    [
        ("http:submit:status=503", 503, 503, 0),
        ("http:submit:status=404", 404, 404, 0),
        ("http_late:submit:status=504", 504, 504, 1),
        ("code:submit:code=400", 200, 400, 0),
        ("code:submit:code=1601:as_text=1", 200, "1601", 0),
        ("moderation", 400, 1601, 0),
        ("balance:submit", 402, 402, 0),
        ("limited:submit", 429, 429, 0),
        ("redirect:submit:status=308", 308, 308, 0),
    ],
)
async def test_rejection_has_its_status_and_code(
    fault: str, status: int, code: Any, paid: int
) -> None:
    async with simulated(fault) as client:
        reply = await client.submit()
        totals = (await client.ledger())["totals"]

    assert (reply.status, reply.body["code"]) == (status, code)
    assert totals["submissions"] == paid
    assert totals["rejected"] + totals["limited"] == 1 - paid


@pytest.mark.parametrize(
    ("how", "shown"),
    [
        ("7", "7"),
        ("garbage", "in a while"),
        ("negative", "-5"),
        ("absurd", "999999999"),
        ("absent", None),
    ],
)
async def test_retry_after_takes_every_form(how: str, shown: str | None) -> None:
    async with simulated(f"limited:status:retry_after={how}") as client:
        reply = await client.status("0" * 32)

    assert reply.headers.get("Retry-After") == shown


async def test_retry_after_can_be_a_date() -> None:
    async with simulated("limited:submit:retry_after=date") as client:
        reply = await client.submit()

    assert reply.headers["Retry-After"].endswith(" GMT")


async def test_followed_redirect_is_recorded_with_its_key() -> None:
    async with simulated("redirect:submit") as client:
        location = (await client.submit()).headers["Location"]

        await client.call("POST", location, json=CARD)
        ledger = await client.ledger()

    assert [(entry["method"], entry["key"]) for entry in ledger["redirected"]] == [("POST", True)]
    assert ledger["redirected"][0]["size"] > 0
    assert [leak["origin"] for leak in ledger["leaks"]] == ["redirect-trap"]


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("null", lambda reply: reply.content == b"null"),
        ("empty_list", lambda reply: reply.content == b"[]"),
        ("empty", lambda reply: reply.content == b"" and reply.status == 200),
        ("text", lambda reply: reply.content.startswith(b"OK")),
        ("wrong_type", lambda reply: reply.headers["Content-Type"].startswith("text/html")),
        ("bom", lambda reply: reply.content.startswith(b"\xef\xbb\xbf{")),
        ("charset", lambda reply: "任务提交成功".encode("gbk") in reply.content),
        ("duplicate_keys", lambda reply: reply.content.count(b'"code"') == 2),
        ("nan", lambda reply: b"NaN" in reply.content),
        ("no_code", lambda reply: "code" not in json.loads(reply.content)),
        ("no_data", lambda reply: json.loads(reply.content)["data"] is None),
        ("empty_data", lambda reply: json.loads(reply.content)["data"] == []),
        ("deep:submit:depth=5000", lambda reply: reply.content.startswith(b"[" * 5000)),
        ("huge:submit:megabytes=2", lambda reply: len(reply.content) > 2_000_000),
        ("gzip_bomb:submit:megabytes=3", lambda reply: len(reply.content) == 3 * 2**20 + 2),
        ("html", lambda reply: (reply.status, reply.content[:6]) == (502, b"<html>")),
        ("html_late", lambda reply: (reply.status, reply.content[:6]) == (200, b"<html>")),
        ("rude", lambda reply: b"\\u001b" in reply.content and b"<script>" in reply.content),
        ("half_json_closed", lambda reply: reply.content.startswith(b'{"code"')),
        ("drip", lambda reply: json.loads(reply.content)["code"] == 0),
        ("delay", lambda reply: json.loads(reply.content)["code"] == 0),
        ("no_task_id", lambda reply: json.loads(reply.content)["data"] == {}),
        ("bad_task_id", lambda reply: b'"../../etc/passwd"' in reply.content),
    ],
)
async def test_fault_changes_response_to_submission(
    fault: str, seen: Callable[[Reply], bool]
) -> None:
    name, _, options = fault.partition(":submit")
    async with simulated(f"{name}:submit{options}", patience=120) as client:
        reply = await client.submit(read_json=False)

    assert seen(reply)


async def test_second_submission_gets_id_of_first_task() -> None:
    async with simulated("same_task_id:after=1") as client:
        first, second = await client.submitted(), await client.submitted()
        totals = (await client.ledger())["totals"]

    assert first == second
    assert totals["submissions"] == 2


@pytest.mark.parametrize(
    ("fault", "word"),
    [("fail", "FAILED"), ("cancel", "CANCELED"), ("never", "RUNNING"), ("slow", "RUNNING")],
)
async def test_fault_changes_outcome_of_task(fault: str, word: str) -> None:
    async with simulated(fault, service_time="1s" if fault != "slow" else "1h") as client:
        task_id = await client.submitted()
        reply = await client.submit()
        await anyio.sleep(1)
        word_seen = await client.state(task_id)
        ledger = await client.ledger()

    assert reply.status == 200
    assert word_seen == word
    assert ledger["submissions"][0]["response"] == "ok"


@pytest.mark.parametrize(
    ("fault", "data"),
    [
        ("lower_case", {"status": "completed", "progress": "100"}),
        ("word", {"status": "QUEUED_ON_GPU", "progress": "100"}),
        ("no_status", {"progress": "100"}),
        ("backwards", {"status": "RUNNING", "progress": "50"}),
        ("progress", {"status": "COMPLETED", "progress": "-7e400%"}),
    ],
)
async def test_fault_changes_response_to_poll(fault: str, data: dict[str, str]) -> None:
    async with simulated(fault, service_time=0) as client:
        reply = await client.status(await client.submitted())

    assert reply.body["data"] == [data]


async def test_task_is_reported_complete_too_early() -> None:
    async with simulated("early", service_time="1h") as client:
        task_id = await client.submitted()
        word = await client.state(task_id)
        reply = await client.result(task_id)

    assert word == "COMPLETED"
    assert reply.status == 400


async def test_task_is_unknown_for_the_first_polls() -> None:
    async with simulated("forget:status:each=2") as client:
        tasks = [await client.submitted(), await client.submitted()]
        seen = [[(await client.status(task)).status for _ in range(3)] for task in tasks]

    assert seen == [[404, 404, 200]] * 2


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("no_urls", lambda urls: urls == []),
        ("twice_urls", lambda urls: len(urls) == 2 and urls[0] == urls[1]),
        ("relative_url", lambda urls: urls[0].startswith("/outputs/")),
        ("scheme", lambda urls: urls[0].startswith("ftp://")),
        ("scheme:value=file", lambda urls: urls[0].startswith("file://")),
        ("private_url", lambda urls: urls[0].startswith("http://169.254.169.254/")),
        ("strange_url", lambda urls: urls[0].startswith("http://[::1/")),
        ("url_types", lambda urls: urls == [None, 7, {"url": "x"}]),
    ],
)
async def test_fault_changes_result_urls(fault: str, seen: Callable[[list[Any]], bool]) -> None:
    async with simulated(fault, service_time=0) as client:
        urls = await client.urls(await client.submitted())

    assert seen(urls)


async def test_url_fault_keeps_the_shape_of_the_result() -> None:
    async with simulated("no_urls", service_time=0, variants=("list_result_urls",)) as client:
        reply = await client.result(await client.submitted())

    assert reply.body["data"] == [{"result": {"urls": []}}]


async def test_result_url_has_expired_already() -> None:
    async with simulated("expired_url:times=1", service_time=0) as client:
        task_id = await client.submitted()
        urls = [(await client.urls(task_id))[0] for _ in range(2)]
        statuses = [(await client.download(url)).status for url in urls]

    assert statuses == [403, 200]


async def test_result_of_completed_task_is_not_ready_at_first() -> None:
    async with simulated("not_ready:each=1", service_time=0) as client:
        task_id = await client.submitted()
        statuses = [(await client.result(task_id)).status for _ in range(2)]

    assert statuses == [400, 200]


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("missing", lambda reply: reply.status == 404),
        ("missing:status=410", lambda reply: reply.status == 410),
        ("empty_file", lambda reply: reply.content == b""),
        ("short_file", lambda reply: b"IEND" not in reply.content),
        ("trailing_bytes:text=!", lambda reply: reply.content.endswith(b"IEND\xaeB`\x82!")),
        ("mislabelled", lambda reply: reply.headers["Content-Type"] == "image/jpeg"),
        ("html_as_png", lambda reply: reply.content.startswith(b"<!doctype")),
        ("other_kind", lambda reply: reply.content.startswith(b"\xff\xd8\xff")),
        ("other_kind:kind=webp", lambda reply: reply.content[8:12] == b"WEBP"),
        ("unsized", lambda reply: "Content-Length" not in reply.headers),
        ("cut_closed", lambda reply: reply.content.startswith(b"\x89PNG")),
        ("drip:download", lambda reply: reply.content.endswith(b"IEND\xaeB`\x82")),
        ("endless:megabytes=1", lambda reply: len(reply.content) > 2**20),
    ],
)
async def test_fault_changes_downloaded_file(fault: str, seen: Callable[[Reply], bool]) -> None:
    async with simulated(fault, service_time=0, patience=120) as client:
        url = (await client.urls(await client.submitted()))[0]
        reply = await client.download(url)

    assert seen(reply)


async def test_cut_file_is_shorter_than_its_length() -> None:
    async with simulated("cut", service_time=0) as client:
        url = (await client.urls(await client.submitted()))[0]

        with pytest.raises(aiohttp.ClientPayloadError):
            await client.download(url)


async def test_file_with_flipped_bit_cannot_be_decoded() -> None:
    async with simulated("bit_flip:times=1", service_time=0) as client:
        url = (await client.urls(await client.submitted()))[0]
        wrong = (await client.download(url)).content
        right = (await client.download(url)).content

    assert len(wrong) == len(right)
    assert wrong != right
    with pytest.raises((OSError, SyntaxError)):
        Image.open(io.BytesIO(wrong)).verify()


async def test_gzipped_file_decompresses_to_the_picture() -> None:
    async with simulated("gzipped", service_time=0) as client:
        url = (await client.urls(await client.submitted()))[0]
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            reply = await PlainClient(client.simulator, session).download(url)

    assert reply.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(reply.content).startswith(b"\x89PNG")


async def test_file_is_some_redirects_away() -> None:
    async with simulated("hop:hops=2", service_time=0) as client:
        url = (await client.urls(await client.submitted()))[0]
        async with client.session.get(url) as response:
            content = await response.read()

    assert len(response.history) == 2
    assert content.startswith(b"\x89PNG")


async def test_match_affects_all_calls_of_one_item() -> None:
    unlucky = {"workflowId": "w", "params": {"6": {"text": "an unlucky horse"}}}
    async with simulated("http:status+download:status=500:match=unlucky", service_time=0) as client:
        seen = {}
        for name, content in (("lucky", CARD), ("unlucky", unlucky)):
            task_id = await client.submitted(content)
            url = (await client.urls(task_id))[0]
            replies = [await client.status(task_id), await client.download(url)]
            seen[name] = [reply.status for reply in replies]

    assert seen == {"lucky": [200, 200], "unlucky": [500, 500]}


@pytest.mark.parametrize(
    ("conditions", "statuses"),
    [
        ("times=2", [500, 500, 200, 200, 200, 200]),
        ("after=4", [200, 200, 200, 200, 500, 500]),
        ("every=3", [200, 200, 500, 200, 200, 500]),
        ("rate=0", [200, 200, 200, 200, 200, 200]),
        ("every=2:times=1", [200, 500, 200, 200, 200, 200]),
    ],
)
async def test_conditions_select_the_affected_requests(
    conditions: str, statuses: list[int]
) -> None:
    async with simulated(f"http:submit:status=500:{conditions}") as client:
        seen = [(await client.submit()).status for _ in range(6)]

    assert seen == statuses


async def test_rate_depends_on_the_seed() -> None:
    runs = []
    for seed in (1, 1, 2):
        async with simulated("http:submit:rate=0.5", seed=seed) as client:
            runs.append([(await client.submit()).status for _ in range(20)])

    assert runs[0] == runs[1] != runs[2]
    assert 0 < runs[0].count(503) < 20


async def test_faults_are_replaced_at_runtime() -> None:
    async with simulated("http:submit") as client:
        before = await client.submit()
        bad = await client.set_faults("nonsense")
        still = await client.submit()
        await client.set_faults()
        after = await client.submit()

    assert [reply.status for reply in (before, bad, still, after)] == [503, 400, 503, 200]
    assert "choose one of" in bad.body["error"]


def test_every_fault_has_a_description() -> None:
    assert len(FAULTS) > 50
    assert all(text.endswith(".") for text in FAULTS.values())
