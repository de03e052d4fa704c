"""Faults of results: URLs that are missing, doubled, strange or dangerous."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from batch_runner.simulator.faults.registry import fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.simulator.exchange import Exchange
    from batch_runner.simulator.faults.registry import Response


async def _with_urls(exchange: Exchange, change: Callable[[list[str]], list[str]]) -> Response:
    """Answer with changed URLs, whatever the shape they come in."""
    answer = await exchange.answer()
    if answer.status == 200:
        holder = answer.data
        holder = holder.get("result", holder)
        holder["urls"] = change(holder["urls"])
    return exchange.send(answer)


@fault("result")
async def no_urls(exchange: Exchange) -> Response:
    """Give an empty list of URLs."""
    return await _with_urls(exchange, lambda _: [])


@fault("result")
async def twice_urls(exchange: Exchange) -> Response:
    """Give every URL twice."""
    return await _with_urls(exchange, lambda urls: urls * 2)


@fault("result")
async def relative_url(exchange: Exchange) -> Response:
    """Give paths instead of URLs."""
    return await _with_urls(exchange, lambda urls: [urlsplit(url).path for url in urls])


@fault("result")
async def scheme(exchange: Exchange, *, value: str = "ftp") -> Response:
    """Give URLs of another scheme (ftp, or value=file)."""
    return await _with_urls(exchange, lambda urls: [value + url[4:] for url in urls])


@fault("result")
async def private_url(exchange: Exchange, *, host: str = "169.254.169.254") -> Response:
    """Give URLs on a private address (169.254.169.254, or host=…)."""
    return await _with_urls(
        exchange, lambda urls: [f"http://{host}{urlsplit(url).path}" for url in urls]
    )


@fault("result")
async def expired_url(exchange: Exchange) -> Response:
    """Give URLs that have expired already: the files answer 403."""
    return await _with_urls(
        exchange, lambda urls: [url.partition("?")[0] + "?expires=0" for url in urls]
    )


@fault("result")
async def strange_url(exchange: Exchange, *, value: str = "http://[::1/\x1b[31m a.png") -> Response:
    """Give something that is no URL (or value=…)."""
    return await _with_urls(exchange, lambda urls: [value for _ in urls])


@fault("result")
async def url_types(exchange: Exchange) -> Response:
    """Give numbers, null and objects where URLs belong."""
    answer = await exchange.answer()
    if answer.status == 200:
        answer.body["data"] = {"urls": [None, 7, {"url": "x"}]}
    return exchange.send(answer)


@fault("result")
async def not_ready(exchange: Exchange) -> Response:
    """Say that a COMPLETED task's result is not there yet (each=N: for a while)."""
    return exchange.refuse(exchange.service.voice.refusal(400, "结果尚未就绪"))
