"""The Baicai Infer cloud: hosted ComfyUI workflows behind submit, status, result, upload.

Responses are read tolerantly (a code as number or text, `data` as object or array, four shapes of
result); requests are written exactly. What the service does not document (limits, prices, an
idempotency key, how long a task id or URL lives) is not assumed.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from typing import Any
from urllib.parse import urljoin

import aiohttp

from batch_runner.errors import ApiError, Failure
from batch_runner.models import Received, TaskReport, TaskState
from batch_runner.providers.base import Capabilities, Receiver, Submitted
from batch_runner.providers.classify import classify
from batch_runner.providers.http import Http, Response
from batch_runner.settings import Retries
from batch_runner.util.text import json_text, printable, replace_lone_surrogates

#: Messages about an empty account. The service does not document a code for it.
_ACCOUNT_EMPTY = re.compile(
    r"余额|欠费|insufficient\s+(balance|credit|fund|quota)|balance\s+(is\s+)?(not\s+enough|too\s+low)",
    re.IGNORECASE,
)
_STATES = {
    "PENDING": TaskState.PENDING,
    "RUNNING": TaskState.RUNNING,
    "COMPLETED": TaskState.COMPLETED,
    "FAILED": TaskState.FAILED,
    "CANCELED": TaskState.CANCELED,
    "CANCELLED": TaskState.CANCELED,
}


class Baicai:
    """The calls of the service; `Provider` documents them."""

    def __init__(self, http: Http, retries: Retries, *, task_id: re.Pattern[str]) -> None:
        self._http = http
        self._task_id = task_id
        self._not_accepted = frozenset(retries.not_accepted_statuses)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    async def submit(
        self, workflow: str, params: dict[str, Any], request_id: str | None = None
    ) -> Submitted:
        """Send one submission; the task id has 32 hex digits."""
        body = json_text({"workflowId": workflow, "params": params})
        response = await self._http.submit("/v1/comfyui/create", body.encode())
        candidate = _candidate(response.body)
        data = self._data(response, "submit", sent=body, candidate=candidate)
        task_id = _first(data).get("taskId")
        if isinstance(task_id, str) and self._task_id.fullmatch(task_id):
            return Submitted(task_id=task_id)
        raise ApiError(
            "submit: the response holds no valid task id",
            failure=Failure.NO_RESPONSE,
            status=response.status,
            candidate=candidate,
        )

    async def exists(self, task_id: str) -> bool:
        """Raise: the service gives its own ids, and cannot be asked for a submission."""
        raise NotImplementedError(task_id)

    async def cancel(self, task_id: str) -> None:
        """Raise: the service has no such call."""
        raise NotImplementedError(task_id)

    async def status(self, task_id: str) -> TaskReport:
        """Return the task's status; an unknown word means that it is still running."""
        response = await self._http.query(f"/v1/comfyui/tasks/{task_id}/status")
        report = _first(self._data(response, "status"))
        word = report.get("status")
        word = word if isinstance(word, str) else ""
        return TaskReport(
            state=_STATES.get(word.strip().upper(), TaskState.UNKNOWN_WORD),
            progress=_progress(report.get("progress")),
            word=printable(word, 40),
            message=_message(report),
        )

    async def result(self, task_id: str) -> list[str]:
        """Return the URLs of a finished task's files."""
        response = await self._http.query(f"/v1/comfyui/tasks/{task_id}/result")
        urls = _urls(self._data(response, "result"))
        if not urls:
            raise ApiError(
                "result: the service reported COMPLETED but named no file",
                failure=Failure.NO_RESPONSE,
                status=response.status,
            )
        return [_absolute(self._http.base_url + "/", url) for url in urls]

    async def upload(self, name: str, content: bytes) -> str:
        """Upload a file and return its `fullPath`, which stands for it in params."""
        form = aiohttp.FormData()
        form.add_field("file", content, filename=name)
        response = await self._http.upload("/v1/resources/upload", form)
        full_path = _first(self._data(response, "upload", sent="")).get("fullPath")
        if isinstance(full_path, str) and full_path:
            return full_path
        raise ApiError(
            "upload: the response holds no fullPath",
            failure=Failure.NO_RESPONSE,
            status=response.status,
        )

    async def download(self, url: str, receive: Receiver) -> Received:
        """Download a file from any host, without the key."""
        return await self._http.download(url, receive)

    def _data(
        self,
        response: Response,
        call: str,
        *,
        sent: str | None = None,
        candidate: str | None = None,
    ) -> Any:
        """Return `data` of a successful response.

        `sent` is the request's text; None for a query, which an empty account does not affect.

        Raises:
            ApiError: the HTTP status or the code reports an error, or the response is unreadable.
        """
        content = _parse(response.body)
        code = _code(content)
        message = _message(content)
        failure = classify(
            response.status,
            code,
            account_empty=sent is not None and _says_account_empty(message, sent),
            not_accepted=self._not_accepted if call == "submit" else (),
        )
        if failure is Failure.REDIRECTED:
            raise self._http.redirect_error(call, response, candidate)
        if failure is not None and candidate is not None:
            # An error that names a task is contradictory: only the user can find out what is true.
            failure = Failure.NO_RESPONSE
        if failure is None and content.get("data") is None:
            failure, message = Failure.NO_RESPONSE, "the response cannot be read"
        if failure is None:
            return content["data"]
        detail = f": {message}" if message else ""
        if "401" in (str(response.status), code) and self._http.key_source:
            detail += f"; the key is that of {self._http.key_source}"
        number = f", code {code}" if code is not None else ""
        raise ApiError(
            f"{call}: HTTP {response.status}{number}{detail}",
            failure=failure,
            status=response.status,
            code=code,
            retry_after=response.retry_after,
            candidate=candidate,
        )


