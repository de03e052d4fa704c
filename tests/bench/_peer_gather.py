"""A bare `asyncio.gather` with aiohttp: the loop of the usual script.

python -m tests.bench._peer_gather BASE_URL ITEMS FOLDER

A file that exists is not made again: what such scripts have for a restart.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp

HEADERS = {"Authorization": "Bearer sk-bench"}


async def run_item(session: aiohttp.ClientSession, base: str, number: int, folder: Path) -> None:
    """Submit, poll to the end, download and write one item."""
    path = folder / f"{number}.png"
    if path.exists():
        return
    body = {"workflowId": "card", "params": {"6": {"text": f"a horse, number {number}"}}}
    async with session.post(f"{base}/v1/comfyui/create", json=body, headers=HEADERS) as response:
        task = (await response.json())["data"]["taskId"]
    url = f"{base}/v1/comfyui/tasks/{task}"
    while True:
        async with session.get(f"{url}/status", headers=HEADERS) as response:
            if (await response.json())["data"]["status"] == "COMPLETED":
                break
        await asyncio.sleep(1)
    async with session.get(f"{url}/result", headers=HEADERS) as response:
        file = (await response.json())["data"]["urls"][0]
    async with session.get(file) as response:
        path.write_bytes(await response.read())


async def main(base: str, items: int, folder: Path) -> None:
    """Run all items at once; aiohttp opens 100 connections."""
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(run_item(session, base, number, folder) for number in range(items)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
