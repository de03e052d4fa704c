"""Files on several hosts: a slow one delays no other, and all share the limit of downloads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

from batch_runner.engine.context import Run
from batch_runner.engine.summary import ExitCode, StopReason
from batch_runner.lifecycle import ItemStatus
from batch_runner.models import Received
from batch_runner.providers.base import Receiver
from batch_runner.providers.http import Http
from batch_runner.settings import Downloads, Service, Settings
from batch_runner.storage.folder_store import FolderFile, FolderStore
from tests.crash.images import png_with_text
from tests.harness import rows, run_provider_job, some_items, some_settings, statuses
from tests.harness.fake_service import FakeService

pytestmark = pytest.mark.anyio

LATENCY = 1.0

Answer = Callable[[str], Awaitable[bytes]]


class FileHost:
    """A server of files over a socket; `answer` returns the response to the request of a path."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.paths: list[str] = []  # of all requests
        self.open = self.most = 0  # requests being answered

    async def serve(self, received: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await received.readuntil(b"\r\n\r\n")
            path = head.split()[1].decode()
            self.paths.append(path)
            self.open += 1
            self.most = max(self.most, self.open)
            try:
                out.write(await self._answer(path))
                await out.drain()
            finally:
                self.open -= 1
                out.close()


def response(content: bytes, status: str = "200 OK", more: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: image/png\r\nConnection: close\r\n"
        f"{more}Content-Length: {len(content)}\r\n\r\n".encode()
        + content
    )


async def after_latency(path: str) -> bytes:
    await anyio.sleep(LATENCY)
    return response(png_with_text(path))


async def never(_: str) -> bytes:
    await anyio.sleep_forever()
    raise AssertionError


class FilesElsewhere(FakeService):
    """A service whose files are on other hosts: all of a task on one, the next task's on another.

    A path is the task's number and that of the file, such as `/7/2`.
    """

    def __init__(self, http: Http, hosts: Sequence[str], files: int) -> None:
        super().__init__()
        self._http = http
        self._hosts = hosts
        self._files = files

    async def result(self, task_id: str) -> list[str]:
        self.calls["result"] += 1
        number = int(task_id.removeprefix("task-"))
        host = self._hosts[number % len(self._hosts)]
        return [f"{host}/{number}/{file}" for file in range(1, self._files + 1)]

    async def download(self, url: str, receive: Receiver) -> Received:
        return await self._http.download(url, receive)


@asynccontextmanager
async def service_with(*hosts: FileHost, files: int = 1) -> AsyncIterator[FilesElsewhere]:
    async with contextlib.AsyncExitStack() as stack:
        urls = []
        for host in hosts:
            server = await asyncio.start_server(host.serve, "127.0.0.1", 0)
            stack.callback(server.close)
            urls.append("http://{}:{}".format(*server.sockets[0].getsockname()))
        service = Service(provider="baicai", base_url=urls[0], key=SecretStr("sk-a-key"))
        http = await stack.enter_async_context(Http(service, Settings()))
        yield FilesElsewhere(http, urls, files)


def downloading(concurrency: int) -> Settings:
    downloads = Downloads(concurrency=concurrency)
    return some_settings().model_copy(update={"downloads": downloads})


def files_in(root: Path) -> list[str]:
    return sorted(one.name for one in root.iterdir() if not one.name.startswith("."))


async def test_hanging_host_does_not_delay_files_of_the_others(tmp_path: Path) -> None:
    done: list[int] = []

    async def count_before_the_first_timeout(run: Run) -> None:
        await anyio.sleep(55.0)
        done.append(run.state.stats.counts[ItemStatus.DONE])
        run.state.control.shut_down(StopReason("signal", "stopped", ExitCode.STOPPED))

    hosts = [FileHost(after_latency) for _ in range(3)]
    async with service_with(FileHost(never), *hosts) as service:
        await run_provider_job(
            tmp_path,
            service,
            some_items(160),
            background_tasks=[count_before_the_first_timeout],
        )

    assert done == [120]


async def test_undownloaded_results_stop_submissions(tmp_path: Path) -> None:
    """Their URLs expire: no more are paid for than are in flight, and as many again."""

    async def stop(run: Run) -> None:
        await anyio.sleep(55.0)
        run.state.control.shut_down(StopReason("signal", "stopped", ExitCode.STOPPED))

    async with service_with(FileHost(never)) as service:
        settings = some_settings(in_flight=50)
        await run_provider_job(
            tmp_path, service, some_items(300), settings, background_tasks=[stop]
        )

    assert 50 <= len(service.paid) <= 100


async def test_files_of_one_task_are_downloaded_at_the_same_time(tmp_path: Path) -> None:
    host = FileHost(after_latency)
    async with service_with(host, files=4) as service:
        await run_provider_job(tmp_path, service, some_items(1))

    assert host.most == 4
    assert files_in(tmp_path) == [f"card-0-{number}.png" for number in range(1, 5)]
    (row,) = rows(tmp_path)
    assert [file.name for file in row.files] == files_in(tmp_path)


async def test_downloads_at_the_same_time_are_limited(tmp_path: Path) -> None:
    hosts: list[FileHost] = []
    most = 0

    async def answer(path: str) -> bytes:
        nonlocal most
        most = max(most, sum(host.open for host in hosts))
        return await after_latency(path)

    hosts = [FileHost(answer) for _ in range(3)]
    async with service_with(*hosts, files=4) as service:
        await run_provider_job(tmp_path, service, some_items(30), downloading(8))

    assert statuses(tmp_path) == {ItemStatus.DONE: 30}
    assert 5 <= most <= 8
    assert max(host.most for host in hosts) <= 4


async def test_received_files_do_not_wait_for_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more files are in memory than are being downloaded."""
    kept: set[FolderFile] = set()
    most = 0
    new_file, discard = FolderStore.new_file, FolderFile.discard

    def note(store: FolderStore) -> FolderFile:
        nonlocal most
        file = new_file(store)
        kept.add(file)
        most = max(most, len(kept))
        return file

    def forget(file: FolderFile) -> None:
        discard(file)
        kept.discard(file)

    monkeypatch.setattr(FolderStore, "new_file", note)
    monkeypatch.setattr(FolderFile, "discard", forget)
    async with service_with(FileHost(after_latency), files=20) as service:
        await run_provider_job(tmp_path, service, some_items(5), downloading(6))

    assert statuses(tmp_path) == {ItemStatus.DONE: 5}
    assert most == 3
    assert kept == set()


async def test_missing_file_leaves_the_others_stored(tmp_path: Path) -> None:
    async def answer(path: str) -> bytes:
        if path.endswith("/2"):
            return response(b"", "404 Not Found")
        return await after_latency(path)

    async with service_with(FileHost(answer), files=3) as service:
        await run_provider_job(tmp_path, service, some_items(1))

    (row,) = rows(tmp_path)
    assert (row.status, row.reason) == (ItemStatus.DOWNLOAD_PENDING, "http-404")
    assert "2 of 3 files are stored; card-0-2: GET http://" in str(row.message)
    assert [file.name for file in row.files] == ["card-0-1.png", "card-0-3.png"]


async def test_shutdown_between_two_files_costs_nothing(tmp_path: Path) -> None:
    hanging = True

    async def answer(path: str) -> bytes:
        return await (never if hanging and path.endswith("/2") else after_latency)(path)

    async def stop(run: Run) -> None:
        await anyio.sleep(30.0)
        run.state.control.shut_down(StopReason("signal", "stopped", ExitCode.STOPPED))

    async with service_with(FileHost(answer), files=3) as service:
        await run_provider_job(tmp_path, service, some_items(1), background_tasks=[stop])
        assert files_in(tmp_path) == ["card-0-1.png", "card-0-3.png"]
        hanging = False
        await run_provider_job(tmp_path, service, some_items(1))

    assert statuses(tmp_path) == {ItemStatus.DONE: 1}
    assert files_in(tmp_path) == ["card-0-1.png", "card-0-2.png", "card-0-3.png"]
    assert len(service.paid) == 1


async def test_429_of_a_file_host_pauses_its_downloads(tmp_path: Path) -> None:
    """They are not each refused once."""
    loop = asyncio.get_running_loop()
    end = loop.time() + 90.0

    async def answer(path: str) -> bytes:
        if loop.time() < end:
            return response(b"", "429 Too Many Requests", "Retry-After: 100\r\n")
        return await after_latency(path)

    host = FileHost(answer)
    async with service_with(host) as service:
        await run_provider_job(tmp_path, service, some_items(40), downloading(8))

    assert statuses(tmp_path) == {ItemStatus.DONE: 40}
    assert len(host.paths) <= 40 + 4
