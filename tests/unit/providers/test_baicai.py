"""How responses of the Baicai service are read, from their bytes; no connection is made."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic import SecretStr

from batch_runner.engine.retry_policy import Call, decide
from batch_runner.errors import ApiError, Failure
from batch_runner.models import TaskReport, TaskState
from batch_runner.providers import PROVIDERS
from batch_runner.providers.catalog import BUILTIN
from batch_runner.providers.declarative.provider import DeclarativeProvider
from batch_runner.providers.declarative.reading import read_description
from batch_runner.providers.http import Http, Response
from batch_runner.settings import Retries, Service, Settings

TASK_ID_PATTERN = PROVIDERS["baicai"].task_id_pattern
TASK = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32
URL = "https://files.example/a.png"


class FixedResponse(Http):
    """A connection that gives the same response to every request."""

    def __init__(self, body: str | bytes, status: int = 200) -> None:
        address = "https://service.example"
        service = Service(provider="baicai", base_url=address, key=SecretStr("sk-key"))
        super().__init__(service, Settings())
        content = body.encode() if isinstance(body, str) else body
        self._response = Response(status, content, retry_after=7.0)

    async def submit(self, *args: Any, **options: Any) -> Response:
        return self._response

    async def query(self, path: str, **options: Any) -> Response:
        return self._response

    async def upload(self, path: str, form: object) -> Response:
        return self._response


DESCRIPTION = read_description(BUILTIN / "baicai.yaml")


def provider(body: str | bytes, status: int = 200, **retries: Any) -> DeclarativeProvider:
    return DeclarativeProvider(DESCRIPTION, FixedResponse(body, status), Retries(**retries))


def submitted(body: str | bytes, status: int = 200, **retries: Any) -> str:
    return asyncio.run(provider(body, status, **retries).submit("workflow", {})).task_id


def submit_error(body: str | bytes, status: int = 200, **retries: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        submitted(body, status, **retries)
    return caught.value


def reported(data: Any) -> TaskReport:
    return asyncio.run(provider(json.dumps({"code": 0, "data": data})).status(TASK))


def urls(data: Any) -> list[str]:
    return asyncio.run(provider(json.dumps({"code": 0, "data": data})).result(TASK))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f'{{"code":0,"data":{{"taskId":"{TASK}"}}}}', id="code-as-number"),
        pytest.param(f'{{"code":"0","data":{{"taskId":"{TASK}"}}}}', id="code-as-text"),
        pytest.param(f'{{"code":" 0 ","data":{{"taskId":"{TASK}"}}}}', id="code-with-spaces"),
        pytest.param(f'{{"code":0.0,"data":{{"taskId":"{TASK}"}}}}', id="code-as-fraction"),
        pytest.param(f'{{"code":null,"data":{{"taskId":"{TASK}"}}}}', id="code-null"),
        pytest.param(f'{{"data":{{"taskId":"{TASK}"}}}}', id="no-code"),
        pytest.param(f'{{"code":0,"data":[{{"taskId":"{TASK}"}}]}}', id="data-as-array"),
        pytest.param(f'\ufeff{{"code":0,"data":{{"taskId":"{TASK}"}}}}', id="bom"),
        pytest.param(f'{{"code":0,"cost":NaN,"data":{{"taskId":"{TASK}"}}}}', id="nan-beside"),
        pytest.param(
            f'{{"code":1,"code":0,"data":{{"taskId":"{OTHER}","taskId":"{TASK}"}}}}',
            id="the-last-of-duplicate-keys",
        ),
        pytest.param(
            f'{{"message":"\\ud800","data":{{"taskId":"{TASK}"}}}}', id="half-a-character"
        ),
    ],
)
def test_task_id_is_read_from_any_shape_of_success(body: str) -> None:
    assert submitted(body) == TASK


@pytest.mark.parametrize(
    ("body", "candidate"),
    [
        pytest.param("", None, id="empty"),
        pytest.param("<html>busy</html>", None, id="html"),
        pytest.param("null", None, id="null"),
        pytest.param("[]", None, id="array"),
        pytest.param("[" * 100_000, None, id="nested-beyond-reading"),
        pytest.param('{"code":0}', None, id="no-data"),
        pytest.param('{"code":0,"data":null}', None, id="data-null"),
        pytest.param('{"code":0,"data":[]}', None, id="data-empty"),
        pytest.param('{"code":0,"data":"ok"}', None, id="data-text"),
        pytest.param('{"code":0,"data":{"taskId":7}}', None, id="id-as-number"),
        pytest.param('{"code":0,"data":{"taskId":"../x"}}', None, id="id-as-path"),
        pytest.param(f'{{"code":0,"data":{{"taskId":"{TASK}\\n"}}}}', None, id="id-with-newline"),
        pytest.param(f'{{"code":0,"data":{{"taskId":"{"A" * 32}"}}}}', None, id="id-in-capitals"),
        pytest.param(f'{{"code":0,"data":{{"taskId":"{TASK}"', TASK, id="half-json-with-id"),
        pytest.param(f'{{"code":0,"data":{{"taskId":"{TASK[:20]}', None, id="half-an-id"),
        pytest.param(f'{{"code":7,"data":{{"taskId":"{TASK}"}}}}', TASK, id="no-and-an-id"),
        pytest.param(f'{{"code":7777,"data":{{"taskId" : "{TASK}"}}}}', TASK, id="spaces"),
        pytest.param(f'{{"code":429,"data":{{"taskId":"{TASK}"}}}}', TASK, id="429-and-an-id"),
        pytest.param(f'{{"code":402,"data":{{"taskId":"{TASK}"}}}}', TASK, id="402-and-an-id"),
        pytest.param(
            f'{{"code":7,"message":"余额不足","data":{{"taskId":"{TASK}"}}}}',
            TASK,
            id="account-empty-and-id",
        ),
    ],
)
def test_success_without_a_valid_task_id_is_no_response(body: str, candidate: str | None) -> None:
    error = submit_error(body)

    assert error.failure is Failure.NO_RESPONSE
    assert error.candidate == candidate
    assert error.status == 200


@pytest.mark.parametrize(
    ("body", "status", "failure", "code"),
    [
        pytest.param('{"code":7,"message":"no"}', 200, Failure.REJECTED, "7", id="code-7"),
        pytest.param('{"code":"7"}', 200, Failure.REJECTED, "7", id="code-7-as-text"),
        pytest.param('{"code":401}', 200, Failure.FORBIDDEN, "401", id="code-401"),
        pytest.param('{"code":429}', 200, Failure.LIMITED, "429", id="code-429"),
        pytest.param('{"code":7,"msg":"余额不足"}', 200, Failure.FORBIDDEN, "7", id="balance"),
        pytest.param("busy", 429, Failure.LIMITED, None, id="429-without-json"),
        pytest.param("no", 400, Failure.REJECTED, None, id="400-without-json"),
        pytest.param('{"code":0}', 500, Failure.AMBIGUOUS, "0", id="500-that-says-success"),
    ],
)
def test_rejection_is_classified_by_status_and_code(
    body: str, status: int, failure: Failure, code: str | None
) -> None:
    error = submit_error(body, status)

    assert (error.failure, error.code, error.status) == (failure, code, status)
    assert error.retry_after == 7.0


@pytest.mark.parametrize("status", [307, 400, 401, 403, 404, 429, 503])
def test_rejection_that_names_a_task_is_held_at_any_status(status: int) -> None:
    """Sent again or forgotten, the task would be paid for and lost."""
    error = submit_error(f'{{"code":1,"data":{{"taskId":"{TASK}"}}}}', status)

    assert decide(error.failure, Call.SUBMIT).holds
    assert error.candidate == TASK


@pytest.mark.parametrize(
    ("prompt", "failure"),
    [("a bank says 余额不足 in gold", Failure.REJECTED), ("a horse", Failure.FORBIDDEN)],
)
def test_quoted_prompt_is_not_read_as_an_empty_account(prompt: str, failure: Failure) -> None:
    body = json.dumps({"code": 1601, "message": "not allowed: a bank says 余额不足 in gold"})

    with pytest.raises(ApiError) as caught:
        asyncio.run(provider(body, 400).submit("workflow", {"6": {"text": prompt}}))

    assert caught.value.failure is failure


def test_status_error_is_never_read_as_an_empty_account() -> None:
    body = json.dumps({"code": 1601, "message": "prompt: 余额不足"})

    with pytest.raises(ApiError) as caught:
        asyncio.run(provider(body, 400).status(TASK))

    assert caught.value.failure is Failure.REJECTED


def test_half_a_surrogate_pair_in_a_response_is_replaced() -> None:
    """JSON can express it, but it cannot be written as UTF-8."""
    error = submit_error('{"code":"E\\ud83d\\u001b[31m","message":"\\uD83D no \\ud83d\\udc0e"}')
    upload = '{"code":0,"data":{"fullPath":"a\\ud83d/\\ud83d\\udc0e.png"}}'

    assert error.code == "E\ufffd [31m"
    assert str(error) == "submit: HTTP 200, code E\ufffd [31m: \ufffd no 🐎"
    assert asyncio.run(provider(upload).upload("b.png", b"content")) == "a\ufffd/🐎.png"


def test_error_shows_the_service_message_on_one_clean_line() -> None:
    body = '{"code":7,"message":"bad \\u001b[31mprompt\\n\\u202etext"}'

    assert str(submit_error(body)) == "submit: HTTP 200, code 7: bad  [31mprompt text"


def test_not_accepted_statuses_apply_to_submissions_only() -> None:
    assert submit_error("", 503, not_accepted_statuses=(503,)).failure is Failure.LIMITED

    with pytest.raises(ApiError) as caught:
        asyncio.run(provider("", 503, not_accepted_statuses=(503,)).status(TASK))
    assert caught.value.failure is Failure.AMBIGUOUS


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("PENDING", TaskState.PENDING),
        ("RUNNING", TaskState.RUNNING),
        ("COMPLETED", TaskState.COMPLETED),
        ("FAILED", TaskState.FAILED),
        ("CANCELED", TaskState.CANCELED),
        ("CANCELLED", TaskState.CANCELED),
        (" completed ", TaskState.COMPLETED),
        ("SUCCESS", TaskState.UNKNOWN_WORD),
        ("", TaskState.UNKNOWN_WORD),
        (None, TaskState.UNKNOWN_WORD),
        (3, TaskState.UNKNOWN_WORD),
        (["COMPLETED"], TaskState.UNKNOWN_WORD),
    ],
)
@pytest.mark.parametrize("shape", ["object", "array"])
def test_task_state_is_a_known_word_or_unknown(word: Any, state: TaskState, shape: str) -> None:
    data = {"status": word}

    assert reported(data if shape == "object" else [data]).state is state


def test_unknown_status_word_is_kept_short_and_printable() -> None:
    assert reported({"status": "WAR\x1b[2JMING" + "x" * 100}).word == "WAR [2JMING" + "x" * 28 + "…"


def test_failed_task_keeps_the_reason() -> None:
    assert reported({"status": "FAILED", "failReason": "模型崩溃"}).message == "模型崩溃"


@pytest.mark.parametrize(
    ("progress", "share"),
    [
        ("37", 0.37),
        ("37%", 0.37),
        (" 37 % ", 0.37),
        (37, 0.37),
        (37.5, 0.375),
        (0, 0.0),
        (100, 1.0),
        (101, None),
        (-1, None),
        ("", None),
        ("half", None),
        ("NaN", None),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        (True, None),
        (None, None),
        ([37], None),
        ({"value": 37}, None),
    ],
    ids=lambda value: str(value)[:12] or "empty",
)
def test_progress_is_a_fraction_or_none(progress: Any, share: float | None) -> None:
    report = reported({"status": "RUNNING", "progress": progress})

    assert report.progress == (None if share is None else pytest.approx(share))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"urls": [URL]}, id="object"),
        pytest.param([{"urls": [URL]}], id="array"),
        pytest.param({"result": {"urls": [URL]}}, id="object-in-object"),
        pytest.param([{"result": {"urls": [URL]}}], id="object-in-array"),
        pytest.param({"urls": [URL, URL], "result": {"urls": [URL]}}, id="said-twice"),
        pytest.param({"urls": [f" {URL} ", "", None, 7, {}]}, id="among-nonsense"),
        pytest.param([None, 7, "x", {"urls": URL}, {"urls": [URL]}], id="among-strange-parts"),
    ],
)
def test_url_is_read_from_any_shape_of_result(data: Any) -> None:
    assert urls(data) == [URL]


def test_several_urls_keep_their_order() -> None:
    data = [{"urls": ["https://f.example/b.png"]}, {"urls": ["https://f.example/a.png"]}]

    assert urls(data) == ["https://f.example/b.png", "https://f.example/a.png"]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("/files/a.png", "https://service.example/files/a.png"),
        ("files/a.png", "https://service.example/files/a.png"),
        ("//files.example/a.png", "https://files.example/a.png"),
        ("file:///etc/passwd", "file:///etc/passwd"),
        ("https://[not-an-address/a.png", "https://[not-an-address/a.png"),
    ],
)
def test_relative_url_is_resolved_against_the_service(url: str, address: str) -> None:
    assert urls({"urls": [url]}) == [address]


@pytest.mark.parametrize("data", [{}, [], {"urls": []}, {"urls": None}, "x", {"result": []}])
def test_result_without_a_url_is_no_response(data: Any) -> None:
    with pytest.raises(ApiError) as caught:
        urls(data)

    assert caught.value.failure is Failure.NO_RESPONSE


@pytest.mark.parametrize("shape", ['{"fullPath":"a/b.png"}', '[{"fullPath":"a/b.png"}]'])
def test_upload_returns_the_full_path(shape: str) -> None:
    body = f'{{"code":0,"data":{shape}}}'
    assert asyncio.run(provider(body).upload("b.png", b"content")) == "a/b.png"


@pytest.mark.parametrize("shape", ["{}", '{"fullPath":""}', '{"fullPath":7}', "[]"])
def test_upload_without_a_full_path_is_an_error(shape: str) -> None:
    with pytest.raises(ApiError, match="holds no fullPath"):
        asyncio.run(provider(f'{{"code":0,"data":{shape}}}').upload("b.png", b"content"))


@pytest.mark.parametrize(
    ("text", "valid"),
    [(TASK, True), (TASK.upper(), False), (TASK[:-1], False), (TASK + "\n", False), ("", False)],
)
def test_task_id_pattern_is_32_lower_case_hex_digits(text: str, valid: bool) -> None:
    assert (TASK_ID_PATTERN.fullmatch(text) is not None) is valid


@pytest.mark.parametrize(
    ("message", "failure"),
    [
        ("账户余额不足", Failure.FORBIDDEN),
        ("已欠费", Failure.FORBIDDEN),
        ("Insufficient  Credits", Failure.FORBIDDEN),
        ("balance not enough", Failure.FORBIDDEN),
        ("balance the colours", Failure.REJECTED),
    ],
)
def test_message_about_an_empty_account_is_forbidden(message: str, failure: Failure) -> None:
    body = json.dumps({"code": 7, "message": message})

    assert submit_error(body).failure is failure
    assert submit_error(body, 400).failure is failure
    assert submit_error(body, 503).failure is Failure.AMBIGUOUS


def test_success_that_tells_the_balance_is_a_success() -> None:
    assert submitted(f'{{"code":0,"message":"余额 3 CNY","data":{{"taskId":"{TASK}"}}}}') == TASK
