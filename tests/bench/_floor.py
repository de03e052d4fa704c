"""The minimal client in Python: no journal, no limiter, no check, plain file writes.

python -m tests.bench._floor BASE_URL ITEMS FOLDER
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp

CONNECTIONS = 64


async def run_item(session: aiohttp.ClientSession, base: str, number: int, folder: Path) -> None:
    """Submit, poll, download and write one item."""
    body = {"workflowId": "card", "params": {"6": {"text": f"a horse, number {number}"}}}
    headers = {"Authorization": "Bearer sk-bench"}
    async with session.post(f"{base}/v1/comfyui/create", json=body, headers=headers) as response:
        task = (await response.json())["data"]["taskId"]
    tasks = f"{base}/v1/comfyui/tasks/{task}"
    async with session.get(f"{tasks}/status", headers=headers) as response:
        assert (await response.json(content_type=None))["data"]["status"] == "COMPLETED"
    async with session.get(f"{tasks}/result", headers=headers) as response:
        url = (await response.json(content_type=None))["data"]["urls"][0]
    async with session.get(url) as response:
        folder.joinpath(f"{number}.png").write_bytes(await response.read())


async def main(base: str, items: int, folder: Path) -> None:
    """Run the items, as many at once as there are connections."""
    numbers = iter(range(items))

    async def worker() -> None:
        for number in numbers:
            await run_item(session, base, number, folder)

    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
        for _ in range(CONNECTIONS):
            tasks.create_task(worker())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
