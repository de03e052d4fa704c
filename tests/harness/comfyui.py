"""A small ComfyUI server: what its calls answer, as measured on a real one, over real sockets.

It executes one task at a time. `kill` loses its queue and history and keeps its files, as SIGKILL
does; `start` brings it back at the same address. `new` servers have /api/jobs.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.harness.images import png_bytes

LIST = [["sd15.safetensors", "sdxl.safetensors"], {}]
NODES: dict[str, dict[str, Any]] = {
    "CheckpointLoaderSimple": {"input": {"required": {"ckpt_name": LIST}}},
    "CLIPTextEncode": {"input": {"required": {"text": ["STRING", {}], "clip": ["CLIP"]}}},
    "EmptyLatentImage": {"input": {"required": {"batch_size": ["INT", {}], "width": ["INT", {}]}}},
    "KSampler": {
        "input": {
            "required": {
                "seed": ["INT", {}],
                "sampler_name": ["COMBO", {"options": ["euler", "dpm"]}],
                "positive": ["CONDITIONING"],
                "latent_image": ["LATENT"],
            }
        }
    },
    "LoadImage": {"input": {"required": {"image": [["example.png"], {"image_upload": True}]}}},
    "SaveImage": {
        "input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {}]}},
        "output_node": True,
    },
    "PreviewImage": {"input": {"required": {"images": ["IMAGE"]}}, "output_node": True},
    "AnyInputs": {"input": {"required": {}}, "python_module": "custom_nodes.any"},
}


def a_graph(*, batch: int = 1, savers: int = 1) -> dict[str, Any]:
    """Return a workflow file's graph; node 6 has the text, 9 and 19 … save."""
    graph = {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"batch_size": batch, "width": 512}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a horse", "clip": ["4", 1]}},
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": 1,
                "sampler_name": "euler",
                "positive": ["6", 0],
                "latent_image": ["5", 0],
            },
        },
    }
    for number in range(savers):
        inputs = {"images": ["3", 0], "filename_prefix": "ComfyUI"}
        graph[f"{9 + 10 * number}"] = {"class_type": "SaveImage", "inputs": inputs}
    return graph


