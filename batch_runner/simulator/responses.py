"""The service's responses by its contract, in the variants that its documents leave open."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

SHANGHAI = timedelta(hours=8)
RESULT_SHAPES = ("urls", "result_urls", "list_result_urls", "list_urls")

#: Every variant with its description.
VARIANTS: dict[str, str] = {
    "code_string": 'every code is a string: "0" for success',
    "data_array": "the data of submit and upload is an array of one",
    "data_object": "the data of status is an object, not an array of one",
    "server_path": "an upload is answered with a path on the server instead of a URL",
    "urls": "results as data.urls[] (the default)",
    "result_urls": "results as data.result.urls[]",
    "list_result_urls": "results as data[].result.urls[]",
    "list_urls": "results as data[].urls[]",
    "random": "all of the above, chosen by seed for every response",
}


@dataclass(slots=True)
class Answer:
    """A response before it is encoded; a fault may change it.

    `body` is a JSON value. `content`, if not None, is sent instead.
    """

    status: int = 200
    body: Any = None
    content: bytes | None = None
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, Any]:
        """Return the object in `data`, or the first one if `data` is an array."""
        data = self.body["data"]
        found: dict[str, Any] = data[0] if isinstance(data, list) else data
        return found

    def encode(self) -> bytes:
        if self.content is not None:
            return self.content
        return json.dumps(self.body, ensure_ascii=False).encode()


def timestamp(nanoseconds: int) -> str:
    """Return a time (since the epoch) as Java's ZonedDateTime prints it, in the service's zone."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    local = datetime.fromtimestamp(seconds, UTC) + SHANGHAI
    return f"{local:%Y-%m-%dT%H:%M:%S}.{rest:09d}+08:00[Asia/Shanghai]"


@dataclass(frozen=True, slots=True)
class ResponseBuilder:
    """Builds the responses of the contract in the chosen variants."""

    variants: tuple[str, ...] = ()
    rng: random.Random = field(default_factory=random.Random)

    def envelope(self, data: Any, *, code: int = 0, message: str = "success") -> dict[str, Any]:
        """Return the object that every JSON response consists of."""
        shown_code = str(code) if self._has("code_string") else code
        stamp = timestamp(time.time_ns())
        return {"code": shown_code, "message": message, "data": data, "ts": stamp}

    def error(self, status: int, message: str, *, code: int | None = None) -> Answer:
        """Return an error response; `code` None stands for the HTTP status."""
        body = self.envelope(None, code=status if code is None else code, message=message)
        return Answer(status, body)

    def submitted(self, task_id: str) -> Answer:
        return Answer(body=self.envelope(self._one({"taskId": task_id}), message="任务提交成功"))

    def uploaded(self, url: str, path: str) -> Answer:
        full_path = path if self._has("server_path") else url
        return Answer(body=self.envelope(self._one({"fullPath": full_path})))

    def status(self, state: str, progress: str | None) -> Answer:
        """Return a task's state; `progress` None leaves the field out."""
        report = {"status": state} | ({} if progress is None else {"progress": progress})
        message = {"FAILED": "任务执行失败", "CANCELED": "任务已取消"}.get(state, "success")
        data: Any = report if self._has("data_object") else [report]
        return Answer(body=self.envelope(data, message=message))

    def result(self, urls: list[str]) -> Answer:
        """Return a task's result URLs in one of the chosen shapes."""
        shapes = [name for name in self.variants if name in RESULT_SHAPES]
        if "random" in self.variants:
            shapes = list(RESULT_SHAPES)
        return Answer(body=self.envelope(_shaped(self.rng.choice(shapes or ["urls"]), urls)))

    def _one(self, data: dict[str, str]) -> Any:
        return [data] if self._has("data_array") else data

    def _has(self, variant: str) -> bool:
        if "random" in self.variants:
            return self.rng.random() < 0.5
        return variant in self.variants


def _shaped(shape: str, urls: list[str]) -> Any:
    match shape:
        case "result_urls":
            return {"result": {"urls": urls}}
        case "list_result_urls":
            return [{"result": {"urls": urls}}]
        case "list_urls":
            return [{"urls": urls}]
    return {"urls": urls}
