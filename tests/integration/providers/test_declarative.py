"""What a described provider sends and reads, over a socket."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from pydantic import SecretStr

from batch_runner.errors import ApiError, Failure
from batch_runner.models import TaskState
from batch_runner.providers.base import RequestIds
from batch_runner.providers.declarative.provider import DeclarativeProvider, key_placement
from batch_runner.providers.declarative.reading import read_description
from batch_runner.providers.http import Http
from batch_runner.settings import Service, Settings
from tests.unit.providers.declarative.test_reading import SMALL

KEY = "sk-0123456789abcdef"
REQUEST_ID = "0f9c9a4e-1111-4222-8333-444455556666"

pytestmark = pytest.mark.anyio


class Scripted:
    """A server that answers by method and path, and keeps every request."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.requests: list[tuple[str, Mapping[str, str], str]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = f"{request.method} {request.path_qs}"
        self.requests.append((name, dict(request.headers), (await request.read()).decode()))
        answer = self.answers.get(name, self.answers.get(f"{request.method} {request.path}"))
        if isinstance(answer, int):
            return web.json_response({"error": "no"}, status=answer)
        if answer is None:
            return web.json_response({"error": "not found"}, status=404)
        return web.json_response(answer)


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    scripted = Scripted()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", scripted.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    scripted.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield scripted
    await runner.cleanup()


@asynccontextmanager
async def opened(
    folder: Path, server: Scripted, *, allow_private: bool = True, **changed: Any
) -> AsyncIterator[DeclarativeProvider]:
    path = folder / "small.yaml"
    content = {key: value for key, value in (SMALL | changed).items() if value is not None}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    description = read_description(path)
    service = Service(
        provider="small", base_url=server.url, key=SecretStr(KEY), allow_private=allow_private
    )
    async with Http(service, Settings(), key=key_placement(description)) as http:
        yield DeclarativeProvider(description, http, Settings().retries)


def submit(**changed: Any) -> dict[str, Any]:
    return {"submit": {k: v for k, v in (SMALL["submit"] | changed).items() if v is not None}}


async def test_request_is_built_from_workflow_and_params(server: Scripted, tmp_path: Path) -> None:
    server.answers["POST /v1/tasks"] = {"id": "t1"}
    async with opened(tmp_path, server) as provider:
        assert (await provider.submit("m", {"prompt": "马 {{ x }}", "n": 1})).task_id == "t1"

    _, headers, body = server.requests[0]
    assert body == '{"model": "m", "input": {"prompt": "马 {{ x }}", "n": 1}}'
    assert headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("place", ["header", "query", "body"])
async def test_key_is_in_its_place_of_every_request(
    server: Scripted, tmp_path: Path, place: str
) -> None:
    server.answers |= {"POST /v1/tasks": {"id": "t1"}, "POST /v1/query": {"status": "done"}}
    status = SMALL["status"] | {"request": "POST /v1/query", "json": {"id": "{{ task_id }}"}}
    async with opened(tmp_path, server, key={place: "k"}, status=status) as provider:
        await provider.submit("m", {})
        await provider.status("t1")

    for name, headers, body in server.requests:
        found = {
            "header": headers.get("k") == KEY,
            "query": name.endswith(f"?k={KEY}"),
            "body": f'"k": "{KEY}"' in body,
        }
        assert [one for one, there in found.items() if there] == [place]


async def test_idempotency_key_and_body_are_the_same_again(
    server: Scripted, tmp_path: Path
) -> None:
    server.answers["POST /v1/tasks"] = {"id": "t1"}
    changed = submit(idempotency={"header": "Idempotency-Key", "valid_for": "24h"})
    async with opened(tmp_path, server, **changed) as provider:
        can = provider.capabilities
        for _ in range(2):
            await provider.submit("m", {"a": 1, "b": [2]}, REQUEST_ID)

    assert (can.request_ids, can.repeat_within) == (RequestIds.IDEMPOTENCY_KEY, 86400.0)
    first, second = server.requests
    assert first[2] == second[2]
    assert first[1]["Idempotency-Key"] == second[1]["Idempotency-Key"] == REQUEST_ID


