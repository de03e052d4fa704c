"""HTTP client of all providers: its sessions, and the translation of aiohttp's exceptions.

* **Submissions** use a new connection each. A pooled one may be closed already: the request would
  fail after bytes were sent, and its item would be held without need.
* **Queries** (status, result, upload) share pooled connections to the service.
* **Downloads** may go to other hosts, without the key. Private addresses are refused unless the
  service itself has one (see `address_guard`), also through a proxy.

The key is added to single requests to the service's own origin and the hosts that its provider
lists (see `key`). No redirect is followed with it, and it is removed from responses that repeat it.
Errors are raised without their cause, whose text would show the headers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import urljoin

import aiohttp
import anyio
from yarl import URL

from batch_runner.errors import ApiError, Failure, FileRejected
from batch_runner.models import Received
from batch_runner.providers.base import Receiver
from batch_runner.providers.catalog import PROVIDERS
from batch_runner.providers.http.address_guard import (
    AddressGuard,
    guard_for,
    refusal_of,
    refuse_private_host,
)
from batch_runner.providers.http.bodies import encoded_body, read_body
from batch_runner.providers.http.data_urls import is_data_url, receive_data_url
from batch_runner.providers.http.errors import (
    CAUGHT,
    PROXY_AUTHENTICATION,
    download_error,
    plain_url,
    proxy_refusal,
    server_date,
    translate,
)
from batch_runner.providers.http.file_response import Decoder, declared_types, refuse_larger
from batch_runner.providers.http.key import Key, KeyPlacement
from batch_runner.providers.http.redirects import redirect_error
from batch_runner.providers.http.retry_after import retry_after
from batch_runner.providers.http.sessions import Sessions, Use, socks_errors
from batch_runner.settings import Service, Settings
from batch_runner.util.proxies import Proxies

#: Largest API response, in bytes.
MAX_RESPONSE_BYTES = 1 << 20
CHUNK_BYTES = 1 << 16
#: Most redirects of one download.
MAX_REDIRECTS = 3
#: Seconds a request gets after its timeout to read a response that has already arrived.
LATE_SECONDS = 0.1
#: A shorter key is not searched for in responses: it could be an ordinary word.
_SHORTEST_KEY = 8


@dataclass(frozen=True, slots=True)
class Response:
    """A response: HTTP status, body, and Retry-After in seconds (None without a usable one).

    `date` is the Date header, None if the response has none.
    `url` is what was requested, `location` the header of a redirect (None: there was none).
    """

    status: int
    body: bytes
    retry_after: float | None = None
    date: str | None = None
    url: str = ""
    location: str | None = None


class Http:
    """Connections to one service, open inside an `async with` block."""

    def __init__(
        self, service: Service, settings: Settings, *, key: KeyPlacement | None = None
    ) -> None:
        """`key` is how the service wants its key; None: `Authorization: Bearer KEY`."""
        self.base_url = service.base_url.rstrip("/")
        self._service = service
        self._timeouts = settings.timeouts
        self._file_limits = settings.downloads
        self._guard: AddressGuard
        placement = replace(key or KeyPlacement(), local=service.allow_private)
        self._key = Key(service.key.get_secret_value(), placement)
        text = self._key.text
        self._key_pattern = echo_pattern(text) if len(text) >= _SHORTEST_KEY else None
        self._proxies = service.proxies or Proxies()
        used = (self._proxies.http, self._proxies.https)
        socks = any(proxy is not None and proxy.is_socks for proxy in used)
        self._caught: tuple[type[Exception], ...] = CAUGHT
        if socks:
            self._caught += socks_errors()
        self._sessions: Sessions

    @property
    def key_source(self) -> str:
        """Return where the key comes from, for messages; "" if that is not known."""
        return self._service.key_source

    async def __aenter__(self) -> Self:
        self._guard = await guard_for(self._service, self._file_limits.allow_networks)
        self._sessions = Sessions(self._timeouts, self._guard.open_socket, self.base_url)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._sessions.close()

    async def submit(
        self,
        path: str,
        body: bytes | Mapping[str, Any] | aiohttp.FormData,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "POST",
        max_bytes: int = MAX_RESPONSE_BYTES,
    ) -> Response:
        """Send one submission, on a connection of its own; `body` is JSON, or a form."""
        return await self._request(
            Use.SUBMISSION, method, path, self._timeouts.submit, body, headers, max_bytes
        )

    async def query(
        self,
        path: str,
        *,
        method: str = "GET",
        body: Mapping[str, Any] | None = None,
        max_bytes: int = MAX_RESPONSE_BYTES,
    ) -> Response:
        """Send a request that costs nothing to `path` of the API; `body` is sent as JSON.

        `path` may be a whole URL. At another origin, the request carries no key unless the host is
        listed, and the address must be one from which files may be downloaded.
        """
        return await self._request(
            Use.QUERY, method, path, self._timeouts.status, body, None, max_bytes
        )

    async def clock(self) -> float | None:
        """GET the address of the service without the key; return its clock as Unix seconds.

        None if the response shows none.
        """
        response = await self._request(Use.QUERY, "GET", "/", self._timeouts.status, keyless=True)
        return server_date(response.date)

    async def upload(self, path: str, form: aiohttp.FormData) -> Response:
        """POST a multipart form."""
        return await self._request(Use.QUERY, "POST", path, self._timeouts.upload, form)

    async def _request(
        self,
        use: Use,
        method: str,
        path: str,
        seconds: float,
        body: bytes | Mapping[str, Any] | aiohttp.FormData | None = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_RESPONSE_BYTES,
        *,
        keyless: bool = False,
    ) -> Response:
        url = path if _is_absolute(path) else self.base_url + path
        key = Key("") if keyless else self._key
        if not (path.startswith("/") or key.placement.is_for(url, self.base_url)):
            key = Key("")
            await self._refuse_private(url)
        data, sent_headers = encoded_body(body, key.fields)
        sent_headers = {**key.headers, **sent_headers, **(headers or {})}
        target = URL(url, encoded=True)
        if key.query:
            target = target.update_query(key.query)
        proxy = self._proxies.for_url(url)
        session, through = self._sessions.get(use, proxy)
        resuming = self._sessions.resuming(use, url, through)
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(None)
        alarm = loop.call_later(seconds, _expire, loop, limit)
        try:
            async with (
                limit,
                session.request(
                    method,
                    target,
                    headers=sent_headers,
                    data=data,
                    allow_redirects=False,
                    proxy=through,
                    ssl=resuming or True,
                ) as response,
            ):
                content = self._without_key(await read_body(response, max_bytes))
                if response.status == PROXY_AUTHENTICATION and proxy is not None:
                    raise proxy_refusal(f"{method} {plain_url(path)}", proxy, response.status)
                location = response.headers.get("Location")
                return Response(
                    response.status,
                    content,
                    retry_after=retry_after(response.headers),
                    date=response.headers.get("Date"),
                    url=url,
                    location=location and self._text_without_key(location),
                )
        except self._caught as error:
            if resuming is not None:
                resuming.forget()
            raise translate(error, f"{method} {plain_url(path)}", proxy) from None
        finally:
            alarm.cancel()

    async def _refuse_private(self, url: str) -> None:
        """Refuse a URL at another origin that this machine must not be made to request."""
        try:
            self._guard.checked_url(url)
            await refuse_private_host(self._guard, url)
        except FileRejected as error:
            raise ApiError(str(error), failure=Failure.NO_RESPONSE) from None

    async def download(self, url: str, receive: Receiver, *, with_key: bool = False) -> Received:
        """GET a file from any host, without the key, following a few checked redirects.

        A `data:` URL is decoded. `with_key`: requests to the service's own origin carry the key.

        Raises:
            ApiError: the download failed.
            FileRejected: the URL is not allowed, or the response is no file.
            FileNotAccepted: the settings do not allow its address or its size.
        """
        if is_data_url(url):
            return await receive_data_url(url, receive, self._file_limits.max_bytes)
        target = url
        try:
            # asyncio's timeout would not wait for the threads that write the received bytes.
            with anyio.fail_after(self._timeouts.download):
                for _ in range(MAX_REDIRECTS + 1):
                    key = self._key.headers if with_key and self._is_own(target) else {}
                    found = await self._download_or_redirect(url, target, receive, key)
                    if isinstance(found, Received):
                        return found
                    target = found
        except self._caught as error:
            what, proxy = f"GET {plain_url(target)}", self._proxies.for_url(target)
            raise (refusal_of(error, target) or translate(error, what, proxy)) from None
        raise ApiError(f"GET {plain_url(target)}: too many redirects", failure=Failure.REDIRECTED)

    def _is_own(self, url: str) -> bool:
        return self._key.placement.is_for(url, self.base_url)

    async def _download_or_redirect(
        self, url: str, target: str, receive: Receiver, headers: Mapping[str, str]
    ) -> str | Received:
        """Return where `target` redirects to, or pass on its bytes and return how they came."""
        address = self._guard.checked_url(target)
        proxy = self._proxies.for_url(target)
        if proxy is not None:
            # The guard of the sockets sees only the proxy's address.
            await refuse_private_host(self._guard, target)
        session, through = self._sessions.get(Use.DOWNLOAD, proxy)
        async with session.get(
            address, headers=headers, allow_redirects=False, proxy=through
        ) as response:
            if response.status == PROXY_AUTHENTICATION and proxy is not None:
                raise proxy_refusal(f"GET {plain_url(target)}", proxy, response.status)
            location = response.headers.get("Location")
            if response.status in (301, 302, 303, 307, 308) and location:
                return urljoin(target, self._text_without_key(location))
            if response.status != 200:
                raise download_error(response, target)
            refuse_larger(response, self._file_limits.max_bytes)
            decoder, cut_off = Decoder(response), None
            try:
                async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                    for part in decoder.decode(chunk):
                        if (waiting := receive(part)) is not None:
                            await waiting
            except aiohttp.ClientPayloadError as error:
                # A wrong Content-Length does not spoil a file whose structure closes.
                cut_off = translate(error, f"GET {plain_url(target)}")
            if decoder.complete is False:
                cut_off = cut_off or ApiError(
                    f"GET {plain_url(target)}: the gzip data ended before it was complete",
                    failure=Failure.NO_RESPONSE,
                )
            chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
            announced = chunked or "Content-Length" in response.headers
            return Received(
                length_known=cut_off is None and (decoder.complete or announced),
                types=declared_types(response, target, url),
                cut_off=cut_off,
            )

    def redirect_error(self, what: str, response: Response, candidate: str | None) -> ApiError:
        """Return the error for a redirect of a request to the API, which named a task or None."""
        error = redirect_error(
            what,
            response.status,
            response.location,
            url=response.url,
            base_url=self.base_url,
            variable=self._address_name(),
        )
        if candidate is not None:
            error.failure, error.candidate = Failure.REDIRECTED, candidate
        return error

    def _address_name(self) -> str:
        """Return the name of what sets the service's URL, for messages."""
        info = PROVIDERS.get(self._service.provider)
        return "base_url" if info is None else info.base_url_variable

    def _text_without_key(self, text: str) -> str:
        return self._without_key(text.encode("utf-8", "replace")).decode()

    def _without_key(self, text: bytes) -> bytes:
        return text if self._key_pattern is None else self._key_pattern.sub(b"[key]", text)


def _is_absolute(path: str) -> bool:
    return path.startswith(("https://", "http://"))


def _expire(loop: asyncio.AbstractEventLoop, limit: asyncio.Timeout) -> None:
    """Time the request out, after the loop has read a response that has already arrived.

    When a process that was stopped for minutes continues, its timers are due and its responses have
    arrived. The loop would handle the timers first.
    """
    limit.reschedule(loop.time() + LATE_SECONDS)


def echo_pattern(key: str) -> re.Pattern[bytes]:
    """Return a pattern that finds the key in a response, also with its letters as JSON escapes."""
    spellings = (rb"\\?(?:%s|\\u(?i:%04x))" % (re.escape(char.encode()), ord(char)) for char in key)
    return re.compile(b"".join(spellings))
