"""One ComfyUI server: its calls, and what is known of it while a run lasts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import aiohttp
import anyio

from batch_runner.errors import ApiError, Failure, FileRejected
from batch_runner.models import Received
from batch_runner.providers.base import Receiver
from batch_runner.providers.catalog import PROVIDERS
from batch_runner.providers.comfyui.graph import Graph
from batch_runner.providers.comfyui.responses import (
    File,
    Job,
    content_of,
    error_of,
    finished_job,
    job_of,
    queued_job,
    rejection,
)
from batch_runner.providers.http import Http, Response
from batch_runner.util.locale import tr
from batch_runner.util.text import json_text, printable

#: Largest response of the API, in bytes: a task's may hold its graph, that of /queue all graphs.
MAX_RESPONSE_BYTES = 64 << 20
#: Seconds within which a server must answer whether it is there.
QUICK_SECONDS = 5.0
#: Seconds for which nothing is submitted to a server that could not be reached.
DOWN_SECONDS = 10.0
#: First version that takes the task's id from the submission.
FIRST_VERSION = (0, 3, 45)
#: First version that is sure to stop only the task whose id is sent to /interrupt.
FIRST_SAFE_INTERRUPT = (0, 3, 60)
_UNREACHABLE = (Failure.UNSENT, Failure.NO_RESPONSE, Failure.AMBIGUOUS)
_NO_SUCH_CALL = (404, 405)
_TASK_ID = PROVIDERS["comfyui"].task_id_pattern


class WrongServer(Exception):
    """What answers at the address is not a ComfyUI server that can be used."""


class Server:
    """The calls of one server. Each raises `ApiError` when it fails."""

    def __init__(self, http: Http, not_accepted: tuple[int, ...] = ()) -> None:
        self._http = http
        self._not_accepted = not_accepted
        self.url = http.base_url
        self.sending = 0  # submissions whose response is awaited
        self.names: dict[str, str] = {}  # value of an upload → what this server calls it
        self._version: tuple[int, ...] | None = None  # None: not asked since it was down
        self._has_jobs = True  # /api/jobs, until an older server lacks it
        self._classes: dict[str, Any] = {}
        self._down_until = 0.0

    # --- what it is ---

    async def identify(self) -> None:
        """Find out the server's version, once until it is unreachable.

        Raises:
            WrongServer: it is another program, or too old.
            ApiError: that cannot be said now.
        """
        if self._version is not None:
            return
        response = await self._send("GET", "/system_stats")
        if response.status in (401, 403, 429) or response.status >= 500:
            self._content(response, f"GET {self.url}/system_stats")
        if 300 <= response.status < 400:
            raise self._http.redirect_error("GET /system_stats", response, None)
        content = content_of(response)
        system = content.get("system") if isinstance(content, dict) else None
        if response.status != 200 or not isinstance(system, dict):
            raise WrongServer(
                tr("{url} is not a ComfyUI server: it has no /system_stats", url=self.url)
            )
        text = str(system.get("comfyui_version") or "")
        version = tuple(int(part) for part in re.findall(r"\d+", text)[:3])
        if version < FIRST_VERSION and (version or not text):
            needed = ".".join(map(str, FIRST_VERSION))
            shown = printable(text, 40) or tr("of an unknown version")
            raise WrongServer(
                tr(
                    "the ComfyUI at {url} is {version}; {needed} or later is needed",
                    url=self.url,
                    version=shown,
                    needed=needed,
                )
            )
        self._version = version

    async def classes(self, names: Iterable[str], *, anew: bool = False) -> dict[str, Any]:
        """Return what the server says of those of the classes that it has.

        `anew`: ask again about classes it was asked about before.
        """
        for name in names:
            if anew or name not in self._classes:
                content = await self._get(f"/object_info/{quote(name, safe='')}")
                self._classes[name] = content.get(name) if isinstance(content, dict) else None
        return {name: info for name, info in self._classes.items() if info is not None}

    async def load(self) -> int:
        """Return how many tasks wait or run there, those of others too."""
        now = asyncio.get_running_loop().time()
        if now < self._down_until:
            raise ApiError(f"{self.url} cannot be reached", failure=Failure.UNSENT)
        try:
            with anyio.fail_after(QUICK_SECONDS):
                content = await self._get("/prompt")
        except TimeoutError:
            self._unreachable()
            raise ApiError(f"{self.url} does not answer", failure=Failure.UNSENT) from None
        info = content.get("exec_info") if isinstance(content, dict) else None
        remaining = info.get("queue_remaining") if isinstance(info, dict) else None
        return self.sending + (remaining if isinstance(remaining, int) else 0)

    def _unreachable(self) -> None:
        """Note that the server may be restarted, with other nodes and files."""
        self._down_until = asyncio.get_running_loop().time() + DOWN_SECONDS
        self._version, self._has_jobs = None, True
        self._classes.clear()
        self.names.clear()

    # --- tasks ---

    async def submit(self, graph: Graph, task_id: str) -> str:
        """Queue `graph` and return the id of its task."""
        body = json_text({"prompt": graph, "prompt_id": task_id})
        try:
            response = await self._http.submit(
                "/prompt", body.encode(), max_bytes=MAX_RESPONSE_BYTES
            )
        except ApiError as error:
            self._note(error)
            raise
        content = self._content(response, "submit", self._not_accepted)
        own_id = content.get("prompt_id") if isinstance(content, dict) else None
        if not isinstance(own_id, str) or not _TASK_ID.fullmatch(own_id):
            raise ApiError(
                f"submit: the response of {self.url} names no valid prompt_id",
                failure=Failure.NO_RESPONSE,
                status=response.status,
            )
        if why := rejection({"node_errors": content.get("node_errors")}):
            await self._withdraw(own_id)  # the rest of the graph was queued
            raise ApiError(
                f"submit: {why}", failure=Failure.REJECTED, status=response.status, code="nodes"
            )
        return own_id

    async def _withdraw(self, task_id: str) -> None:
        try:
            await self.cancel(task_id)
        except ApiError:
            return  # it costs only time

    async def job(self, task_id: str) -> Job | None:
        """Return the task, None if the server does not know it.

        Another program at its address is no server that does not know it.
        """
        await self._identify_or_fail()
        name = quote(task_id, safe="")
        if self._has_jobs:
            response = await self._send("GET", f"/api/jobs/{name}")
            content = content_of(response)
            if response.status != 404:
                self._content(response, "status")
                if (job := job_of(content)) is not None:
                    return job
                raise ApiError("status: the response cannot be read", failure=Failure.NO_RESPONSE)
            if isinstance(content, dict) and "error" in content:
                return None
            self._has_jobs = False  # the server has no such call
        # In this order: a task that ends in between is in the history.
        queued = queued_job(await self._get("/queue"), task_id)
        return queued or finished_job(await self._get(f"/history/{name}"), task_id)

    async def cancel(self, task_id: str) -> None:
        """Cancel the task if the server has it, and no other one."""
        response = await self._send("POST", f"/api/jobs/{quote(task_id, safe='')}/cancel", {})
        if response.status not in _NO_SUCH_CALL:
            self._content(response, "cancel")
            return
        if queued_job(await self._get("/queue"), task_id) is None:
            return
        response = await self._send("POST", "/queue", {"delete": [task_id]})
        self._content(response, "cancel")
        running = queued_job(await self._get("/queue"), task_id)
        if running is None:
            return
        await self._identify_or_fail()
        if self._version and self._version < FIRST_SAFE_INTERRUPT:
            raise ApiError(
                f"cancel: the ComfyUI at {self.url} is too old to stop one running task",
                failure=Failure.REJECTED,
            )
        self._content(await self._send("POST", "/interrupt", {"prompt_id": task_id}), "cancel")

    async def _identify_or_fail(self) -> None:
        try:
            await self.identify()
        except WrongServer as error:
            raise ApiError(str(error), failure=Failure.FORBIDDEN) from None

    # --- files ---

    def url_of(self, file: File) -> str:
        """Return the URL of a file."""
        return self.url + _view(file)

    async def has(self, file: File) -> bool:
        """Return whether the server has a file."""
        response = await self._send("HEAD", _view(file))
        if response.status in (200, 404):
            return response.status == 200
        self._content(response, f"HEAD {self.url}/view")
        return False

    async def upload(self, name: str, content: bytes) -> str:
        """Store an input file and return the value that stands for it in a graph."""
        form = aiohttp.FormData()
        form.add_field("image", content, filename=name, content_type="application/octet-stream")
        form.add_field("overwrite", "true")  # by the same content: see `uploads`
        try:
            response = await self._http.upload("/upload/image", form)
        except ApiError as error:
            self._note(error)
            raise
        stored = self._content(response, "upload")
        stored = stored if isinstance(stored, dict) else {}
        returned, subfolder = stored.get("name"), stored.get("subfolder") or ""
        if not isinstance(returned, str) or not returned or not isinstance(subfolder, str):
            raise ApiError("upload: the response holds no name", failure=Failure.NO_RESPONSE)
        return f"{subfolder}/{returned}" if subfolder else returned

    async def read(self, file: File) -> bytes:
        """Return the bytes of a file."""
        content = bytearray()
        try:
            await self.download(self.url_of(file), content.extend)
        except FileRejected as error:
            raise ApiError(str(error), failure=Failure.REJECTED) from None
        return bytes(content)

    async def download(self, url: str, receive: Receiver) -> Received:
        """Pass the bytes of a file of this server to `receive`."""
        received = await self._http.download(url, receive, with_key=True)
        # The path of the URL does not end with the file's name.
        (name,) = parse_qs(urlsplit(url).query).get("filename", [""])[:1]
        types = [one for one in received.types if one != ".view"]
        if "." in name:
            types.append(printable(f".{name.rpartition('.')[2].lower()}", 80))
        return replace(received, types=tuple(types))

    # --- requests ---

    async def _get(self, path: str) -> Any:
        return self._content(await self._send("GET", path), f"GET {self.url}{path.split('?')[0]}")

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Response:
        try:
            response = await self._http.query(
                path, method=method, body=body, max_bytes=MAX_RESPONSE_BYTES
            )
        except ApiError as error:
            self._note(error)
            raise
        self._down_until = 0.0
        return response

    def _note(self, error: ApiError) -> None:
        if error.failure in _UNREACHABLE:
            self._unreachable()

    def _content(self, response: Response, call: str, not_accepted: tuple[int, ...] = ()) -> Any:
        """Return the JSON of a successful response, None if it is none."""
        if 300 <= response.status < 400:
            raise self._http.redirect_error(call, response, None)
        if not 200 <= response.status < 300:
            raise error_of(call, response, not_accepted, key_source=self._http.key_source)
        return content_of(response)


def _view(file: File) -> str:
    query = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
    return f"/view?{urlencode(query, quote_via=quote)}"