async def test_own_task_id_is_sent_and_asked_for_twice(server: Scripted, tmp_path: Path) -> None:
    server.answers["POST /v1/tasks"] = {"ok": True}
    changed = submit(task_id=None, own_task_id=True, json={"id": "{{ request_id }}"})
    exists = {"request": "GET /v1/tasks/{{ task_id }}"}
    async with opened(tmp_path, server, exists=exists, **changed) as provider:
        assert (await provider.submit("m", {}, REQUEST_ID)).task_id == REQUEST_ID
        assert not await provider.exists(REQUEST_ID)
        asked = len(server.requests)
        server.answers[f"GET /v1/tasks/{REQUEST_ID}"] = {"status": "queued"}
        assert await provider.exists(REQUEST_ID)
        server.answers[f"GET /v1/tasks/{REQUEST_ID}"] = 500
        with pytest.raises(ApiError):
            await provider.exists(REQUEST_ID)

    assert asked == 3


async def test_immediate_result_comes_with_the_submission(server: Scripted, tmp_path: Path) -> None:
    content = base64.b64encode(b"picture").decode()
    server.answers["POST /v1/tasks"] = {"data": [{"b64_json": content}, {"url": "/a.png"}]}
    changed = submit(task_id=None, urls="data[].url", base64="data[].b64_json")
    async with opened(tmp_path, server, status=None, result=None, **changed) as provider:
        submitted = await provider.submit("m", {})
        parts: list[bytes] = []
        received = await provider.download(submitted.urls[1], parts.append)
        with pytest.raises(ApiError) as caught:
            await provider.status(submitted.task_id)

    assert submitted.urls[0] == f"{server.url}/a.png"
    assert (b"".join(parts), received.types) == (b"picture", ("image/png",))
    assert caught.value.failure is Failure.NOT_FOUND


async def test_status_url_of_the_response_is_used_as_given(
    server: Scripted, tmp_path: Path
) -> None:
    url = f"{server.url}/region/1?id=a%2Fb&x=1"
    server.answers |= {"POST /v1/tasks": {"poll": url}, "GET /region/1": {"status": "done"}}
    status = SMALL["status"] | {"request": "GET {{ task_id }}"}
    changed = submit(task_id="poll") | {"task_id": "http://.{1,200}"}
    async with opened(tmp_path, server, status=status, **changed) as provider:
        task_id = (await provider.submit("m", {})).task_id
        assert (await provider.status(task_id)).state is TaskState.COMPLETED

    assert server.requests[1][0] == "GET /region/1?id=a%2Fb&x=1"
    assert server.requests[1][1]["Authorization"] == f"Bearer {KEY}"


async def test_status_url_elsewhere_gets_no_key(server: Scripted, tmp_path: Path) -> None:
    other = Scripted()
    url = server.url.replace("127.0.0.1", "localhost")
    server.answers["GET /1"] = {"status": "done"}
    status = SMALL["status"] | {"request": "GET {{ task_id }}"}
    async with opened(tmp_path, server, status=status, allow_private=False) as provider:
        await provider.status(f"{url}/1")

    assert other.requests == []
    assert "Authorization" not in server.requests[0][1]


async def test_status_url_on_a_private_address_is_refused(server: Scripted, tmp_path: Path) -> None:
    status = SMALL["status"] | {"request": "GET {{ task_id }}"}
    async with opened(tmp_path, server, status=status, allow_private=False) as provider:
        with pytest.raises(ApiError, match="private address"):
            await provider.status("http://169.254.169.254/latest")

    assert server.requests == []


