"""A client for the service's contract that shares no code with the program."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from batch_runner.simulator import Simulator, SimulatorSettings

KEY = "sk-plain"
CARD = {"workflowId": "year_of_the_horse_greeting_card", "params": {"6": {"text": "a horse"}}}


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, read to its end."""

    status: int
    headers: dict[str, str]
    content: bytes
    body: Any = None


@dataclass(frozen=True, slots=True)
class PlainClient:
    """A session with one simulator; `patience` is the time limit of a request in seconds."""

    simulator: Simulator
    session: aiohttp.ClientSession
    patience: float = 60.0

    async def call(
        self,
        method: str,
        path: str,
        *,
        key: str | None = KEY,
        read_json: bool = True,
        **kwargs: Any,
    ) -> Reply:
        """Send one request to a path of the API or to a URL."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        url = path if "://" in path else self.simulator.base_url + path
        async with self.session.request(
            method,
            url,
            headers=headers | kwargs.pop("headers", {}),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=self.patience),
            **kwargs,
        ) as response:
            content = await response.read()
            is_json = read_json and "json" in response.headers.get("Content-Type", "")
            body = await response.json() if is_json else None
            return Reply(response.status, dict(response.headers), content, body)

    async def submit(self, content: Any = CARD, **kwargs: Any) -> Reply:
        return await self.call("POST", "/v1/comfyui/create", json=content, **kwargs)

    async def submitted(self, content: Any = CARD) -> str:
        """Submit and return the task id."""
        task_id: str = (await self.submit(content)).body["data"]["taskId"]
        return task_id

    async def status(self, task_id: str, **kwargs: Any) -> Reply:
        return await self.call("GET", f"/v1/comfyui/tasks/{task_id}/status", **kwargs)

    async def state(self, task_id: str) -> str:
        word: str = (await self.status(task_id)).body["data"][0]["status"]
        return word

    async def result(self, task_id: str, **kwargs: Any) -> Reply:
        return await self.call("GET", f"/v1/comfyui/tasks/{task_id}/result", **kwargs)

    async def urls(self, task_id: str) -> list[str]:
        found: list[str] = (await self.result(task_id)).body["data"]["urls"]
        return found

    async def download(self, url: str, **kwargs: Any) -> Reply:
        return await self.call("GET", url, key=None, **kwargs)

    async def upload(self, content: bytes, name: str = "photo.jpg", **kwargs: Any) -> Reply:
        form = aiohttp.FormData()
        form.add_field(kwargs.pop("field", "file"), content, filename=name)
        return await self.call("POST", "/v1/resources/upload", data=form, **kwargs)

    async def ledger(self) -> Any:
        return (await self.call("GET", "/_sim/ledger", key=None)).body

    async def set_faults(self, *faults: str) -> Reply:
        return await self.call("POST", "/_sim/faults", key=None, json=list(faults))


@asynccontextmanager
async def simulated(
    *faults: str, patience: float = 60.0, **settings: Any
) -> AsyncIterator[PlainClient]:
    """Run a simulator and yield a client for it."""
    chosen = SimulatorSettings(faults=faults, **settings)
    # A new connection each time: aiohttp repeats a GET that fails on a reused one.
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        Simulator(chosen) as simulator,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        yield PlainClient(simulator, session, patience)
