"""TLS of submissions: each has its own connection, which resumes a session of the same server."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from batch_runner.errors import ApiError, Failure
from batch_runner.providers.http import Http
from batch_runner.providers.http.tls import MAX_REFUSALS, ResumingContext, default_context
from batch_runner.settings import Service, Settings
from batch_runner.util.proxies import Proxies, ProxyUrl
from tests.harness.proxy import small_proxy

pytestmark = pytest.mark.anyio

FIXTURES = Path(__file__).parents[2] / "fixtures"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return ("asyncio", {"use_uvloop": request.param})


@pytest.fixture(autouse=True)
def _virtual_time() -> None:
    """Real time: both event loops make real connections."""


@pytest.fixture(autouse=True)
def _trust(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Trust the certificates that the authority of the tests has signed."""
    monkeypatch.setenv("SSL_CERT_FILE", str(FIXTURES / "authority.pem"))
    default_context.cache_clear()
    yield
    default_context.cache_clear()


def server_context(
    name: str = "server", version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FIXTURES / f"{name}.pem", FIXTURES / f"{name}-key.pem")
    context.maximum_version = version
    return context


class TlsServer:
    """A server that accepts every submission; it can be restarted on its port."""

    def __init__(self) -> None:
        self.resumed: list[bool] = []  #: for each connection
        self.versions: set[str | None] = set()
        self.requests = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[None] | None] = set()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def start(self, context: ssl.SSLContext) -> None:
        await self.stop()
        self._server = await asyncio.start_server(self._serve, "0.0.0.0", self.port, ssl=context)  # noqa: S104
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await asyncio.gather(*filter(None, self._handlers))
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._handlers.add(asyncio.current_task())
        connection = writer.get_extra_info("ssl_object")
        self.resumed.append(connection.session_reused)
        self.versions.add(connection.version())
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n{}")
            self.requests += 1
            writer.write(ANSWER)
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def serving(context: ssl.SSLContext) -> AsyncIterator[TlsServer]:
    server = TlsServer()
    await server.start(context)
    try:
        yield server
    finally:
        await server.stop()


def client(url: str, proxy: str | None = None) -> Http:
    through = None if proxy is None else ProxyUrl(proxy, "network.proxy")
    service = Service(
        provider="baicai",
        base_url=url,
        key=SecretStr("sk-a-key"),
        allow_private=True,
        proxies=Proxies(through, through),
    )
    return Http(service, Settings())


async def submit(http: Http, times: int = 1, path: str = "/create") -> None:
    for _ in range(times):
        await http.submit(path, b"{}")


@pytest.mark.parametrize("version", VERSIONS)
async def test_later_submissions_resume_on_new_connections(version: ssl.TLSVersion) -> None:
    async with serving(server_context(version=version)) as server, client(server.url) as http:
        await submit(http, 4)

    assert server.versions == {version.name.replace("_", ".")}
    assert server.requests == 4
    assert server.resumed == [False, True, True, True]


async def test_concurrent_submissions_resume() -> None:
    async with serving(server_context()) as server, client(server.url) as http:
        await submit(http)
        await asyncio.gather(*(submit(http) for _ in range(8)))

    assert server.resumed == [False] + [True] * 8


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
async def test_submissions_through_a_tunnel_resume() -> None:
    async with (
        serving(server_context()) as server,
        small_proxy() as proxy,
        client(server.url, proxy.url) as http,
    ):
        await submit(http, 3)

    assert len(proxy.requests) == 3
    assert server.resumed == [False, True, True]


@pytest.mark.parametrize("version", VERSIONS)
async def test_restarted_server_with_new_keys_gets_a_full_handshake(
    version: ssl.TLSVersion,
) -> None:
    async with serving(server_context(version=version)) as server, client(server.url) as http:
        await submit(http, 2)
        await server.start(server_context(version=version))
        await submit(http, 2)

    assert server.resumed == [False, True, False, True]


async def test_server_without_tickets_gets_full_handshakes() -> None:
    context = server_context()
    context.num_tickets = 0
    async with serving(context) as server, client(server.url) as http:
        await submit(http, 3)

    assert server.resumed == [False] * 3


async def test_server_that_never_resumes_is_not_asked_for_ever() -> None:
    async with serving(server_context()) as server, client(server.url) as http:
        for _ in range(MAX_REFUSALS + 1):
            await server.start(server_context())
            await submit(http)
        await submit(http, 2)

    assert server.resumed == [False] * (MAX_REFUSALS + 3)


async def test_failed_submission_is_followed_by_a_full_handshake() -> None:
    context = server_context()
    async with serving(context) as server, client(server.url) as http:
        await submit(http, 2)
        await server.stop()
        with pytest.raises(ApiError):
            await submit(http)
        await server.start(context)
        await submit(http, 2)

    assert server.resumed == [False, True, False, True]


@pytest.mark.parametrize("version", VERSIONS)
async def test_certificate_that_is_not_trusted_is_refused_after_a_resumption(
    version: ssl.TLSVersion,
) -> None:
    async with serving(server_context(version=version)) as server, client(server.url) as http:
        await submit(http, 2)
        await server.start(server_context("localhost", version))
        with pytest.raises(ApiError, match="self-signed certificate") as refused:
            await submit(http)

    assert refused.value.failure is Failure.UNSENT
    assert server.requests == 2


async def test_other_host_or_port_must_show_its_certificate() -> None:
    context = server_context()
    async with (
        serving(context) as server,
        serving(context) as other,
        client(server.url) as http,
    ):
        await submit(http, 2)
        # aiohttp has read the trusted certificates before this test set a variable.
        for url in (other.url, server.url.replace("127.0.0.1", "127.0.0.2")):
            with pytest.raises(ApiError, match="certificate"):
                await submit(http, path=f"{url}/create")

    assert server.requests == 2
    assert other.requests == 0


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
async def test_submissions_share_one_lookup_of_the_host_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_up: list[tuple[Any, ...]] = []
    resolve = socket.getaddrinfo

    def counting(*wanted: Any, **options: Any) -> Any:
        looked_up.append(wanted[:2])
        return resolve(*wanted, **options)

    async with (
        serving(server_context()) as server,
        client(f"https://localhost:{server.port}") as http,
    ):
        await submit(http)
        monkeypatch.setattr(socket, "getaddrinfo", counting)
        await submit(http, 3)

    assert server.requests == 4
    assert looked_up == []


def test_session_is_offered_to_no_other_host_name() -> None:
    context = ResumingContext()
    server = server_context()
    _exchange(context, server, "127.0.0.1")

    assert _exchange(context, server, "127.0.0.1").session_reused
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        _exchange(context, server, "127.0.0.2")


def _exchange(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> ssl.SSLObject:
    """Return a connection, after its handshake and a byte of the server, all in memory."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=host)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for step in (here.do_handshake, there.do_handshake, here.do_handshake, there.do_handshake):
        try:
            step()
        except ssl.SSLWantReadError:
            continue
    there.write(b"x")
    assert here.read() == b"x"
    return here