async def test_file_is_found_by_a_further_request(server: Scripted, tmp_path: Path) -> None:
    server.answers |= {
        "GET /v1/tasks/t1": {"status": "done", "files": ["f 1", "f2"]},
        "GET /v1/files?id=f%201": {"url": "https://cdn.example/1"},
        "GET /v1/files?id=f2": {"url": "https://cdn.example/2"},
    }
    result = {
        "files": "files",
        "further": {"request": "GET /v1/files?id={{ file }}", "urls": "url"},
    }
    async with opened(tmp_path, server, result=result) as provider:
        assert await provider.result("t1") == ["https://cdn.example/1", "https://cdn.example/2"]


async def test_file_url_is_built_from_a_template(server: Scripted, tmp_path: Path) -> None:
    files = [{"name": "a b.png", "folder": "x/y"}]
    server.answers["GET /v1/tasks/t1"] = {"status": "done", "files": files}
    result = {"files": "files", "url": "/view?name={{ file.name }}&in={{ file.folder }}"}
    async with opened(tmp_path, server, result=result) as provider:
        assert await provider.result("t1") == [f"{server.url}/view?name=a%20b.png&in=x/y"]


async def test_completed_task_that_failed_after_all_is_failed(
    server: Scripted, tmp_path: Path
) -> None:
    server.answers["GET /v1/tasks/t1"] = {"status": "done", "error": "out of memory"}
    result = SMALL["result"] | {"failed_when": "error"}
    async with opened(tmp_path, server, result=result) as provider:
        with pytest.raises(ApiError, match="out of memory") as caught:
            await provider.result("t1")

    assert caught.value.failure is Failure.TASK_FAILED


