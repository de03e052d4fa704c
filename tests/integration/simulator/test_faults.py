"""Each fault by name, with what the wire shows."""

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

NOTHING_CAME = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


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
async def test_a_broken_create_shows_in_the_ledger_whether_it_was_paid(
    fault: str, error: type[Exception], paid: int
) -> None:
    async with simulated(f"{fault}:create") as client:
        with pytest.raises(error):
            await client.create()
        ledger = await client.ledger()

    assert ledger["totals"]["submissions"] == paid
    assert [entry["answered"] for entry in ledger["submissions"]] == [fault] * paid


@pytest.mark.parametrize("call", ["status", "result", "upload", "download"])
@pytest.mark.parametrize("fault", ["lose_answer", "close_late", "hang"])
async def test_every_call_can_lose_its_connection(fault: str, call: str) -> None:
    async with simulated(service_time=0, patience=5) as client:
        task_id = await client.created()
        url = (await client.urls(task_id))[0]
        calls = {
            "status": lambda: client.status(task_id),
            "result": lambda: client.result(task_id),
            "upload": lambda: client.upload(b"abc"),
            "download": lambda: client.download(url),
        }

        await client.set_faults(f"{fault}:{call}")
        with pytest.raises((*NOTHING_CAME, TimeoutError)):
            await calls[call]()
        await client.set_faults()
        again = await calls[call]()

    assert again.status == 200


@pytest.mark.parametrize(
    ("fault", "status", "code", "paid"),
    [
        ("http:create:status=503", 503, 503, 0),
        ("http:create:status=404", 404, 404, 0),
        ("http_late:create:status=504", 504, 504, 1),
        ("code:create:code=400", 200, 400, 0),
        ("code:create:code=1601:as_text=1", 200, "1601", 0),
        ("moderation", 400, 1601, 0),
        ("balance:create", 402, 402, 0),
        ("limited:create", 429, 429, 0),
        ("redirect:create:status=308", 308, 308, 0),
    ],
)
async def test_a_refusal_has_its_status_and_code(
    fault: str, status: int, code: Any, paid: int
) -> None:
    async with simulated(fault) as client:
        reply = await client.create()
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
async def test_a_limit_names_the_time_to_come_back_in_every_way(
    how: str, shown: str | None
) -> None:
    async with simulated(f"limited:status:retry_after={how}") as client:
        reply = await client.status("0" * 32)

    assert reply.headers.get("Retry-After") == shown


async def test_a_limit_can_name_a_date() -> None:
    async with simulated("limited:create:retry_after=date") as client:
        reply = await client.create()

    assert reply.headers["Retry-After"].endswith(" GMT")


async def test_a_followed_redirect_is_noted_with_its_key() -> None:
    async with simulated("redirect:create") as client:
        location = (await client.create()).headers["Location"]

        await client.call("POST", location, json=CARD)
        ledger = await client.ledger()

    assert [(seen["method"], seen["key"]) for seen in ledger["redirected"]] == [("POST", True)]
    assert ledger["redirected"][0]["size"] > 0
    assert [leak["origin"] for leak in ledger["leaks"]] == ["decoy"]


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
        ("deep:create:depth=5000", lambda reply: reply.content.startswith(b"[" * 5000)),
        ("huge:create:megabytes=2", lambda reply: len(reply.content) > 2_000_000),
        ("gzip_bomb:create:megabytes=3", lambda reply: len(reply.content) == 3 * 2**20 + 2),
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
async def test_an_odd_answer_to_a_create_reads_like_this(
    fault: str, seen: Callable[[Reply], bool]
) -> None:
    name, _, options = fault.partition(":create")
    async with simulated(f"{name}:create{options}", patience=120) as client:
        reply = await client.create(read_json=False)

    assert seen(reply)


async def test_a_second_create_can_get_the_first_ones_id() -> None:
    async with simulated("same_task_id:after=1") as client:
        first, second = await client.created(), await client.created()
        totals = (await client.ledger())["totals"]

    assert first == second
    assert totals["submissions"] == 2


@pytest.mark.parametrize(
    ("fault", "word"),
    [("fail", "FAILED"), ("cancel", "CANCELED"), ("never", "RUNNING"), ("slow", "RUNNING")],
)
async def test_a_task_can_end_otherwise(fault: str, word: str) -> None:
    async with simulated(fault, service_time="1s" if fault != "slow" else "1h") as client:
        task_id = await client.created()
        reply = await client.create()
        await anyio.sleep(1)
        word_seen = await client.state(task_id)
        ledger = await client.ledger()

    assert reply.status == 200
    assert word_seen == word
    assert ledger["submissions"][0]["answered"] == "ok"


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
async def test_a_status_can_be_bent(fault: str, data: dict[str, str]) -> None:
    async with simulated(fault, service_time=0) as client:
        reply = await client.status(await client.created())

    assert reply.body["data"] == [data]


