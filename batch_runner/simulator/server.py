"""The simulator as a running server: its ports, one service, start and stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Self

from aiohttp import web

from batch_runner.simulator.admin import AdminPages
from batch_runner.simulator.app import Files, RedirectTrap, application
from batch_runner.simulator.dispatcher import Dispatcher
from batch_runner.simulator.image_cache import ImageCache
from batch_runner.simulator.ledger import Ledger
from batch_runner.simulator.personalities import personality_class
from batch_runner.simulator.service import Service
from batch_runner.simulator.settings import SimulatorSettings
from batch_runner.simulator.state_file import StateFile, read_events

# A response that is still unfinished at the stop is slow on purpose: do not wait for it.
SHUTDOWN_SECONDS = 0.1
REACHABLE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  only compared


class Simulator:
    """The simulated service. It runs in the loop that starts it, on that loop's clock."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self._epoch = 0.0
        chosen = personality_class(settings.personality)
        self._service = Service(settings, self.now, workers=chosen.workers)
        responses = chosen.responses_class(settings.variants, self._service.rng)
        self._dispatcher = Dispatcher(self._service, ImageCache(settings), responses)
        self._personality = chosen(self._dispatcher)
        self._state: StateFile | None = None
        self._runners: list[web.AppRunner] = []
        self._port = 0

    @property
    def ledger(self) -> Ledger:
        """Return the ledger itself, which changes as requests arrive."""
        return self._service.ledger

    @property
    def base_url(self) -> str:
        """Return the URL of the API."""
        return f"http://{self._reachable_host()}:{self._port}"

    @property
    def files_url(self) -> str:
        """Return the URL of the files, which is another origin."""
        return f"http://{self._reachable_host()}:{self._dispatcher.files_port}"

    @property
    def trap_url(self) -> str:
        """Return the URL of the redirect trap, a third origin."""
        return f"http://{self._reachable_host()}:{self._dispatcher.trap_port}"

    @property
    def other_url(self) -> str:
        """Return the URL of the second origin of the API, which some personalities have."""
        return f"http://{self._reachable_host()}:{self._dispatcher.other_port}"

    def now(self) -> float:
        """Return the seconds since the service's first start, without the time it was stopped."""
        return asyncio.get_running_loop().time() - self._epoch

    def set_faults(self, *texts: str) -> None:
        """Replace the active fault rules."""
        self._dispatcher.set_faults(list(texts))

    def forget_tasks(self) -> None:
        """Lose all tasks, as a server does that keeps them in memory and is started again."""
        self._service.ledger.forget(self.now())

    async def start(self) -> None:
        """Read the state file and listen.

        Raises:
            OSError: A port is in use, or the state file cannot be opened.
            ValueError: The state file was not written by a simulator.
        """
        self._restore()
        try:
            await self._listen()
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close all ports and drop unfinished responses; a second call does nothing."""
        self._dispatcher.closing.set()
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
        self._epoch = asyncio.get_running_loop().time()
        path = self.settings.state
        if path is None:
            return
        events = read_events(path)
        for event in events:
            self.ledger.apply(event)
        # Continue from the last event, so that a task that a client saw finished stays finished.
        if events:
            self._epoch -= events[-1]["time"]
        self._state = self.ledger.log = StateFile(path)
        if self._personality.forgets and self.ledger.submissions:
            self.forget_tasks()

    async def _listen(self) -> None:
        dispatcher, settings = self._dispatcher, self.settings
        api = self._personality.routes() + AdminPages(dispatcher).routes()
        dispatcher.trap_port = await self._serve(RedirectTrap(dispatcher).routes(), 0)
        dispatcher.files_port = await self._serve(Files(dispatcher).routes(), settings.files_port)
        if other := self._personality.other_routes():
            dispatcher.other_port = await self._serve(other, 0)
        self._port = await self._serve(api, settings.port)

    async def _serve(self, routes: list[web.RouteDef], port: int) -> int:
        runner = web.AppRunner(
            application(routes, self._dispatcher.responses),
            access_log=None,
            shutdown_timeout=SHUTDOWN_SECONDS,
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
    """Run a simulator until SIGINT or SIGTERM; print one line with its URL when ready.

    Raises:
        OSError: A port is in use, or the state file cannot be opened.
        ValueError: The state file was not written by a simulator.
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