class ComfyServer:
    """One server, whose files are in `folder`."""

    def __init__(
        self,
        folder: Path,
        *,
        version: str = "0.33.0",
        seconds: float = 5.0,
        token: str | None = None,
    ) -> None:
        self.folder = folder
        self.version, self.seconds, self.token = version, seconds, token
        numbers = tuple(map(int, version.split(".")))
        self.has_jobs, self.has_cancel = numbers >= (0, 5, 1), numbers >= (0, 25)
        self.nodes = dict(NODES)
        self.port = 0
        self.requests: list[tuple[str, str, Any]] = []  # method, path and JSON
        self.executed: list[str] = []  # ids of tasks that were begun
        self.lose_answers = 0  # of submissions that are accepted
        self.keys: list[str | None] = []  # the Authorization of each request
        self.moved_to = ""  # another server, to which downloads are redirected
        self.hangs = False  # as a process that is stopped: requests wait
        self.broken = ""  # beginning of the paths that answer 500
        self.hidden = 0  # calls for which no task is known
        self.fail_text = "fail"  # a prompt with it fails
        self.drop_nodes: dict[str, Any] = {}  # node_errors of a 200
        self.runner: web.AppRunner | None = None
        self._worker: asyncio.Task[None] | None = None
        self.forget()

    def forget(self) -> None:
        self.pending: list[tuple[str, dict[str, Any]]] = []
        self.running: tuple[str, dict[str, Any]] | None = None
        self.history: dict[str, Any] = {}
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.forget()
        app = web.Application(client_max_size=100 << 20, middlewares=[self._record])
        app.add_routes(
            [
                web.get("/system_stats", self._stats),
                web.get("/prompt", self._queue_info),
                web.post("/prompt", self._prompt),
                web.get("/queue", self._queue),
                web.post("/queue", self._delete),
                web.post("/interrupt", self._interrupt),
                web.get("/history/{id}", self._history),
                web.get("/object_info/{name}", self._object_info),
                web.get("/view", self._view),
                web.post("/upload/image", self._upload),
            ]
        )
        if self.has_jobs:
            app.add_routes([web.get("/api/jobs/{id}", self._job)])
        if self.has_cancel:
            app.add_routes([web.post("/api/jobs/{id}/cancel", self._cancel)])
        pages = self.folder / "web"  # of the frontend: other calls get 404, or 405
        pages.mkdir(parents=True, exist_ok=True)
        app.add_routes([web.static("/", pages)])
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self.runner.addresses[0][1]
        self._worker = asyncio.create_task(self._work())

    async def kill(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
        if self.runner is not None:
            await self.runner.cleanup()
        self.runner = None

    async def __aenter__(self) -> ComfyServer:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.kill()

    # --- execution ---

    async def _work(self) -> None:
        while True:
            if not self.pending:
                self._wake.clear()
                await self._wake.wait()
                continue
            self.running = self.pending.pop(0)
            task_id, graph = self.running
            self.executed.append(task_id)
            self._stop.clear()
            try:
                await asyncio.wait_for(self._stop.wait(), self.seconds)
                end = "execution_interrupted"
            except TimeoutError:
                end = "execution_success"
            if self.fail_text in json.dumps(graph):
                end = "execution_error"
            self.history[task_id] = self._entry(task_id, graph, end)
            self.running = None

    def _entry(self, task_id: str, graph: dict[str, Any], end: str) -> dict[str, Any]:
        success = end == "execution_success"
        data: dict[str, Any] = {"prompt_id": task_id, "node_id": "3", "node_type": "KSampler"}
        if end == "execution_error":
            data |= {"exception_message": "CUDA out of memory", "exception_type": "RuntimeError"}
        return {
            "prompt": [0, task_id, graph, {}, ["9"]],
            "outputs": self._outputs(graph) if success else {},
            "status": {
                "status_str": "success" if success else "error",
                "completed": success,
                "messages": [["execution_start", {"prompt_id": task_id}], [end, data]],
            },
        }

    def _outputs(self, graph: dict[str, Any]) -> dict[str, Any]:
        batch = max(node["inputs"].get("batch_size", 1) for node in graph.values())
        outputs: dict[str, Any] = {}
        # Not in the order of the ids, as nodes may be executed in any.
        for node_id in sorted(graph, reverse=True):
            kind, inputs = graph[node_id]["class_type"], graph[node_id]["inputs"]
            if kind == "SaveImage":
                names = [self.save(inputs["filename_prefix"]) for _ in range(batch)]
                images = [{"filename": name, "subfolder": "", "type": "output"} for name in names]
                outputs[node_id] = {"images": images}
            elif kind == "PreviewImage":
                image = {"filename": "temp.png", "subfolder": "", "type": "temp"}
                outputs[node_id] = {"images": [image], "animated": [False]}
        return outputs

    def save(self, prefix: str) -> str:
        """Store an image as SaveImage does, and return its name."""
        folder = self.folder / "output"
        folder.mkdir(parents=True, exist_ok=True)
        pattern = re.compile(re.escape(prefix) + r"_(\d+)")
        taken = [int(found[1]) for path in folder.iterdir() if (found := pattern.match(path.name))]
        name = f"{prefix}_{max([0, *taken]) + 1:05}_.png"
        (folder / name).write_bytes(png_bytes(noise=4))
        return name

    # --- calls ---

    @web.middleware
    async def _record(self, request: web.Request, handler: Any) -> web.StreamResponse:
        content = None
        if request.content_type == "application/json" and request.body_exists:
            content = await request.json()
        self.requests.append((request.method, request.path, content))
        self.keys.append(request.headers.get("Authorization"))
        while self.hangs:  # noqa: ASYNC110
            await asyncio.sleep(1)
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        if self.broken and request.path.startswith(self.broken):
            return web.Response(status=500)
        response: web.StreamResponse = await handler(request)
        return response

    async def _stats(self, request: web.Request) -> web.Response:
        return web.json_response({"system": {"comfyui_version": self.version}, "devices": []})

    async def _queue_info(self, request: web.Request) -> web.Response:
        remaining = len(self.pending) + (self.running is not None)
        return web.json_response({"exec_info": {"queue_remaining": remaining}})

    async def _prompt(self, request: web.Request) -> web.Response:
        content = await request.json()
        task_id, graph = content.get("prompt_id") or str(uuid.uuid4()), content["prompt"]
        if str(uuid.UUID(task_id)) != task_id:
            return _refused("invalid_prompt_id", "prompt_id must be a valid UUID", {})
        for node_id, node in graph.items():
            kind = node["class_type"]
            if kind not in self.nodes:
                return _refused("missing_node_type", f"Node '{kind}' not found.", {})
            if kind == "LoadImage" and not self._input(node["inputs"]["image"]).exists():
                error = {"message": "Custom validation failed", "details": "Invalid image file"}
                errors = {node_id: {"errors": [error], "class_type": kind}}
                return _refused("prompt_outputs_failed_validation", "Prompt outputs failed", errors)
        self.pending.append((task_id, graph))
        self._wake.set()
        if self.lose_answers:
            self.lose_answers -= 1
            assert request.transport is not None
            request.transport.abort()
        answer = {"prompt_id": task_id, "number": 1, "node_errors": self.drop_nodes}
        return web.json_response(answer)

    async def _queue(self, request: web.Request) -> web.Response:
        running = [] if self.running is None else [self.running]
        entries = [[[0, *one, {}, ["9"]] for one in part] for part in (running, self.pending)]
        return web.json_response({"queue_running": entries[0], "queue_pending": entries[1]})

    async def _delete(self, request: web.Request) -> web.Response:
        for task_id in (await request.json()).get("delete", []):
            self.pending = [one for one in self.pending if one[0] != task_id]
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.Response:
        task_id = (await request.json()).get("prompt_id")
        if task_id is None or (self.running and self.running[0] == task_id):
            self._stop.set()
        return web.Response()

    def _task_id(self, request: web.Request) -> str:
        self.hidden -= 1
        return request.match_info["id"] if self.hidden < 0 else "hidden"

    async def _history(self, request: web.Request) -> web.Response:
        task_id = self._task_id(request)
        found = {task_id: self.history[task_id]} if task_id in self.history else {}
        return web.json_response(found)

    async def _job(self, request: web.Request) -> web.Response:
        task_id = self._task_id(request)
        if (entry := self.history.get(task_id)) is not None:
            end, data = entry["status"]["messages"][-1]
            words = {"execution_success": "completed", "execution_interrupted": "cancelled"}
            job = {"id": task_id, "status": words.get(end, "failed"), "outputs": entry["outputs"]}
            if end == "execution_error":
                job["execution_error"] = data
            return web.json_response(job)
        if self.running and self.running[0] == task_id:
            return web.json_response({"id": task_id, "status": "in_progress"})
        if any(one[0] == task_id for one in self.pending):
            return web.json_response({"id": task_id, "status": "pending"})
        return web.json_response({"error": "Job not found"}, status=404)

    async def _cancel(self, request: web.Request) -> web.Response:
        task_id = request.match_info["id"]
        before = len(self.pending)
        self.pending = [one for one in self.pending if one[0] != task_id]
        runs = self.running is not None and self.running[0] == task_id
        if runs:
            self._stop.set()
        return web.json_response({"cancelled": runs or len(self.pending) < before})

    async def _object_info(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        info = {"python_module": "nodes", "output_node": False, **self.nodes.get(name, {})}
        return web.json_response({name: info} if name in self.nodes else {})

    async def _view(self, request: web.Request) -> web.StreamResponse:
        if self.moved_to and request.method == "GET":
            raise web.HTTPFound(self.moved_to + request.path_qs)
        query = request.query
        path = self.folder / query.get("type", "output") / query.get("subfolder", "")
        path /= query["filename"]
        return web.FileResponse(path) if path.is_file() else web.Response(status=404)

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        image = form["image"]
        assert isinstance(image, web.FileField)
        name, content = image.filename, image.file.read()
        stem, _, ending = name.rpartition(".")
        number = 1
        while self._input(name).exists() and form.get("overwrite") != "true":
            if self._input(name).read_bytes() == content:
                break
            name = f"{stem} ({number}).{ending}"
            number += 1
        self._input(name).parent.mkdir(parents=True, exist_ok=True)
        self._input(name).write_bytes(content)
        return web.json_response({"name": name, "subfolder": "", "type": "input"})

    def _input(self, name: str) -> Path:
        return self.folder / "input" / name


def _refused(kind: str, message: str, nodes: Mapping[str, Any]) -> web.Response:
    error = {"type": kind, "message": message, "details": "", "extra_info": {}}
    return web.json_response({"error": error, "node_errors": nodes}, status=400)
