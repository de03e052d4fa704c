"""aiohttp sessions for direct connections and for each proxy, opened when first used."""

from __future__ import annotations

import socket
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import aiohttp
from yarl import URL

from batch_runner.providers.http.tls import ResumingContext
from batch_runner.settings import Timeouts
from batch_runner.util.proxies import ProxyUrl

USER_AGENT = "batch-runner"


class Use(StrEnum):
    """What a session is for."""

    SUBMISSION = "submission"  #: each on a new connection
    QUERY = "query"
    DOWNLOAD = "download"


class Sessions:
    """The sessions of one client.

    `guard` opens the sockets of direct downloads and refuses private addresses. What a proxy
    connects to is checked before the request. `base_url` is that of the service; "" if there are
    no submissions.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        guard: Callable[[tuple[Any, ...]], socket.socket],
        base_url: str = "",
    ) -> None:
        self._timeouts = timeouts
        self._guard = guard
        self._base_url = base_url
        self._resuming = ResumingContext() if base_url.startswith("https://") else None
        self._open: dict[tuple[Use, str | None], aiohttp.ClientSession] = {}

    def get(self, use: Use, proxy: ProxyUrl | None) -> tuple[aiohttp.ClientSession, URL | None]:
        """Return the session for requests through `proxy`, and the `proxy` of each request."""
        key = use, None if proxy is None else proxy.url
        if key not in self._open:
            self._open[key] = self._session(use, proxy)
        through = None if proxy is None or proxy.is_socks else URL(proxy.url)
        return self._open[key], through

    def resuming(self, use: Use, url: str, through: URL | None) -> ResumingContext | None:
        """Return the TLS context of a submission to the service; None for other requests.

        Also None through a proxy with TLS of its own, which is another server.
        """
        if use is not Use.SUBMISSION or not url.startswith(f"{self._base_url}/"):
            return None
        return self._resuming if through is None or through.scheme != "https" else None

    async def close(self) -> None:
        for session in self._open.values():
            await session.close()
        self._open.clear()

    def _session(self, use: Use, proxy: ProxyUrl | None) -> aiohttp.ClientSession:
        download = use is Use.DOWNLOAD
        options: dict[str, Any] = {"limit": 0, "force_close": use is Use.SUBMISSION}
        if proxy is not None and proxy.is_socks:
            connector = _socks_connector(proxy, options)
        else:
            guard = self._guard if download and proxy is None else None
            connector = aiohttp.TCPConnector(**options, socket_factory=guard)
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=self._timeouts.connect,
                sock_read=self._timeouts.idle if download else None,
            ),
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=not download,
            trust_env=False,  # nor a .netrc: proxies are passed to each request
        )


def _socks_connector(proxy: ProxyUrl, options: dict[str, Any]) -> aiohttp.BaseConnector:
    from aiohttp_socks import ProxyConnector

    by_name = proxy.parts.scheme in ("socks5h", "socks5")  # the proxy resolves host names
    url = proxy.url.replace("socks5h://", "socks5://", 1)
    connector: aiohttp.BaseConnector = ProxyConnector.from_url(url, rdns=by_name, **options)
    return connector


def socks_errors() -> tuple[type[Exception], ...]:
    """Return what a SOCKS connection may raise: all of it before a request is sent."""
    try:
        from aiohttp_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError
    except ImportError:
        return ()
    return (ProxyError, ProxyConnectionError, ProxyTimeoutError)
