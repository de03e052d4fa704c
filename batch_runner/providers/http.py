"""HTTP, for every provider: three ways out, and the border where aiohttp's errors end.

* **creates** leave on a fresh connection each: a pooled one may have died meanwhile, and would
  fail after bytes left, which would hold an item for nothing;
* **queries** (status, result, upload) share pooled connections to the same origin;
* **downloads** go to other hosts from a session that has never seen the key, and may not reach
  private addresses unless the service itself is on one. That is checked where the socket is made,
  for every address of every hop, so a name that resolves differently the second time gains nothing.

The key travels in the headers of single requests to the service's own origin; no redirect is
followed with it, and what an answer repeats of it is taken out. Errors are raised without their
cause, whose text would show the headers.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import aiohttp
import anyio
from yarl import URL

from batch_runner.errors import ApiError, Failure, FileRejected
from batch_runner.providers.base import Receiver
from batch_runner.providers.classify import classify
from batch_runner.settings import Service, Settings
from batch_runner.util.text import printable

#: An answer of the API that is larger than this is not one.
ANSWER_BYTES = 1 << 20
CHUNK_BYTES = 1 << 16
MOST_HOPS = 3
#: Seconds that a request gets beyond its time.
MOMENT = 0.1
#: What stands for no coding; the third is left over from how some stores are written to.
_AS_IT_IS = ("", "identity", "aws-chunked")
_SECRET = 8  # characters of a key, at least; a shorter one is a word that stands anywhere
USER_AGENT = "batch-runner"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: HTTP status, body, and Retry-After in seconds if it was a plain time."""

    status: int
    body: bytes
    retry_after: float | None


