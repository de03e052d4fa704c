"""The usual loop with httpx: a semaphore, and `while True` with a sleep between polls.

python -m tests.bench._peer_httpx BASE_URL ITEMS FOLDER AT_ONCE

A file that exists is not made again: what such scripts have for a restart.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import httpx

HEADERS = {"Authorization": "Bearer sk-bench"}


async def run_item(client: httpx.AsyncClient, number: int, folder: Path) -> None:
    """Submit, poll to the end, download and write one item."""
    path = folder / f"{number}.png"
    if path.exists():
        return
    body = {"workflowId": "card", "params": {"6": {"text": f"a horse, number {number}"}}}
    response = await client.post("/v1/comfyui/create", json=body, headers=HEADERS)
    url = f"/v1/comfyui/tasks/{response.json()['data']['taskId']}"
    while True:
        response = await client.get(f"{url}/status", headers=HEADERS)
        if response.json()["data"]["status"] == "COMPLETED":
            break
        await asyncio.sleep(1)
    response = await client.get(f"{url}/result", headers=HEADERS)
    file = await client.get(response.json()["data"]["urls"][0])
    path.write_bytes(file.content)


async def main(base: str, items: int, folder: Path, at_once: int) -> None:
    """Run the items, `at_once` of them at the same time."""
    places = asyncio.Semaphore(at_once)

    async def run(number: int) -> None:
        async with places:
            await run_item(client, number, folder)

    async with httpx.AsyncClient(base_url=base, timeout=60) as client:
        await asyncio.gather(*map(run, range(items)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))
