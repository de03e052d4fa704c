"""A request to a monitoring service: no key, and no error may show its URL, which is a secret."""

from __future__ import annotations

import socket
from typing import Any

import aiohttp
import anyio
from yarl import URL

from batch_runner.providers.http.sessions import Sessions, Use, socks_errors
from batch_runner.settings import Timeouts
from batch_runner.util.proxies import Proxies
from batch_runner.util.text import printable


async def ping(url: str, body: str, proxies: Proxies, seconds: float) -> str | None:
    """POST `body` to `url`; return what failed, None if nothing did."""
    try:
        with anyio.fail_after(seconds):
            return await _post(url, body, proxies)
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    except aiohttp.ClientConnectorError as error:
        return f"no connection: {printable(error.os_error.strerror or 'refused')}"
    except (aiohttp.ClientError, OSError, ValueError):
        return "the request failed"
    except socks_errors():
        return "the proxy failed"


async def _post(url: str, body: str, proxies: Proxies) -> str | None:
    proxy = proxies.for_url(url)
    sessions = Sessions(Timeouts(), _no_guard)
    try:
        session, through = sessions.get(Use.QUERY, proxy)
        # As it is written: a query string may hold signs that must stay escaped.
        address = URL(url, encoded=True)
        async with session.post(address, data=body.encode(), proxy=through) as response:
            return None if response.status < 300 else f"HTTP {response.status}"
    finally:
        await sessions.close()


def _no_guard(_: tuple[Any, ...]) -> socket.socket:
    raise AssertionError("only downloads are guarded")
