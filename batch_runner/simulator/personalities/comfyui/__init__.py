"""One's own ComfyUI server: it executes one task at a time, and nothing is paid.

The client may choose a task's id. A restart loses queue and history, and keeps the files. A
workflow that is the same as an earlier one is taken from a cache, and names the earlier file.
"""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from aiohttp import web

from batch_runner.simulator.dispatcher import Dispatcher
from batch_runner.simulator.exchange import Exchange
from batch_runner.simulator.personalities import base
from batch_runner.simulator.personalities.comfyui import graph as graphs
from batch_runner.simulator.personalities.comfyui.nodes import node_classes
from batch_runner.simulator.personalities.comfyui.outputs import OutputFiles
from batch_runner.simulator.personalities.comfyui.responses import ComfyUIResponses, queue_entry
from batch_runner.simulator.personalities.comfyui.uploads import Uploads
from batch_runner.simulator.personalities.uploads import read_upload
from batch_runner.simulator.responses import Answer
from batch_runner.simulator.tasks import Task

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CRASH = Answer(
    500,
    content=b"500 Internal Server Error\n\nServer got itself in trouble",
    content_type="text/plain",
)


class Personality(base.Personality[ComfyUIResponses]):
    """Prompts, queue, history, jobs, files and node classes; each also below /api."""

    responses_class = ComfyUIResponses
    needs_key: ClassVar[bool] = False
    workers: ClassVar[int | None] = 1
    forgets: ClassVar[bool] = True

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__(dispatcher)
        self._classes = node_classes(self.service.settings.graphs)
        self._files = OutputFiles(self.service)
        self._uploads = Uploads(self.service)

    def routes(self) -> list[web.RouteDef]:
        both = [
            ("POST", "/prompt", self.submit),
            ("GET", "/prompt", self.remaining),
            ("GET", "/queue", self.queue),
            ("POST", "/queue", self.change_queue),
            ("GET", "/history", self.history),
            ("GET", "/history/{task_id}", self.history_of),
            ("POST", "/interrupt", self.interrupt),
            ("GET", "/view", self.view),
            ("POST", "/upload/image", self.upload),
            ("GET", "/object_info", self.object_info),
            ("GET", "/object_info/{name}", self.object_info),
            ("GET", "/system_stats", self.system_stats),
        ]
        routes = [
            web.route(method, prefix + path, handler)
            for prefix in ("", "/api")
            for method, path, handler in both
        ]
        if not self._has("no_jobs"):
            routes.append(web.get("/api/jobs/{task_id}", self.job))
            if not self._has("no_cancel"):
                routes.append(web.post("/api/jobs/{task_id}/cancel", self.cancel_job))
        return routes

    def _has(self, variant: str) -> bool:
        return variant in self.service.settings.variants

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Handle a workflow that is to be executed."""
        content, text = await base.read_json(request)

        def work(exchange: Exchange) -> Answer:
            if not isinstance(content, dict):
                return copy.copy(CRASH)
            return self.limit_error() or self._accept(exchange, content, text)

        return await self.handle(("submit",), request, work, text=text, subject=text)

    def _accept(self, exchange: Exchange, content: dict[str, Any], text: str) -> Answer:
        chosen = content.get("prompt_id")
        task_id = str(uuid.uuid4()) if chosen is None or self._has("own_ids") else chosen
        if not isinstance(task_id, str) or not UUID.fullmatch(task_id):
            said = "prompt_id must be a valid UUID"
            error = graphs.problem("invalid_prompt_id", said, str(task_id))
            return Answer(400, {"error": error, "node_errors": {}})
        graph = content.get("prompt")
        checked = graphs.check(graph, self._classes, self._uploads.names())
        if checked.error is not None or not isinstance(graph, dict):
            return self.responses.invalid(checked)
        earlier = self._files.cached(graph)
        exchange.task = task = self.service.submit(
            exchange,
            task_id=task_id,
            workflow="graph",
            params=graphs.literals(graph),
            body=text,
            seconds=None if earlier is None else 0.0,
            request_id=None if chosen is None else str(chosen),
            text=graphs.prompt_of(graph),
            graph=graph,
            output_nodes=checked.outputs,
            same_as=None if earlier is None else earlier.n,
        )
        return Answer(
            body={"prompt_id": task.id, "number": task.n, "node_errors": checked.node_errors}
        )

    async def remaining(self, request: web.Request) -> web.StreamResponse:
        """Return the length of the queue."""
        running, pending = self._queued()
        info = {"exec_info": {"queue_remaining": len(running) + len(pending)}}
        return await self._answer(request, lambda: Answer(body=info))

    async def queue(self, request: web.Request) -> web.StreamResponse:
        """Return the tasks that are running or waiting."""

        def work() -> Answer:
            running, pending = self._queued()
            for task in running + pending:
                self.service.count("polls", task)
            return Answer(
                body={
                    "queue_running": [queue_entry(task) for task in running],
                    "queue_pending": [queue_entry(task) for task in pending],
                }
            )

        return await self._answer(request, work, ("status",))

    def _queued(self) -> tuple[list[Task], list[Task]]:
        """Return the tasks that run, and those that wait."""
        states = [(task, self.service.state(task)) for task in self._files.open_tasks()]
        running = [task for task, state in states if state == "RUNNING"]
        return running, [task for task, state in states if state == "PENDING"]

    async def change_queue(self, request: web.Request) -> web.StreamResponse:
        """Remove waiting tasks from the queue."""
        content, _ = await base.read_json(request)
        if not isinstance(content, dict):
            return await self._answer(request, lambda: copy.copy(CRASH), ("cancel",))

        def work() -> Answer:
            wanted = content.get("delete") or []
            for task in self._queued()[1]:
                if content.get("clear") or task.id in wanted:
                    self._cancel(task)
            return Answer(content=b"", content_type="application/octet-stream")

        return await self._answer(request, work, ("cancel",))

    async def interrupt(self, request: web.Request) -> web.StreamResponse:
        """Interrupt what is running; with an id, only that task."""
        content, _ = await base.read_json(request)
        wanted = content.get("prompt_id") if isinstance(content, dict) else None

        def work() -> Answer:
            for task in self._queued()[0]:
                if wanted in (None, task.id):
                    self._cancel(task)
            return Answer(content=b"", content_type="application/octet-stream")

        return await self._answer(request, work, ("cancel",))

    async def cancel_job(self, request: web.Request) -> web.StreamResponse:
        """Cancel a task, whether it is running or waiting."""

        def work(_: Exchange, task: Task) -> Answer:
            return Answer(body={"cancelled": self._cancel(task)})

        return await self.handle_for_task(("cancel",), request, request.match_info["task_id"], work)

    def _cancel(self, task: Task) -> bool:
        """Cancel a task; one that was waiting leaves no trace."""
        waiting = self.service.state(task) == "PENDING"
        done = self.service.cancel(task)
        if waiting:
            self.service.ledger.forget(self.service.now(), task)
        return done

    async def job(self, request: web.Request) -> web.StreamResponse:
        """Return a task that is waiting, running or has ended."""
        task_id = request.match_info["task_id"]

        def work(_: Exchange, task: Task) -> Answer:
            state, outputs = self._polled(task)
            return Answer(body=self.responses.job(task, state, outputs))

        return await self.handle_for_task(self.status_calls(task_id), request, task_id, work)

    async def history_of(self, request: web.Request) -> web.StreamResponse:
        """Return a task that has ended, {} for every other one."""
        task_id = request.match_info["task_id"]

        def work(_: Exchange, task: Task) -> Answer:
            state, outputs = self._polled(task)
            if state in ("PENDING", "RUNNING"):
                return Answer(body={})
            return Answer(body={task.id: self.responses.history(task, state, outputs)})

        return await self.handle_for_task(self.status_calls(task_id), request, task_id, work)

    def unknown_task(self, exchange: Exchange) -> Answer:
        """Return that there is no such job; the history is empty instead."""
        if "history" in exchange.request.path:
            return Answer(body={})
        return super().unknown_task(exchange)

    def _polled(self, task: Task) -> tuple[str, dict[str, Any]]:
        self.service.count("polls", task)
        state, outputs = self.service.state(task), copy.deepcopy(self._files.of(task))
        if state == "COMPLETED":
            self.service.count("results", task)
        return state, outputs

    async def history(self, request: web.Request) -> web.StreamResponse:
        """Return all tasks that have ended."""

        def work() -> Answer:
            known = [task for task in self.service.ledger.submissions if not task.lost]
            states = {task.id: self.service.state(task) for task in known}
            ended = [task for task in known if states[task.id] not in ("PENDING", "RUNNING")]
            body = {
                task.id: self.responses.history(task, states[task.id], self._files.of(task))
                for task in ended
            }
            return Answer(body=copy.deepcopy(body))

        return await self._answer(request, work, ("status",))

    async def view(self, request: web.Request) -> web.StreamResponse:
        """Return a file; HEAD tells whether it exists."""
        query = request.query
        name, subfolder = query.get("filename", ""), query.get("subfolder", "")
        found = self._files.at((query.get("type", "output"), subfolder, name))
        subject = found[0].id if found else name

        def work(exchange: Exchange) -> Answer:
            if not name or name.startswith("/") or ".." in name + subfolder:
                return Answer(400, content=b"", content_type="text/plain")
            if found is None:
                return Answer(404, content=b"", content_type="text/plain")
            exchange.task, number = found
            if request.method == "GET":
                self.service.count("downloads", exchange.task)
            picture = self.dispatcher.pictures.png(exchange.task, number)
            shown = {"Content-Disposition": f'filename="{name}"'}
            return Answer(content=picture, content_type="image/png", headers=shown)

        call = "download" if request.method == "GET" else "status"
        text = f"{name} {self.dispatcher.text_of(subject)}"
        return await self.handle((call,), request, work, text=text, subject=subject)

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Store an input file, and return the name that it got."""
        file, fields = await read_upload(request, "image")

        def work(_: Exchange) -> Answer:
            if file is None:
                return Answer(400, content=b"", content_type="text/plain")
            subfolder = fields.get("subfolder", "")
            if ".." in subfolder or subfolder.startswith("/"):
                return Answer(400, content=b"", content_type="text/plain")
            overwrite = fields.get("overwrite", "") in ("true", "1")
            name = self._uploads.store(file, subfolder, overwrite=overwrite)
            kind = fields.get("type", "input")
            return Answer(body={"name": name, "subfolder": subfolder, "type": kind})

        name = file.name if file else ""
        return await self.handle(("upload",), request, work, text=name, subject=name)

    async def object_info(self, request: web.Request) -> web.StreamResponse:
        """Return the node classes, or one of them; {} for an unknown one."""
        name = request.match_info.get("name")
        names = (
            self._classes if name is None else [each for each in (name,) if each in self._classes]
        )
        body = {each: self._classes[each].info(each) for each in names}
        return await self._answer(request, lambda: Answer(body=body))

    async def system_stats(self, request: web.Request) -> web.StreamResponse:
        """Return the version of the server and its devices."""
        versions = {"own_ids": "0.3.10", "no_jobs": "0.4.0", "no_cancel": "0.20.1"}
        version = next((each for name, each in versions.items() if self._has(name)), "0.33.0")
        system = {"os": "posix", "comfyui_version": version, "python_version": "3.12.3"}
        device = {"name": "cpu", "type": "cpu", "index": None, "vram_total": 0, "vram_free": 0}
        body = {"system": system, "devices": [device]}
        return await self._answer(request, lambda: Answer(body=body))

    async def _answer(
        self, request: web.Request, work: Callable[[], Answer], calls: tuple[str, ...] = ("other",)
    ) -> web.StreamResponse:
        """Respond to a request about no task in particular; no fault affects the call `other`."""
        return await self.handle(calls, request, lambda _: work())