async def test_missing_file_leaves_the_others(
    server: Scripted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = [{"url": "https://cdn.example/1"}, {"message": "inappropriate content"}]
    server.answers["GET /v1/tasks/t1"] = {"status": "done", "files": files}
    result = SMALL["result"] | {"file_errors": "files[].message"}
    async with opened(tmp_path, server, result=result) as provider:
        assert await provider.result("t1") == ["https://cdn.example/1"]
        server.answers["GET /v1/tasks/t1"] = {"status": "done", "files": files[1:]}
        with pytest.raises(ApiError, match="inappropriate content") as caught:
            await provider.result("t1")

    assert "inappropriate content" in caplog.text
    assert caught.value.failure is Failure.TASK_FAILED


@pytest.mark.parametrize(
    ("body", "failure", "word"),
    [
        ({"code": "full"}, Failure.LIMITED, "code-full"),
        ({"code": "nsfw"}, Failure.REJECTED, "moderation"),
        ({"code": "later"}, Failure.UNSENT, "code-later"),
        ({"code": "maybe"}, Failure.AMBIGUOUS, "code-maybe"),
        ({"code": "other"}, Failure.REJECTED, "code-other"),
        ({"success": False}, Failure.REJECTED, "http-200"),
    ],
)
async def test_error_in_a_200_means_what_the_description_says(
    server: Scripted, tmp_path: Path, body: Any, failure: Failure, word: str
) -> None:
    answers = {
        "code": "code",
        "error_when": "code || success == `false`",
        "errors": {
            "busy": {"codes": ["full"], "wait": "7s"},
            "moderation": {"codes": ["nsfw"]},
            "again": {"codes": ["later"]},
            "unclear": {"codes": ["maybe"]},
        },
    }
    server.answers["POST /v1/tasks"] = body
    async with opened(tmp_path, server, responses=answers) as provider:
        with pytest.raises(ApiError) as caught:
            await provider.submit("m", {})

    assert (caught.value.failure, caught.value.reason) == (failure, word)
    assert caught.value.retry_after == (7.0 if failure is Failure.LIMITED else None)


async def test_gateway_error_proves_nothing_whatever_it_says(
    server: Scripted, tmp_path: Path
) -> None:
    answers = {"code": "error", "errors": {"busy": {"codes": ["no"]}}}
    server.answers["POST /v1/tasks"] = 503
    async with opened(tmp_path, server, responses=answers) as provider:
        with pytest.raises(ApiError) as caught:
            await provider.submit("m", {})

    assert caught.value.failure is Failure.AMBIGUOUS


async def test_workflow_cannot_leave_the_path(server: Scripted, tmp_path: Path) -> None:
    changed = submit(request="POST /v1/{{ workflow }}")
    async with opened(tmp_path, server, **changed) as provider:
        with pytest.raises(ApiError, match="leaves its path") as caught:
            await provider.submit("../../admin", {})

    assert caught.value.failure is Failure.REJECTED
    assert server.requests == []


async def test_param_that_a_template_needs_is_named(server: Scripted, tmp_path: Path) -> None:
    changed = submit(json={"text": "{{ params.prompt }}"})
    async with opened(tmp_path, server, **changed) as provider:
        with pytest.raises(ApiError, match="prompt"):
            await provider.submit("m", {"promt": "x"})

    assert server.requests == []


async def test_cancel_accepts_an_empty_response(server: Scripted, tmp_path: Path) -> None:
    server.answers["DELETE /v1/tasks/t1"] = {}
    cancel = {"request": "DELETE /v1/tasks/{{ task_id }}"}
    async with opened(tmp_path, server, cancel=cancel) as provider:
        assert provider.capabilities.cancel
        await provider.cancel("t1")

    assert [name for name, _, _ in server.requests] == ["DELETE /v1/tasks/t1"]


async def test_url_in_a_response_is_asked_for_the_files(server: Scripted, tmp_path: Path) -> None:
    server.answers["GET /q/7/status"] = {"status": "done", "response_url": f"{server.url}/q/7"}
    server.answers["GET /q/7"] = {"files": [{"url": "https://cdn.example/1.png"}]}
    status = SMALL["status"] | {"request": "GET {{ task_id }}/status"}
    further = {"request": "GET {{ file }}", "urls": "files[].url"}
    result = {"files": "response_url", "further": further}
    task_id = "https?://[a-z0-9.:/]{1,99}"
    async with opened(tmp_path, server, status=status, result=result, task_id=task_id) as provider:
        assert await provider.result(f"{server.url}/q/7") == ["https://cdn.example/1.png"]

    assert all(headers["Authorization"] for _, headers, _ in server.requests)


@pytest.mark.parametrize(
    ("call", "errors", "failure"),
    [
        ("submit", "moderation", Failure.REJECTED),
        ("status", "moderation", Failure.TASK_FAILED),
        ("status", "task_failed", Failure.TASK_FAILED),
        ("submit", "task_failed", Failure.REJECTED),
    ],
)
async def test_code_in_a_status_answer_is_about_the_task(
    server: Scripted, tmp_path: Path, call: str, errors: str, failure: Failure
) -> None:
    name = "POST /v1/tasks" if call == "submit" else "GET /v1/tasks/t1"
    server.answers[name] = {"code": 1027, "status": "Fail"}
    answers = {"success": [0], "code": "code", "errors": {errors: {"codes": [1027]}}}
    async with opened(tmp_path, server, responses=answers) as provider:
        with pytest.raises(ApiError) as caught:
            await (provider.submit("m", {}) if call == "submit" else provider.status("t1"))

    assert caught.value.failure is failure


async def test_header_with_a_line_break_is_not_sent(server: Scripted, tmp_path: Path) -> None:
    changed = submit(headers={"X-Name": "{{ params.name }}"})
    async with opened(tmp_path, server, **changed) as provider:
        with pytest.raises(ApiError, match="the header X-Name would hold a control") as caught:
            await provider.submit("m", {"name": "a\nb"})

    assert caught.value.failure is Failure.REJECTED
    assert server.requests == []


async def test_invalid_expression_in_a_template_is_named(server: Scripted, tmp_path: Path) -> None:
    changed = submit(json={"a": "{{ params | jmespath('a..b') }}"})
    async with opened(tmp_path, server, **changed) as provider:
        with pytest.raises(ApiError, match="not a valid JMESPath expression"):
            await provider.submit("m", {})
