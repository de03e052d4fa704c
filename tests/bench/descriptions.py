"""Descriptions: CPU time of a submission and a poll of a described service, without the network.

    python -m tests.bench.descriptions            every built-in description
    python -m tests.bench.descriptions bfl        those whose name contains a word

The provider builds a request and reads the response, which is there at once: the example of its
description. Also given as a multiple of `json.loads` of the same response, timed in turns with it.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import SecretStr

from batch_runner.providers.catalog import BUILTIN
from batch_runner.providers.declarative.description import Description, Examples
from batch_runner.providers.declarative.provider import DeclarativeProvider
from batch_runner.providers.declarative.reading import read_description
from batch_runner.providers.http import Http, Response
from batch_runner.settings import Service, Settings
from tests.bench import _rows

CALLS, ROUNDS = 2_000, 5
BASE_URL = "https://api.example"


class InstantHttp(Http):
    """Answers every request at once with `body`."""

    body = b""

    async def submit(self, *_: object, **__: object) -> Response:
        """Return the response."""
        return Response(200, self.body)

    async def query(self, *_: object, **__: object) -> Response:
        """Return the response."""
        return Response(200, self.body)

    def answer(self, example: Any) -> None:
        """Set the response to all further requests."""
        self.body = json.dumps(example).replace("{{ base_url }}", BASE_URL).encode()


async def seconds_each(call: Callable[[], Awaitable[object]]) -> float:
    """Return the CPU seconds of a call."""
    begun = time.process_time()
    for _ in range(CALLS):
        await call()
    return (time.process_time() - begun) / CALLS


def parse_seconds(body: bytes) -> float:
    """Return the CPU seconds of parsing a response."""
    begun = time.process_time()
    for _ in range(CALLS):
        json.loads(body)
    return (time.process_time() - begun) / CALLS


async def show(name: str, description: Description, examples: Examples) -> None:
    """Measure the calls of one service and print their rows."""
    service = Service(provider=name, base_url=BASE_URL, key=SecretStr("sk-bench-0123456789"))
    http = InstantHttp(service, Settings())
    provider = DeclarativeProvider(description, http, Settings().retries)

    async def submit() -> str:
        return (await provider.submit(examples.workflow, examples.params, "request-1")).task_id

    http.answer(examples.submit)
    task = await submit()
    await show_call(f"{name}, submission", http.body, submit)
    if examples.status:
        http.answer(examples.status[0])
        await show_call(f"{name}, poll", http.body, lambda: provider.status(task))


async def show_call(name: str, body: bytes, call: Callable[[], Awaitable[object]]) -> None:
    """Measure one call and print its row."""
    costs, floor = [], []
    for _ in range(ROUNDS):
        costs.append(await seconds_each(call))
        floor.append(parse_seconds(body))
    cells = (f"{1e6 * statistics.median(costs):.1f}", f"{_rows.spread(costs):.0%}")
    _rows.print_row(name, *cells, f"{_rows.ratio(costs, floor):.1f}")


async def main(words: list[str]) -> None:
    """Print every row whose name contains one of the words."""
    _rows.print_head(
        "descriptions: CPU time of a call, µs",
        *("median", "spread", "× json"),
        means="What it costs that a service is described in a file and not in code: building a "
        "request and reading its response. An item needs one submission and a few polls.",
    )
    for path in sorted(BUILTIN.glob("*.yaml")):
        description = read_description(path)
        if description.examples and (not words or any(word in path.stem for word in words)):
            await show(path.stem, description, description.examples)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
