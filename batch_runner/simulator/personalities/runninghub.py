"""RunningHub, by its public documentation: every call is a POST with the key in its body.

Every response has HTTP status 200: its code says whether the request was successful, what is wrong,
and, at `outputs`, whether the task is waiting or running. A full queue is a code that means "wait".
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from aiohttp import web

from batch_runner.simulator.exchange import Exchange
from batch_runner.simulator.personalities import base
from batch_runner.simulator.personalities.uploads import read_upload
from batch_runner.simulator.responses import Answer, Path, Rejection, Responses
from batch_runner.simulator.tasks import Task

RUNNING = {"code": 804, "msg": "APIKEY_TASK_IS_RUNNING", "data": {"netWssUrl": None}}
QUEUED = {"code": 813, "msg": "APIKEY_TASK_IS_QUEUED", "data": None}


class RunningHubResponses(Responses):
    """Answers with a code, a message in capitals, and data."""

    places: ClassVar[Mapping[str, Path]] = {
        "task_id": ("data", "taskId"),
        "state": ("data",),
        "data": ("data",),
    }
    words: ClassVar[Mapping[str, str]] = {
        "PENDING": "QUEUED",
        "COMPLETED": "SUCCESS",
        "CANCELED": "FAILED",
        "MODERATED": "FAILED",
        "WITHHELD": "FAILED",
    }

    def success(self, data: Any) -> Answer:
        return Answer(body={"code": 0, "msg": "success", "data": data})

    def coded(self, code: int, name: str, rejection: Rejection = Rejection.ERROR) -> Answer:
        """Return an error of the service's own, with HTTP status 200."""
        return Answer(body={"code": code, "msg": name, "data": None}, rejection=rejection)

    def error(self, status: int, message: str, *, code: int | None = None) -> Answer:
        """Return an error with an HTTP status, as of a proxy; `code` None stands for the status."""
        answer = self.coded(status if code is None else code, message)
        answer.status, answer.rejection = status, None if status >= 400 else Rejection.ERROR
        return answer

    def wrong_key(self, *, missing: bool) -> Answer:
        return self.coded(802, "APIKEY_UNAUTHORIZED", Rejection.KEY)

    def unknown_task(self) -> Answer:
        return self.coded(807, "APIKEY_TASK_NOT_FOUND")

    def moderated(self, status: int | None = None, code: int | None = None) -> Answer:
        answer = self.coded(code or 1501, "CONTENT_AUDIT_FAILED")
        answer.status = status or 200
        return answer

    def no_balance(self, status: int | None = None, code: int | None = None) -> Answer:
        answer = self.coded(code or 416, "TASK_CREATE_FAILED_BY_NOT_ENOUGH_WALLET")
        answer.status = status or 200
        return answer

    def busy(self, status: int | None = None) -> Answer:
        if status is not None:
            return self.error(status, "Too Many Requests")
        if "shared_queue" in self.variants:
            return self.coded(421, "TASK_QUEUE_MAXED", Rejection.BUSY)
        return self.coded(814, "PERSONAL_QUEUE_COUNT_LIMIT", Rejection.BUSY)

    def submitted(self, task_id: str) -> Answer:
        tips: dict[str, Any] = {
            "result": True,
            "error": None,
            "outputs_to_execute": ["9"],
            "node_errors": {},
        }
        return self.success(
            {
                "netWssUrl": None,
                "taskId": task_id,
                "clientId": secrets.token_hex(16),
                "taskStatus": "QUEUED",
                "promptTips": json.dumps(tips),
            }
        )

    def put(self, answer: Answer, place: str, value: Any) -> None:
        data = answer.body.get("data") if isinstance(answer.body, dict) else None
        if place != "state" or isinstance(data, str):
            super().put(answer, place, value)
        elif value == "RUNNING":  # of `outputs`, whose code is the state
            answer.body = dict(RUNNING)

    def change_urls(self, answer: Answer, change: Callable[[list[Any]], list[Any]]) -> None:
        data = answer.body.get("data") if isinstance(answer.body, dict) else None
        if isinstance(data, list):
            answer.body["data"] = _files(change([file["fileUrl"] for file in data]))