async def test_a_task_can_be_said_to_be_complete_too_early() -> None:
    async with simulated("early", service_time="1h") as client:
        task_id = await client.created()
        word = await client.state(task_id)
        reply = await client.result(task_id)

    assert word == "COMPLETED"
    assert reply.status == 400


async def test_a_task_can_be_forgotten_for_a_while() -> None:
    async with simulated("forget:status:each=2") as client:
        tasks = [await client.created(), await client.created()]
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
async def test_a_result_can_hold_odd_urls(fault: str, seen: Callable[[list[Any]], bool]) -> None:
    async with simulated(fault, service_time=0) as client:
        urls = await client.urls(await client.created())

    assert seen(urls)


async def test_odd_urls_come_in_every_result_shape() -> None:
    async with simulated("no_urls", service_time=0, variants=("list_result_urls",)) as client:
        reply = await client.result(await client.created())

    assert reply.body["data"] == [{"result": {"urls": []}}]


async def test_a_url_can_be_expired_when_it_is_given() -> None:
    async with simulated("expired_url:times=1", service_time=0) as client:
        task_id = await client.created()
        urls = [(await client.urls(task_id))[0] for _ in range(2)]
        statuses = [(await client.download(url)).status for url in urls]

    assert statuses == [403, 200]


async def test_a_result_can_be_late_although_the_task_is_complete() -> None:
    async with simulated("not_ready:each=1", service_time=0) as client:
        task_id = await client.created()
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
async def test_a_file_can_be_odd(fault: str, seen: Callable[[Reply], bool]) -> None:
    async with simulated(fault, service_time=0, patience=120) as client:
        url = (await client.urls(await client.created()))[0]
        reply = await client.download(url)

    assert seen(reply)


async def test_a_cut_file_is_shorter_than_its_length() -> None:
    async with simulated("cut", service_time=0) as client:
        url = (await client.urls(await client.created()))[0]

        with pytest.raises(aiohttp.ClientPayloadError):
            await client.download(url)


async def test_a_file_with_a_wrong_bit_has_the_right_length_and_cannot_be_decoded() -> None:
    async with simulated("bit_flip:times=1", service_time=0) as client:
        url = (await client.urls(await client.created()))[0]
        wrong = (await client.download(url)).content
        right = (await client.download(url)).content

    assert len(wrong) == len(right)
    assert wrong != right
    with pytest.raises((OSError, SyntaxError)):
        Image.open(io.BytesIO(wrong)).verify()


async def test_a_gzipped_file_says_so_and_unpacks_to_the_picture() -> None:
    async with simulated("gzipped", service_time=0) as client:
        url = (await client.urls(await client.created()))[0]
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            reply = await PlainClient(client.simulator, session).download(url)

    assert reply.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(reply.content).startswith(b"\x89PNG")


async def test_a_file_can_be_some_hops_away() -> None:
    async with simulated("hop:hops=2", service_time=0) as client:
        url = (await client.urls(await client.created()))[0]
        async with client.session.get(url) as response:
            content = await response.read()

    assert len(response.history) == 2
    assert content.startswith(b"\x89PNG")


async def test_a_fault_can_follow_one_item_through_all_its_calls() -> None:
    unlucky = {"workflowId": "w", "params": {"6": {"text": "an unlucky horse"}}}
    async with simulated("http:status+download:status=500:match=unlucky", service_time=0) as client:
        seen = {}
        for name, content in (("lucky", CARD), ("unlucky", unlucky)):
            task_id = await client.created(content)
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
async def test_a_fault_happens_when_its_conditions_say(
    conditions: str, statuses: list[int]
) -> None:
    async with simulated(f"http:create:status=500:{conditions}") as client:
        seen = [(await client.create()).status for _ in range(6)]

    assert seen == statuses


async def test_a_rate_is_drawn_by_seed() -> None:
    runs = []
    for seed in (1, 1, 2):
        async with simulated("http:create:rate=0.5", seed=seed) as client:
            runs.append([(await client.create()).status for _ in range(20)])

    assert runs[0] == runs[1] != runs[2]
    assert 0 < runs[0].count(503) < 20


async def test_faults_are_replaced_while_the_service_runs() -> None:
    async with simulated("http:create") as client:
        before = await client.create()
        bad = await client.set_faults("nonsense")
        still = await client.create()
        await client.set_faults()
        after = await client.create()

    assert [reply.status for reply in (before, bad, still, after)] == [503, 400, 503, 200]
    assert "wanted one of" in bad.body["error"]


def test_every_fault_has_a_description() -> None:
    assert len(FAULTS) > 50
    assert all(text.endswith(".") for text in FAULTS.values())
