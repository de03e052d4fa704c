"""Faults of results: URLs that are missing, repeated, invalid or dangerous."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from batch_runner.simulator.exchange import Exchange
from batch_runner.simulator.faults.registry import Response, fault


async def _with_urls(exchange: Exchange, change: Callable[[list[Any]], list[Any]]) -> Response:
    """Send the result with changed URLs, in any of its shapes."""
    answer = await exchange.do_work()
    exchange.responses.change_urls(answer, change)
    return exchange.send(answer)


@fault("result")
async def no_urls(exchange: Exchange) -> Response:
    """Send an empty list of URLs."""
    return await _with_urls(exchange, lambda _: [])


@fault("result")
async def twice_urls(exchange: Exchange) -> Response:
    """Send every URL twice."""
    return await _with_urls(exchange, lambda urls: urls * 2)


@fault("result")
async def relative_url(exchange: Exchange) -> Response:
    """Send paths instead of URLs."""
    return await _with_urls(exchange, lambda urls: [urlsplit(url).path for url in urls])


@fault("result")
async def url_ending(exchange: Exchange, *, value: str = "glb") -> Response:
    """Send URLs that end in .glb (or value=…) instead of .png, for the same file."""
    return await _with_urls(
        exchange, lambda urls: [url.replace(".png", f".{value}", 1) for url in urls]
    )


@fault("result")
async def scheme(exchange: Exchange, *, value: str = "ftp") -> Response:
    """Send URLs of another scheme (ftp, or value=file)."""
    return await _with_urls(exchange, lambda urls: [value + url[4:] for url in urls])


@fault("result")
async def private_url(exchange: Exchange, *, host: str = "169.254.169.254") -> Response:
    """Send URLs on a private address (169.254.169.254, or host=…)."""
    return await _with_urls(
        exchange, lambda urls: [f"http://{host}{urlsplit(url).path}" for url in urls]
    )


@fault("result")
async def expired_url(exchange: Exchange) -> Response:
    """Send URLs that have expired: a download gets 403."""
    return await _with_urls(
        exchange, lambda urls: [url.partition("?")[0] + "?expires=0" for url in urls]
    )


@fault("result")
async def strange_url(exchange: Exchange, *, value: str = "http://[::1/\x1b[31m a.png") -> Response:
    """Send a text that is not a URL (or value=…)."""
    return await _with_urls(exchange, lambda urls: [value for _ in urls])


@fault("result")
async def url_types(exchange: Exchange) -> Response:
    """Send null, a number and an object instead of URLs."""
    return await _with_urls(exchange, lambda _: [None, 7, {"url": "x"}])


@fault("result")
async def not_ready(exchange: Exchange) -> Response:
    """Respond that the result of a COMPLETED task is not ready (each=N: N times)."""
    return exchange.reject(exchange.responses.error(400, "结果尚未就绪"))
