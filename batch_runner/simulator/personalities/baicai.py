"""The Baicai Infer cloud: submit, status, result and upload, in the variants of its documents.

Its two other endpoints that make tasks take a model and its input instead of a workflow and params,
and are polled with the same calls.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from aiohttp import web

from batch_runner.simulator.exchange import Exchange
from batch_runner.simulator.personalities import RESULT_SHAPES, base
from batch_runner.simulator.personalities.uploads import read_upload
from batch_runner.simulator.responses import Answer, Path, Responses
from batch_runner.simulator.tasks import Outcome, Task

SHANGHAI = timedelta(hours=8)


def timestamp(nanoseconds: int) -> str:
    """Return a time (since the epoch) as Java's ZonedDateTime prints it, in the service's zone."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    local = datetime.fromtimestamp(seconds, UTC) + SHANGHAI
    return f"{local:%Y-%m-%dT%H:%M:%S}.{rest:09d}+08:00[Asia/Shanghai]"


class BaicaiResponses(Responses):
    """Builds the responses of the contract in the chosen variants."""

    places: ClassVar[Mapping[str, Path]] = {
        "task_id": ("data", "taskId"),
        "state": ("data", "status"),
        "progress": ("data", "progress"),
        "data": ("data",),
    }
    words: ClassVar[Mapping[str, str]] = {"MODERATED": "FAILED", "WITHHELD": "FAILED"}

    def envelope(self, data: Any, *, code: int = 0, message: str = "success") -> dict[str, Any]:
        """Return the object that every JSON response consists of."""
        shown_code = str(code) if self._has("code_string") else code
        stamp = timestamp(time.time_ns())
        return {"code": shown_code, "message": message, "data": data, "ts": stamp}

    def error(self, status: int, message: str, *, code: int | None = None) -> Answer:
        """Return an error response; `code` None stands for the HTTP status."""
        body = self.envelope(None, code=status if code is None else code, message=message)
        return Answer(status, body)

    def wrong_key(self, *, missing: bool) -> Answer:
        return self.error(401, f"未授权: {'缺少有效的 API Key' if missing else 'API Key 无效'}")

    def unknown_task(self) -> Answer:
        return self.error(404, "任务不存在")

    def moderated(self, status: int | None = None, code: int | None = None) -> Answer:
        return self.error(status or 400, "内容审核未通过", code=code or 1601)

    def no_balance(self, status: int | None = None, code: int | None = None) -> Answer:
        return self.error(status or 402, "余额不足", code=code or 402)

    def busy(self, status: int | None = None) -> Answer:
        return self.error(status or 429, "请求过于频繁, 请稍后再试")

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

    def change_urls(self, answer: Answer, change: Callable[[list[Any]], list[Any]]) -> None:
        data = answer.body["data"] if answer.rejected is None else None
        if data:
            holder = data[0] if isinstance(data, list) else data
            holder = holder.get("result", holder)
            holder["urls"] = change(holder["urls"])

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


class Personality(base.Personality[BaicaiResponses]):
    """The calls that need a key."""

    responses_class = BaicaiResponses
    key_prefix = "sk-"

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/comfyui/create", self.submit),
            web.post("/v1/images/generations", self.submit),
            web.post("/v1/videos/generations", self.submit),
            web.get("/v1/comfyui/tasks/{task_id}/status", self.status),
            web.get("/v1/comfyui/tasks/{task_id}/result", self.result),
            web.post("/v1/resources/upload", self.upload),
        ]

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Handle a submission: a workflow and its params, or a model and its input."""
        raw = await request.read()
        text = raw.decode(errors="replace")

        def work(exchange: Exchange) -> Answer:
            if request.content_type != "application/json":
                return self._error(400, "Content-Type 必须为 application/json")
            return self.limit_error() or self._accept(exchange, raw)

        return await self.handle(("submit",), request, work, text=text, subject=text)

    def _accept(self, exchange: Exchange, raw: bytes) -> Answer:
        """Accept or reject a submission."""
        path = exchange.request.path
        content = _read_submission(raw, with_model=path.endswith("/generations"))
        if isinstance(content, str):
            return self._error(400, f"参数错误: {content}")
        workflow, params = content
        accepted = self.service.settings.workflows
        if accepted and workflow not in accepted:
            return self._error(404, f"工作流不存在: {workflow}")
        exchange.task = task = self.service.submit(
            exchange,
            # Not by seed: a new simulator must not repeat the ids of an earlier one.
            task_id=secrets.token_hex(16),
            workflow=workflow,
            params=params,
            body=raw.decode(),
            file_type="mp4" if "/videos/" in path else "png",
        )
        return self.responses.submitted(task.id)

    async def status(self, request: web.Request) -> web.StreamResponse:
        """Handle a poll."""

        def work(_: Exchange, task: Task) -> Answer:
            self.service.count("polls", task)
            state = self.service.state(task)
            progress = self.service.progress(task, state)
            shown = None if progress is None else str(progress)
            return self.responses.status(self.responses.word(state), shown)

        return await self.handle_for_task(("status",), request, request.match_info["task_id"], work)

    async def result(self, request: web.Request) -> web.StreamResponse:
        """Handle a request for the URLs of a completed task."""

        def work(exchange: Exchange, task: Task) -> Answer:
            self.service.count("results", task)
            state = self.service.state(task)
            if state != Outcome.COMPLETED:
                return self._error(400, f"任务未完成: {state}")
            return self.responses.result(self.service.urls(task, exchange.files_url))

        return await self.handle_for_task(("result",), request, request.match_info["task_id"], work)

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Handle an upload of a file in the multipart field `file`."""
        file, _ = await read_upload(request, "file")

        def work(exchange: Exchange) -> Answer:
            if file is None:
                return self._error(400, "参数错误: file")
            extension = file.name.rpartition(".")[2] if "." in file.name else "bin"
            path = f"/uploads/{file.sha256[:32]}.{extension}"
            self.service.store(file, path)
            return self.responses.uploaded(exchange.files_url + path, path)

        name = file.name if file else ""
        return await self.handle(("upload",), request, work, text=name, subject=name)

    def _error(self, status: int, message: str) -> Answer:
        return self.responses.error(status, message)


def _read_submission(raw: bytes, *, with_model: bool) -> tuple[str, dict[str, Any]] | str:
    """Return workflow and params of a submission, or the error message for it."""
    try:
        content = json.loads(raw.decode())
    except ValueError:
        return "请求体不是 JSON"
    if not isinstance(content, dict):
        return "请求体不是对象"
    if with_model:
        return _read_generation(content)
    workflow, params = content.get("workflowId"), content.get("params")
    if not isinstance(workflow, str) or not workflow:
        return "workflowId"
    if not isinstance(params, dict) or not all(isinstance(node, dict) for node in params.values()):
        return "params"
    return workflow, params


def _read_generation(content: dict[str, Any]) -> tuple[str, dict[str, Any]] | str:
    model = content.get("selected_model")
    if not isinstance(model, str) or not model:
        return "selected_model"
    if not isinstance(content.get("input"), dict):
        return "input"
    return model, {name: each for name, each in content.items() if name != "selected_model"}
