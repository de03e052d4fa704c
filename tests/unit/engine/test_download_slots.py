"""However slow some hosts are, a slot is left for the next one."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from batch_runner.engine.download_slots import DownloadSlots, host_of

pytestmark = pytest.mark.anyio


class Downloads:
    """Downloads that end when they are told to; `begun` are the hosts of those with a slot."""

    def __init__(self, size: int, tasks: asyncio.TaskGroup) -> None:
        self.slots = DownloadSlots(size)
        self.begun: list[str] = []
        self._tasks = tasks

    async def start(self, *hosts: str) -> list[asyncio.Task[None]]:
        tasks = [self._tasks.create_task(self._acquire(host)) for host in hosts]
        await anyio.wait_all_tasks_blocked()
        return tasks

    async def _acquire(self, host: str) -> None:
        await self.slots.acquire(host)
        self.begun.append(host)

    async def end(self, host: str) -> None:
        self.slots.release(host)
        await anyio.wait_all_tasks_blocked()

    def new(self) -> str:
        """Return the hosts that got a slot since the last call."""
        begun, self.begun = self.begun, []
        return "".join(begun)


def cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()


async def test_host_alone_gets_half() -> None:
    async with asyncio.TaskGroup() as tasks:
        downloads = Downloads(8, tasks)
        waiting = await downloads.start(*"aaaaaa")

        assert downloads.new() == "aaaa"
        await downloads.end("a")
        assert downloads.new() == "a"
        cancel(waiting)


async def test_a_single_slot_is_used() -> None:
    async with asyncio.TaskGroup() as tasks:
        downloads = Downloads(1, tasks)
        await downloads.start("a", "b")

        assert downloads.new() == "a"
        await downloads.end("a")
        assert downloads.new() == "b"


async def test_hosts_that_end_nothing_leave_a_slot_for_another() -> None:
    async with asyncio.TaskGroup() as tasks:
        downloads = Downloads(16, tasks)
        waiting = await downloads.start(*"a" * 20, *"b" * 20, *"c" * 20)
        downloads.new()

        await downloads.start("d")

        assert downloads.new() == "d"
        cancel(waiting)


async def test_waiting_hosts_take_turns() -> None:
    async with asyncio.TaskGroup() as tasks:
        downloads = Downloads(1, tasks)
        await downloads.start(*"aaabc")
        for host in "abca":
            await downloads.end(host)

        assert downloads.new() == "aabca"


async def test_canceled_downloads_leave_their_slots_to_others() -> None:
    async with asyncio.TaskGroup() as tasks:
        downloads = Downloads(1, tasks)
        await downloads.start("a")
        waits, is_given_a_slot = await downloads.start("a", "b")
        cancel([waits])
        await anyio.wait_all_tasks_blocked()
        downloads.slots.release("a")  # the event of b is set
        cancel([is_given_a_slot])
        await anyio.wait_all_tasks_blocked()

        await downloads.start("c")

        assert downloads.new() == "ac"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://files.example:8443/a/b.png?c=//d", "files.example:8443"),
        ("http://files.example", "files.example"),
        ("data:image/png;base64,AA//BB/CC", ""),
    ],
)
def test_host_is_that_of_the_url(url: str, host: str) -> None:
    assert host_of(url) == host
