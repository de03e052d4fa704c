"""What the service says, as its contract has it, and in the variants its documents leave open."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

SHANGHAI = timedelta(hours=8)
RESULT_SHAPES = ("urls", "result_urls", "list_result_urls", "list_urls")

#: The reading variants that can be asked for, each with what it does.
VARIANTS: dict[str, str] = {
    "code_string": 'every code is a string: "0" for success',
    "data_array": "the data of create and upload is an array of one",
    "data_object": "the data of status is an object, not an array of one",
    "server_path": "an upload is answered with a path on the server instead of a URL",
    "urls": "results as data.urls[] (the default)",
    "result_urls": "results as data.result.urls[]",
    "list_result_urls": "results as data[].result.urls[]",
    "list_urls": "results as data[].urls[]",
    "random": "all of the above, drawn by seed for every answer",
}


@dataclass(slots=True)
class Answer:
    """An answer before it becomes bytes; faults bend it.

    `body` is a JSON value. When `content` is set it is sent instead, as it is.
    """

    status: int = 200
    body: Any = None
    content: bytes | None = None
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, Any]:
        """Return the object inside `data`, whether or not it stands in an array."""
        data = self.body["data"]
        found: dict[str, Any] = data[0] if isinstance(data, list) else data
        return found

    def encode(self) -> bytes:
        """Return the bytes of the body."""
        if self.content is not None:
            return self.content
        return json.dumps(self.body, ensure_ascii=False).encode()


def timestamp(nanoseconds: int) -> str:
    """Return a moment as Java's ZonedDateTime prints it, in the service's time zone."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    local = datetime.fromtimestamp(seconds, UTC) + SHANGHAI
    return f"{local:%Y-%m-%dT%H:%M:%S}.{rest:09d}+08:00[Asia/Shanghai]"


@dataclass(frozen=True, slots=True)
class ResponseBuilder:
    """Speaks the contract in the chosen variants."""

    variants: tuple[str, ...] = ()
    draw: random.Random = field(default_factory=random.Random)

    def envelope(self, data: Any, *, code: int = 0, message: str = "success") -> dict[str, Any]:
        """Return what surrounds every JSON answer."""
        spoken = str(code) if self._has("code_string") else code
        stamp = timestamp(time.time_ns())
        return {"code": spoken, "message": message, "data": data, "ts": stamp}

    def refusal(self, status: int, message: str, *, code: int | None = None) -> Answer:
        """Return an answer that says no, its code being the HTTP status unless given."""
        body = self.envelope(None, code=status if code is None else code, message=message)
        return Answer(status, body)

    def created(self, task_id: str) -> Answer:
        """Return the answer to a create."""
        return Answer(body=self.envelope(self._one({"taskId": task_id}), message="任务提交成功"))

    def uploaded(self, url: str, path: str) -> Answer:
        """Return the answer to an upload."""
        full_path = path if self._has("server_path") else url
        return Answer(body=self.envelope(self._one({"fullPath": full_path})))

    def status(self, state: str, progress: str | None) -> Answer:
        """Return the answer to a status request; without progress the field is left out."""
        report = {"status": state} | ({} if progress is None else {"progress": progress})
        message = {"FAILED": "任务执行失败", "CANCELED": "任务已取消"}.get(state, "success")
        data: Any = report if self._has("data_object") else [report]
        return Answer(body=self.envelope(data, message=message))

    def result(self, urls: list[str]) -> Answer:
        """Return the answer to a result request, in one of the shapes."""
        shapes = [name for name in self.variants if name in RESULT_SHAPES]
        if "random" in self.variants:
            shapes = list(RESULT_SHAPES)
        return Answer(body=self.envelope(_shaped(self.draw.choice(shapes or ["urls"]), urls)))

    def _one(self, data: dict[str, str]) -> Any:
        return [data] if self._has("data_array") else data

    def _has(self, variant: str) -> bool:
        if "random" in self.variants:
            return self.draw.random() < 0.5
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
