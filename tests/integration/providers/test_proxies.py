"""Runs through a proxy: requests, refusals, and what is said of the proxy's password."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from batch_runner.engine.summary import ExitCode, RunSummary
from batch_runner.errors import FileNotAccepted
from batch_runner.lifecycle import ItemStatus
from batch_runner.providers import open_provider
from batch_runner.settings import Service, Settings
from batch_runner.simulator import Simulator
from batch_runner.util.proxies import Proxies, ProxyUrl
from tests.harness import run_job, service_at, simulated_service, some_items
from tests.harness.proxy import copy_stream, small_proxy

pytestmark = pytest.mark.anyio

PASSWORD = "proxy-password-1"


def through(simulator: Simulator, url: str, *, https: bool = False, no_proxy: str = "") -> Service:
    """Return the simulator as a service behind a proxy; `https`: reached by a tunnel."""
    proxy = ProxyUrl(url, "network.proxy")
    service = service_at(simulator)
    changes: dict[str, object] = {"proxies": Proxies(proxy, proxy, no_proxy)}
    if https:
        changes["base_url"] = service.base_url.replace("http://", "https://")
    return service.model_copy(update=changes)


async def run_through(
    root: Path, simulator: Simulator, url: str, *, https: bool = False, no_proxy: str = ""
) -> RunSummary:
    service = through(simulator, url, https=https, no_proxy=no_proxy)
    return await run_job(root, simulator, some_items(3), service=service)


async def test_every_request_goes_through_the_proxy(tmp_path: Path) -> None:
    async with simulated_service() as simulator, small_proxy() as proxy:
        summary = await run_through(tmp_path, simulator, proxy.url)

    assert summary.counts[ItemStatus.DONE] == 3
    assert f"POST {simulator.base_url}/v1/comfyui/create" in proxy.requests
    assert any(simulator.files_url in request for request in proxy.requests)
    assert simulator.ledger.leaks == []


async def test_host_in_no_proxy_is_reached_directly(tmp_path: Path) -> None:
    async with simulated_service() as simulator, small_proxy() as proxy:
        summary = await run_through(tmp_path, simulator, proxy.url, no_proxy="127.0.0.1")

    assert summary.counts[ItemStatus.DONE] == 3
    assert proxy.requests == []


async def test_user_name_and_password_are_sent_to_the_proxy(tmp_path: Path) -> None:
    async with simulated_service() as simulator, small_proxy(user=f"me:{PASSWORD}") as proxy:
        url = proxy.url.replace("//", f"//me:{PASSWORD}@")
        summary = await run_through(tmp_path, simulator, url)

    assert summary.counts[ItemStatus.DONE] == 3


@pytest.mark.parametrize("https", [False, True], ids=["forwarded", "tunnel"])
async def test_proxy_that_wants_a_password_stops_the_run_unpaid(
    tmp_path: Path, *, https: bool
) -> None:
    async with simulated_service() as simulator, small_proxy(user="me:right") as proxy:
        url = proxy.url.replace("//", f"//me:{PASSWORD}@")
        stopped = await run_through(tmp_path, simulator, url, https=https)

    assert stopped.stop is not None
    assert (stopped.stop.reason, stopped.exit_code) == ("proxy", ExitCode.UNAVAILABLE)
    assert stopped.counts[ItemStatus.PENDING] == 3
    assert "of network.proxy answered HTTP 407" in stopped.stop.message
    assert proxy.url.removeprefix("http://") in stopped.stop.message
    assert PASSWORD not in stopped.stop.message


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_failing_tunnel_is_an_outage_and_holds_nothing(tmp_path: Path, status: int) -> None:
    async with simulated_service() as simulator, small_proxy(status=status) as proxy:
        stopped = await run_through(tmp_path, simulator, proxy.url, https=True)

    assert stopped.stop is not None
    assert stopped.stop.reason == "outage"
    assert f"answered HTTP {status}" in stopped.stop.message
    assert stopped.counts[ItemStatus.PENDING] == 3


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
async def test_unreachable_proxy_is_named_and_holds_nothing(
    tmp_path: Path, scheme: str, host: str
) -> None:
    url = f"{scheme}://me:{PASSWORD}@{host}:{free_port()}"
    async with simulated_service() as simulator:
        stopped = await run_through(tmp_path, simulator, url)

    assert stopped.stop is not None
    assert (stopped.stop.reason, stopped.exit_code) == ("outage", ExitCode.UNAVAILABLE)
    assert f"the proxy {scheme}://[hidden]@{host}:" in stopped.stop.message
    assert "of network.proxy" in stopped.stop.message
    assert PASSWORD not in stopped.stop.message
    assert stopped.counts[ItemStatus.PENDING] == 3
    assert 60 <= stopped.seconds < 200  # of virtual time: timeouts.first_contact


async def test_socks_proxy_carries_every_request(tmp_path: Path) -> None:
    async with simulated_service() as simulator, socks_proxy() as (port, targets):
        summary = await run_through(tmp_path, simulator, f"socks5h://127.0.0.1:{port}")

    assert summary.counts[ItemStatus.DONE] == 3
    ports = {int(url.rpartition(":")[2]) for url in (simulator.base_url, simulator.files_url)}
    assert targets == ports


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x.png", "http://localhost:9/x.png"])
async def test_private_file_host_is_refused_also_through_a_proxy(url: str) -> None:
    async with small_proxy() as proxy:
        public = Service(
            provider="baicai",
            base_url="http://93.184.215.14",
            key=SecretStr("sk-key"),
            proxies=Proxies(ProxyUrl(proxy.url), ProxyUrl(proxy.url)),
        )
        async with open_provider(public, Settings()) as provider:
            with pytest.raises(FileNotAccepted, match="private address"):
                await provider.download(url, lambda _: None)

    assert proxy.requests == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def socks_proxy() -> AsyncIterator[tuple[int, set[int]]]:
    """Run a SOCKS5 proxy; yield its port, and the ports that it is asked to connect to."""
    targets: set[int] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        *_, kind = await reader.readexactly(4)
        length = 4 if kind == 1 else (await reader.readexactly(1))[0]
        raw = await reader.readexactly(length)
        host = socket.inet_ntoa(raw) if kind == 1 else raw.decode()
        port = int.from_bytes(await reader.readexactly(2), "big")
        targets.add(port)
        there, back = await asyncio.open_connection(host, port)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await asyncio.gather(copy_stream(reader, back), copy_stream(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], targets
    finally:
        server.close()