class Http:
    """The connections to one service, open for the length of an `async with` block."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self.base_url = service.base_url.rstrip("/")
        self._service = service
        self._timeouts = settings.timeouts
        self._private = service.allow_private
        key = service.key.get_secret_value()
        self._authorization = {"Authorization": f"Bearer {key}"}
        self._echo = _echo_of(key) if len(key) >= _SECRET else None
        self._creates: aiohttp.ClientSession
        self._queries: aiohttp.ClientSession
        self._downloads: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._private = self._private or await _is_private(self.base_url)
        gate = None if self._private or self._service.trust_env else _public_socket
        self._creates = self._session(aiohttp.TCPConnector(limit=0, force_close=True))
        self._queries = self._session(aiohttp.TCPConnector(limit=0))
        self._downloads = self._session(
            aiohttp.TCPConnector(limit=0, socket_factory=gate),
            idle=self._timeouts.idle,
            auto_decompress=False,
        )
        return self

    async def __aexit__(self, *exception: object) -> None:
        for session in (self._creates, self._queries, self._downloads):
            await session.close()

    def _session(
        self,
        connector: aiohttp.TCPConnector,
        *,
        idle: float | None = None,
        auto_decompress: bool = True,
    ) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=None, connect=self._timeouts.connect, sock_read=idle)
        return aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=auto_decompress,
            trust_env=self._service.trust_env,
        )

    async def create(self, path: str, body: bytes) -> Answer:
        """POST a create: one request on a connection of its own."""
        headers = {**self._authorization, "Content-Type": "application/json"}
        return await self._ask(
            self._creates, "POST", path, self._timeouts.submit, headers, data=body
        )

    async def query(self, path: str) -> Answer:
        """GET something of the API."""
        return await self._ask(
            self._queries, "GET", path, self._timeouts.status, self._authorization
        )

    async def upload(self, path: str, form: aiohttp.FormData) -> Answer:
        """POST a multipart form."""
        return await self._ask(
            self._queries, "POST", path, self._timeouts.upload, self._authorization, data=form
        )

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        method: str,
        path: str,
        seconds: float,
        headers: Mapping[str, str],
        data: Any = None,
    ) -> Answer:
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(None)
        alarm = loop.call_later(seconds, _last_moment, loop, limit)
        try:
            async with (
                limit,
                session.request(
                    method, self.base_url + path, headers=headers, data=data, allow_redirects=False
                ) as response,
            ):
                body = self._without_key(await _read(response, ANSWER_BYTES))
                return Answer(response.status, body, _retry_after(response.headers))
        except _CAUGHT as error:
            raise translate(error, f"{method} {path}") from None
        finally:
            alarm.cancel()

    async def download(self, url: str, receive: Receiver) -> bool:
        """GET a file from any host, without the key, following a few checked redirects.

        Returns whether the answer said where the file ends.

        Raises:
            ApiError: it could not be had.
            FileRejected: the address may not be asked.
        """
        try:
            # Not asyncio's, which does not wait for the threads that write what has come.
            with anyio.fail_after(self._timeouts.download):
                for _ in range(MOST_HOPS + 1):
                    target = await self._hop(url, receive)
                    if isinstance(target, bool):
                        return target
                    url = target
        except _CAUGHT as error:
            raise translate(error, f"GET {plain_url(url)}") from None
        raise ApiError(f"GET {plain_url(url)}: too many redirects", failure=Failure.REDIRECTED)

    async def _hop(self, url: str, receive: Receiver) -> str | bool:
        """Return where `url` redirects to; or pass on its bytes, and say if their end was told."""
        address = self._address(url)
        async with self._downloads.get(address, allow_redirects=False) as response:
            location = response.headers.get("Location")
            if response.status in (301, 302, 303, 307, 308) and location:
                return urljoin(url, self._without_key(location.encode()).decode())
            if response.status != 200:
                raise _refused_file(response, url)
            coding = response.headers.get("Content-Encoding", "").strip().lower()
            if coding not in _AS_IT_IS:
                raise FileRejected("the file came compressed, although it was asked for as it is")
            async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                if (waiting := receive(chunk)) is not None:
                    await waiting
            chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
            return chunked or "Content-Length" in response.headers

    def _without_key(self, said: bytes) -> bytes:
        """Return what the service said with the key taken out, should it repeat it."""
        return said if self._echo is None else self._echo.sub(b"[key]", said)

    def _address(self, url: str) -> URL:
        """Return the address to fetch from, as the connection will read it."""
        try:
            address = URL(url)
        except ValueError:
            raise FileRejected(f"{plain_url(url)} is not an address") from None
        if address.scheme not in ("http", "https") or not address.host or address.user:
            raise FileRejected(f"{plain_url(url)} is not an address that may be fetched")
        if not self._private and _is_literally_private(address.host):
            raise FileRejected(f"{plain_url(url)} is on a private address")
        return address


def _last_moment(loop: asyncio.AbstractEventLoop, limit: asyncio.Timeout) -> None:
    """End a request that is out of time, after what came while the process stood still is read.

    A process that was stopped for minutes finds its timers due and its answers there, and would
    look at its timers first.
    """
    limit.reschedule(loop.time() + MOMENT)


def _echo_of(key: str) -> re.Pattern[bytes]:
    """Return what finds the key in an answer, also where JSON spells its letters as escapes."""
    spellings = (rb"\\?(?:%s|\\u(?i:%04x))" % (re.escape(sign.encode()), ord(sign)) for sign in key)
    return re.compile(b"".join(spellings))


def plain_url(url: str) -> str:
    """Return `url` for people, without its query and its user, which may hold secrets."""
    return printable(_USER.sub("//", url.split("?", 1)[0]), 200)


_USER = re.compile(r"//[^/]*@")


def _is_literally_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:  # a name: seen to when it has been looked up
        return False


def _public_socket(info: tuple[Any, ...]) -> socket.socket:
    """Make a socket for an address, unless it is a private one."""
    family, kind, protocol, _, address = info
    if not ipaddress.ip_address(address[0].split("%")[0]).is_global:
        raise OSError(errno.EACCES, f"{address[0]} is a private address")
    return socket.socket(family=family, type=kind, proto=protocol)


async def _is_private(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False  # it will fail again, with a message, at the first request
    return any(not ipaddress.ip_address(str(one[4][0]).split("%")[0]).is_global for one in found)


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    chunks = bytearray()
    while not response.content.at_eof():
        chunks += await response.content.readany()
        if len(chunks) > limit:
            raise _TooLarge
    return bytes(chunks)


class _TooLarge(Exception):
    """An answer that is larger than an answer can be."""


_CAUGHT = (aiohttp.ClientError, TimeoutError, OSError, _TooLarge, ValueError)


def translate(error: Exception, what: str) -> ApiError:
    """Return our error for one of aiohttp's; its text holds no headers.

    Only what fails before there is a connection proves that nothing was sent. Everything after
    the connect is ambiguous, also an answer that is no HTTP: aiohttp reports that as status 400.
    """
    kind = type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        local = number in (errno.EMFILE, errno.ENFILE)
        detail = error.os_error.strerror or str(error.os_error)
        return ApiError(
            f"{what}: no connection ({detail})",
            failure=Failure.LOCAL if local else Failure.UNSENT,
        )
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return ApiError(f"{what}: no connection in time", failure=Failure.UNSENT)
    if isinstance(error, aiohttp.InvalidURL):
        return ApiError(f"{what}: not an address", failure=Failure.REJECTED)
    if isinstance(error, _TooLarge):
        return ApiError(f"{what}: the answer is too large", failure=Failure.NO_RESPONSE)
    if isinstance(error, TimeoutError):
        return ApiError(f"{what}: no answer in time", failure=Failure.NO_RESPONSE)
    return ApiError(f"{what}: the answer was lost ({kind})", failure=Failure.NO_RESPONSE)


def _refused_file(response: aiohttp.ClientResponse, url: str) -> ApiError:
    failure = classify(response.status, None) or Failure.NO_RESPONSE
    return ApiError(
        f"GET {plain_url(url)}: HTTP {response.status}",
        failure=failure,
        status=response.status,
        retry_after=_retry_after(response.headers),
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After asks for (a number or a date), None for none."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text.lstrip("0")[:12] or 0)  # cut: an absurd number stays a finite one
    try:
        when = parsedate_to_datetime(text)
        now = parsedate_to_datetime(headers["Date"]) if "Date" in headers else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if now is None:
        now = datetime.now(UTC)
    try:
        return max(0.0, (when - now).total_seconds())
    except TypeError:  # one of the two names no zone
        return None
