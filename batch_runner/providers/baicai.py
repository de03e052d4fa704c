"""The Baicai Infer cloud: hosted ComfyUI workflows behind create, status, result, upload.

Reading is tolerant (a code as number or text, `data` as object or array, four shapes of result),
writing is exact. What nothing documents (a limit, a price, an idempotency key, how long an id or
an address lives) is not assumed here.
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
from batch_runner.models import TaskReport, TaskState
from batch_runner.providers.base import Receiver
from batch_runner.providers.classify import classify, without_quotes
from batch_runner.providers.http import Answer, Http
from batch_runner.settings import Retries
from batch_runner.util.text import json_text, printable, replace_lone_surrogates

_STATES = {
    "PENDING": TaskState.PENDING,
    "RUNNING": TaskState.RUNNING,
    "COMPLETED": TaskState.COMPLETED,
    "FAILED": TaskState.FAILED,
    "CANCELED": TaskState.CANCELED,
    "CANCELLED": TaskState.CANCELED,
}


class Baicai:
    """The service's calls; see `Provider` for what each promises."""

    def __init__(self, http: Http, retries: Retries, *, task_id: re.Pattern[str]) -> None:
        self._http = http
        self._task_id = task_id
        self._unsent = frozenset(retries.not_accepted_statuses)

    async def submit(self, workflow: str, params: dict[str, Any]) -> str:
        """Send one create request and return the id of the task (32 hex digits)."""
        body = json_text({"workflowId": workflow, "params": params})
        answer = await self._http.create("/v1/comfyui/create", body.encode())
        candidate = _candidate(answer.body)
        data = self._data(answer, "create", sent=body, candidate=candidate)
        task_id = _first(data).get("taskId")
        if isinstance(task_id, str) and self._task_id.fullmatch(task_id):
            return task_id
        raise ApiError(
            "create: the answer holds no usable task id",
            failure=Failure.NO_RESPONSE,
            status=answer.status,
            candidate=candidate,
        )

    async def status(self, task_id: str) -> TaskReport:
        """Ask where a task stands; a word we do not know means still running."""
        answer = await self._http.query(f"/v1/comfyui/tasks/{task_id}/status")
        report = _first(self._data(answer, "status"))
        word = report.get("status")
        word = word if isinstance(word, str) else ""
        return TaskReport(
            state=_STATES.get(word.strip().upper(), TaskState.UNKNOWN_WORD),
            progress=_progress(report.get("progress")),
            word=printable(word, 40),
            message=_message(report),
        )

    async def result(self, task_id: str) -> list[str]:
        """Ask for the addresses of a finished task's files."""
        answer = await self._http.query(f"/v1/comfyui/tasks/{task_id}/result")
        urls = _urls(self._data(answer, "result"))
        if not urls:
            raise ApiError(
                "result: the task is said to be completed, but no file is named",
                failure=Failure.NO_RESPONSE,
                status=answer.status,
            )
        return [_absolute(self._http.base_url + "/", url) for url in urls]

    async def upload(self, name: str, content: bytes) -> str:
        """Send a file and return its `fullPath`, which stands for it in params."""
        form = aiohttp.FormData()
        form.add_field("file", content, filename=name)
        answer = await self._http.upload("/v1/resources/upload", form)
        full_path = _first(self._data(answer, "upload", sent="")).get("fullPath")
        if isinstance(full_path, str) and full_path:
            return full_path
        raise ApiError(
            "upload: the answer holds no fullPath",
            failure=Failure.NO_RESPONSE,
            status=answer.status,
        )

    async def download(self, url: str, receive: Receiver) -> bool:
        """Fetch a file from wherever it is, without the key."""
        return await self._http.download(url, receive)

    def _data(
        self, answer: Answer, call: str, *, sent: str | None = None, candidate: str | None = None
    ) -> Any:
        """Return `data` of a successful answer.

        `sent` is the text that a call sent which an empty account fails; None for a query.

        Raises:
            ApiError: the HTTP status or the code says no, or the answer cannot be read.
        """
        content = _parse(answer.body)
        code = _code(content)
        message = _message(content)
        told = "" if sent is None else without_quotes(message, sent)
        unsent = self._unsent if call == "create" else frozenset()
        failure = classify(answer.status, code, told, unsent=unsent)
        if failure is not None and candidate is not None:
            # It says no and names a task: only a person can tell which of the two is true.
            failure = Failure.NO_RESPONSE
        if failure is None and content.get("data") is None:
            failure, message = Failure.NO_RESPONSE, "the answer cannot be read"
        if failure is None:
            return content["data"]
        said = f": {message}" if message else ""
        number = f", code {code}" if code is not None else ""
        raise ApiError(
            f"{call}: HTTP {answer.status}{number}{said}",
            failure=failure,
            status=answer.status,
            code=code,
            retry_after=answer.retry_after,
            candidate=candidate,
        )


def _parse(body: bytes) -> dict[str, Any]:
    try:
        text = body.removeprefix(codecs.BOM_UTF8).decode(errors="replace")
        content = json.loads(text)
        if "\\ud" in text or "\\uD" in text:  # half of a pair can be written here, and nowhere else
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
    if isinstance(data, list):
        data = data[0] if data else {}
    return data if isinstance(data, dict) else {}


def _candidate(body: bytes) -> str | None:
    """Return what looks like a task id anywhere in an answer, for a person to try."""
    found = re.search(rb'"taskId"\s*:\s*"([0-9a-f]{32})"', body)
    return found[1].decode() if found else None


def _progress(value: Any) -> float | None:
    """Return progress as 0..1 from "37", 37 or "37%"; None when it is nonsense."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        percent = float(str(value).strip().rstrip("%"))
    except ValueError:
        return None
    return percent / 100 if math.isfinite(percent) and 0 <= percent <= 100 else None


def _urls(data: Any) -> list[str]:
    """Return the addresses in any of the four documented shapes, each once, in order."""
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
    """Return `url` as an address; what is none is left as it came, for the fetch to refuse."""
    if url.startswith(("https://", "http://")):
        return url
    try:
        return urljoin(base, url)
    except ValueError:
        return url


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