class Personality(base.Personality[RunningHubResponses]):
    """Submissions of workflows and of AI apps, their status, outputs, uploads and cancellation."""

    responses_class = RunningHubResponses
    key_in_body = True

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/task/openapi/create", self.submit),
            web.post("/task/openapi/ai-app/run", self.submit),
            web.post("/task/openapi/status", self.status),
            web.post("/task/openapi/outputs", self.outputs),
            web.post("/task/openapi/cancel", self.cancel),
            web.post("/task/openapi/upload", self.upload),
        ]

    def key(self, request: web.Request, content: Any) -> str | None:
        key = content.get("apiKey") if isinstance(content, dict) else None
        return key if isinstance(key, str) else None

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Handle a submission: an id of a workflow or an app, and values of its nodes."""
        content, raw = await base.read_json(request)
        # Without the key, which is the same in every request and must not be in the ledger.
        shown = {name: each for name, each in _fields(content).items() if name != "apiKey"}
        text = json.dumps(shown, ensure_ascii=False) if shown else raw

        def work(exchange: Exchange) -> Answer:
            if limit := self.limit_error():
                return limit
            name = "webappId" if request.path.endswith("/run") else "workflowId"
            workflow, params = str(shown.get(name) or ""), _read_nodes(shown.get("nodeInfoList"))
            if not workflow:
                return self._coded(301, "PARAMS_INVALID")
            if params is None:
                return self._coded(803, "APIKEY_INVALID_NODE_INFO")
            accepted = self.service.settings.workflows
            if accepted and workflow not in accepted:
                missing = "WEBAPP_NOT_EXISTS" if name == "webappId" else "WORKFLOW_NOT_EXISTS"
                return self._coded(901 if name == "webappId" else 380, missing)
            exchange.task = task = self.service.submit(
                exchange, task_id=_new_id(), workflow=workflow, params=params, body=text
            )
            return self.responses.submitted(task.id)

        return await self.handle(
            ("submit",), request, work, text=text, subject=text, content=content
        )

    async def status(self, request: web.Request) -> web.StreamResponse:
        """Handle a poll that is answered with a word."""

        def work(_: Exchange, task: Task) -> Answer:
            self.service.count("polls", task)
            word = self.responses.word(self.service.state(task))
            return self.responses.success(word)

        return await self._for_task(request, work, lambda _: ("status",))

    async def outputs(self, request: web.Request) -> web.StreamResponse:
        """Handle a poll that is answered with the files, or with a code."""

        def work(exchange: Exchange, task: Task) -> Answer:
            state = self.service.state(task)
            if state in ("PENDING", "RUNNING"):
                self.service.count("polls", task)
                return Answer(body=dict(QUEUED if state == "PENDING" else RUNNING))
            self.service.count("results", task)
            if state == "COMPLETED":
                urls = self.service.urls(task, exchange.files_url)
                return self.responses.success(_files(urls))
            body = {"code": 805, "msg": "APIKEY_TASK_STATUS_ERROR", "data": _failure(state)}
            return Answer(body=body)

        return await self._for_task(request, work, self.status_calls)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """Handle a cancellation."""

        def work(_: Exchange, task: Task) -> Answer:
            done = self.service.cancel(task)
            return (
                self.responses.success(None)
                if done
                else self._coded(805, "APIKEY_TASK_STATUS_ERROR")
            )

        return await self._for_task(request, work, lambda _: ("cancel",))

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Handle an upload; the returned name stands for the file in a node's value."""
        file, fields = await read_upload(request, "file")

        def work(_: Exchange) -> Answer:
            if file is None:
                return self._coded(301, "PARAMS_INVALID")
            ending = file.name.rpartition(".")[2] if "." in file.name else "bin"
            name = f"api/{file.sha256}.{ending}"
            self.service.store(file, name)
            return self.responses.success({"fileName": name, "fileType": "image"})

        name = file.name if file else ""
        return await self.handle(
            ("upload",), request, work, text=name, subject=name, content=fields
        )

    async def _for_task(
        self,
        request: web.Request,
        work: Callable[[Exchange, Task], Answer],
        calls: Callable[[str], tuple[str, ...]],
    ) -> web.StreamResponse:
        content, _ = await base.read_json(request)
        task_id = str(_fields(content).get("taskId") or "")
        return await self.handle_for_task(calls(task_id), request, task_id, work, content=content)

    def _coded(self, code: int, name: str) -> Answer:
        return self.responses.coded(code, name)


def _fields(content: Any) -> dict[str, Any]:
    return content if isinstance(content, dict) else {}


def _read_nodes(nodes: Any) -> dict[str, Any] | None:
    """Return the values of `nodeInfoList` by node and field, None if it is not valid."""
    found: dict[str, Any] = {}
    for node in nodes if isinstance(nodes, list) else []:
        fields = _fields(node)
        node_id, name = fields.get("nodeId"), fields.get("fieldName")
        if not isinstance(node_id, str) or not isinstance(name, str) or "fieldValue" not in fields:
            return None
        found.setdefault(node_id, {})[name] = fields["fieldValue"]
    return found if nodes is None or isinstance(nodes, list) else None


def _new_id() -> str:
    """Return 19 digits, as the service's ids have."""
    return str(random.SystemRandom().randrange(10**18, 2 * 10**18))


def _files(urls: list[Any]) -> list[dict[str, Any]]:
    kinds = [str(url).partition("?")[0].rpartition(".")[2] for url in urls]
    rest = {"taskCostTime": "2", "nodeId": "9", "consumeCoins": "1"}
    return [
        {"fileUrl": url, "fileType": kind, **rest} for url, kind in zip(urls, kinds, strict=True)
    ]


def _failure(state: str) -> dict[str, Any]:
    said = {"MODERATED": "content audit failed", "CANCELED": "the task was cancelled"}
    reason = {
        "node_name": "KSampler",
        "node_id": "3",
        "exception_type": "RuntimeError",
        "exception_message": said.get(state, "the execution failed"),
    }
    return {"failedReason": reason}
