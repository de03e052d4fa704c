"""The simulator as a running server: three ports, one service, a clean start and stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Self

from aiohttp import web

from batch_runner.simulator.admin import Backstage
from batch_runner.simulator.app import Api, Files, RedirectTrap, application
from batch_runner.simulator.dispatcher import Dispatcher
from batch_runner.simulator.image_cache import Gallery
from batch_runner.simulator.service import Service
from batch_runner.simulator.state_file import StateFile, read_events

if TYPE_CHECKING:
    from batch_runner.simulator.ledger import Ledger
    from batch_runner.simulator.settings import SimulatorSettings

# Answers under way when we stop are hung or slow on purpose, so nobody waits for them.
SHUTDOWN_SECONDS = 0.1
REACHABLE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  looked up, not bound


class Simulator:
    """The service, acted. It runs in the loop that starts it, on that loop's clock."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self._zero = 0.0
        self._service = Service(settings, self.now)
        self._stage = Dispatcher(self._service, Gallery(settings))
        self._state: StateFile | None = None
        self._runners: list[web.AppRunner] = []
        self._port = 0

    @property
    def ledger(self) -> Ledger:
        """Return what the service did, live."""
        return self._service.ledger

    @property
    def base_url(self) -> str:
        """Return the address of the API."""
        return f"http://{self._reachable_host()}:{self._port}"

    @property
    def files_url(self) -> str:
        """Return the address of the files, another origin."""
        return f"http://{self._reachable_host()}:{self._stage.files_port}"

    def now(self) -> float:
        """Return the service's time: seconds since its first start, standing still while down."""
        return asyncio.get_running_loop().time() - self._zero

    def set_faults(self, *texts: str) -> None:
        """Put these rules in the place of the faults in force."""
        self._stage.set_faults(list(texts))

    async def start(self) -> None:
        """Read the state back and listen.

        Raises:
            OSError: a port is taken, or the state file cannot be opened.
            ValueError: the state file is not one of ours.
        """
        self._restore()
        try:
            await self._listen()
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close every port, cutting off answers under way; may be called twice."""
        self._stage.closing.set()
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()
        if self._state is not None:
            self._state.close()
        self._state = self.ledger.log = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _restore(self) -> None:
        self._zero = asyncio.get_running_loop().time()
        path = self.settings.state
        if path is None:
            return
        events = read_events(path)
        for event in events:
            self.ledger.apply(event)
        # Time goes on where the last event left it: whatever was seen finished stays finished.
        if events:
            self._zero -= events[-1]["time"]
        self._state = self.ledger.log = StateFile(path)

    async def _listen(self) -> None:
        stage, settings = self._stage, self.settings
        api = Api(stage).routes() + Backstage(stage).routes()
        stage.decoy_port = await self._serve(RedirectTrap(stage).routes(), 0)
        stage.files_port = await self._serve(Files(stage).routes(), settings.files_port)
        self._port = await self._serve(api, settings.port)

    async def _serve(self, routes: list[web.RouteDef], port: int) -> int:
        runner = web.AppRunner(
            application(routes), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS
        )
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, self.settings.host, port).start()
        bound: int = runner.addresses[0][1]
        return bound

    def _reachable_host(self) -> str:
        host = self.settings.host
        return REACHABLE.get(host, f"[{host}]" if ":" in host else host)


async def serve(settings: SimulatorSettings) -> None:
    """Run a simulator until SIGINT or SIGTERM; print one line with its address when ready.

    Raises:
        OSError: a port is taken.
    """
    async with Simulator(settings) as simulator:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop.set)
        line = f"simulator ready: {simulator.base_url} (pictures and ledger: /_sim/)\n"
        sys.stdout.write(line)
        sys.stdout.flush()
        try:
            await stop.wait()
        finally:
            for name in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(name)