def _says_account_empty(message: str, sent: str) -> bool:
    """Return whether the message itself reports an empty account; it may quote the prompt."""
    found = [match[0] for match in _ACCOUNT_EMPTY.finditer(message)]
    return bool(found) and not any(words in sent for words in found)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        text = body.removeprefix(codecs.BOM_UTF8).decode(errors="replace")
        content = json.loads(text)
        if "\\ud" in text or "\\uD" in text:  # half a surrogate pair? UTF-8 has none
            content = json.loads(replace_lone_surrogates(json_text(content)))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _code(content: dict[str, Any]) -> str | None:
    code = content.get("code")
    if isinstance(code, float) and code.is_integer():
        code = int(code)
    if isinstance(code, bool) or not isinstance(code, int | str):
        return None
    return printable(str(code), 40)


def _message(content: dict[str, Any]) -> str:
    for name in ("message", "msg", "error", "failReason"):
        if isinstance(text := content.get(name), str):
            return printable(text, 300)
    return ""


def _first(data: Any) -> dict[str, Any]:
    """Return the object `data`, or the first object of an array; empty for anything else."""
    if isinstance(data, list):
        data = data[0] if data else {}
    return data if isinstance(data, dict) else {}


def _candidate(body: bytes) -> str | None:
    """Return a task id found anywhere in a response, for the user to try; None without one."""
    found = re.search(rb'"taskId"\s*:\s*"([0-9a-f]{32})"', body)
    return found[1].decode() if found else None


def _progress(value: Any) -> float | None:
    """Return progress as 0..1 from "37", 37 or "37%"; None if it is not a percentage."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        percent = float(str(value).strip().rstrip("%"))
    except ValueError:
        return None
    return percent / 100 if math.isfinite(percent) and 0 <= percent <= 100 else None


def _urls(data: Any) -> list[str]:
    """Return the URLs in any of the four documented shapes, in order, without duplicates."""
    found: dict[str, None] = {}
    for part in data if isinstance(data, list) else [data]:
        if not isinstance(part, dict):
            continue
        inner = part.get("result")
        for holder in (part, inner):
            urls = holder.get("urls") if isinstance(holder, dict) else None
            if isinstance(urls, list):
                found.update((url.strip(), None) for url in urls if _is_text(url))
    return list(found)


def _absolute(base: str, url: str) -> str:
    """Return `url` as absolute. An invalid one is returned as it is; the download rejects it."""
    if url.startswith(("https://", "http://")):
        return url
    try:
        return urljoin(base, url)
    except ValueError:
        return url


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
