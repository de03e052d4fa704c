"""What happens when a download is interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable
from pathlib import Path

import anyio.to_thread
import pytest
from pydantic import SecretStr

from batch_runner.engine.context import Run
from batch_runner.engine.summary import ExitCode, StopReason
from batch_runner.errors import ApiError, Failure
from batch_runner.lifecycle import ItemStatus
from batch_runner.models import PlacedFile
from batch_runner.providers.http import Http
from batch_runner.settings import Service, Settings
from batch_runner.storage.folder_store import FolderFile
from tests.clock import VirtualTimeLoop
from tests.harness import check_invariants, run_job, simulated_service, some_items, statuses

pytestmark = pytest.mark.anyio


def settings_with_download_timeout(seconds: float) -> Settings:
    timeouts = Settings().timeouts.model_copy(update={"download": seconds})
    return Settings().model_copy(update={"timeouts": timeouts})


async def send_endlessly(_: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
    out.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    with contextlib.suppress(OSError):
        while True:
            out.write(bytes(1 << 16))
            await out.drain()


async def test_timed_out_download_waits_for_the_writing_thread() -> None:
    """The thread would otherwise write to another file that gets the closed descriptor."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    begun, written = threading.Event(), threading.Event()

    def write() -> None:
        begun.set()
        loop.call_soon_threadsafe(loop.skip, 1.0)  # longer than the timeout
        time.sleep(0.3)
        written.set()

    def receive(chunk: bytes) -> Awaitable[None] | None:
        return None if begun.is_set() else anyio.to_thread.run_sync(write)

    server = await asyncio.start_server(send_endlessly, "127.0.0.1", 0)
    address = "http://{}:{}".format(*server.sockets[0].getsockname())
    service = Service(provider="baicai", base_url=address, key=SecretStr("sk-a-key"))
    async with server, Http(service, settings_with_download_timeout(0.05)) as http:
        with pytest.raises(ApiError) as caught:
            await http.download(f"{address}/any.png", receive)

    assert caught.value.failure is Failure.NO_RESPONSE
    assert begun.is_set()
    assert written.is_set()


async def test_shutdown_while_a_file_is_placed_records_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Placing and recording are shielded: no file is left that no item has."""
    runs: list[Run] = []
    place = FolderFile.place

    async def note(run: Run) -> None:
        runs.append(run)

    async def place_during_shutdown(file: FolderFile, name: str) -> PlacedFile:
        placed = await place(file, name)
        runs[0].state.control.shut_down(StopReason("signal", "stopped", ExitCode.STOPPED))
        await asyncio.sleep(0)
        return placed

    monkeypatch.setattr(FolderFile, "place", place_during_shutdown)
    async with simulated_service() as simulator:
        await run_job(tmp_path, simulator, some_items(1), background_tasks=[note])

        assert statuses(tmp_path) == {ItemStatus.DONE: 1}
        assert check_invariants(tmp_path, simulator) == []
