"""TLS with a certificate authority of one's own, and proxies that die in the middle."""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.crash.processes import ITEMS, some_time, wait_for_submissions
from tests.crash.scene import Scene
from tests.harness.proxy import SmallProxy, copy_stream

FIXTURES = Path(__file__).parents[2] / "fixtures"


class Gateway:
    """A listener in a thread, in front of the simulator: it can die, and come back on its port."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.drops = 0.0  #: share of the connections that are reset at some moment
        self.port = 0
        self._context: ssl.SSLContext | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def use_tls(self) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(FIXTURES / "localhost.pem", FIXTURES / "localhost-key.pem")

    def open(self) -> None:
        """Listen, on the same port as before."""
        self._server = self._do(
            asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._context)
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def die(self) -> None:
        """Close the port and reset every connection."""

        async def work() -> None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()

        self._do(work())

    def close(self) -> None:
        self.die()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        if self.dice.random() < self.drops:
            self._loop.call_later(self.dice.uniform(0, 0.08), writer.transport.abort)
        with suppress(OSError):
            await self.serve(reader, writer)
        self._writers.discard(writer)
        writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class TlsGateway(Gateway):
    """Decrypts TLS in front of the simulator."""

    def __init__(self, dice: random.Random, to: str) -> None:
        super().__init__(dice)
        self._to = int(to.rpartition(":")[2])
        self.use_tls()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        await asyncio.gather(copy_stream(reader, back), copy_stream(there, writer))


class ProxyGateway(Gateway):
    """An HTTP proxy: CONNECT tunnels and forwarded requests."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__(dice)
        self.proxy = SmallProxy(None, None)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.proxy.serve(reader, writer)


def own_authority(scene: Scene) -> None:
    """Trust a certificate by SSL_CERT_FILE; without it nothing is sent. Connections are reset."""
    dice = scene.random
    gateway = TlsGateway(dice, scene.service.url)
    gateway.open()
    try:
        job = scene.job(url=f"https://127.0.0.1:{gateway.port}")
        job.run()
        scene.check(job.code == 4, f"the certificate is not trusted, but it exits {job.code}")
        scene.check(scene.paid() == 0, "submitted to a service whose certificate is not trusted")
        job.environment["SSL_CERT_FILE"] = str(FIXTURES / "localhost.pem")
        gateway.drops = dice.choice((0.1, 0.3, 0.5))
        run = job.start()
        wait_for_submissions(scene.service, run, dice.randrange(1, ITEMS))
        if dice.random() < 0.5:
            job.kill(run)
        else:
            scene.check(job.end(run) is not None, "a run over bad connections does not end")
        gateway.drops = 0
        scene.finish()
    finally:
        gateway.close()


def dying_proxy(scene: Scene) -> None:
    """Use a proxy, with TLS or without, that dies during the run and comes back, or not."""
    dice = scene.random
    gateways: list[Gateway] = [proxy := ProxyGateway(dice)]
    url = scene.service.url
    proxy.open()
    try:
        if tls := dice.random() < 0.5:
            gateways.append(gateway := TlsGateway(dice, url))
            gateway.open()
            url = f"https://127.0.0.1:{gateway.port}"
        job = scene.job(url=url)
        if tls:
            job.environment["SSL_CERT_FILE"] = str(FIXTURES / "localhost.pem")
        job.environment["BATCH_RUNNER_PROXY"] = f"http://127.0.0.1:{proxy.port}"
        run = job.start("--run-for", "20s")
        wait_for_submissions(scene.service, run, dice.randrange(1, ITEMS))
        proxy.die()
        some_time(dice, 0.2, 3)
        if dice.random() < 0.5:
            proxy.open()
            code = job.end(run)
        else:
            code = job.end(run)
            proxy.open()
        scene.check(code in (0, 1, 3, 4), f"the proxy died, and it exits {code}")
        asked = [one for one in proxy.proxy.requests if one.startswith("CONNECT") or not tls]
        scene.check(asked, "the proxy was not used")
        scene.finish()
    finally:
        for one in gateways:
            one.close()
