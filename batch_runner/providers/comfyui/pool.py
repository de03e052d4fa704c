"""Several servers: ask them at once, choose one for a task, and give it the uploads it needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import anyio

from batch_runner.errors import ApiError, Failure, UsageError
from batch_runner.providers.comfyui.responses import File
from batch_runner.providers.comfyui.server import QUICK_SECONDS, Server, WrongServer
from batch_runner.util.locale import tr

T = TypeVar("T")

#: Failures of what is asked before a submission, which is not sent then.
_NOT_SENT = {
    Failure.NO_RESPONSE: Failure.UNSENT,
    Failure.AMBIGUOUS: Failure.UNSENT,
    Failure.NOT_FOUND: Failure.UNSENT,
    Failure.REDIRECTED: Failure.MOVED,
}


async def ask(
    servers: Sequence[Server], call: Callable[[Server], Awaitable[T]]
) -> tuple[list[tuple[Server, T]], list[ApiError]]:
    """Make a call of each server at once; return the answers by server, and the errors."""
    answers: dict[int, T] = {}
    errors: dict[int, ApiError] = {}

    async def ask_one(number: int) -> None:
        try:
            answers[number] = await call(servers[number])
        except ApiError as error:
            errors[number] = error

    async with anyio.create_task_group() as group:
        for number in range(len(servers)):
            group.start_soon(ask_one, number)
    found = [(servers[number], answers[number]) for number in sorted(answers)]
    return found, [errors[number] for number in sorted(errors)]


async def identify_all(servers: Sequence[Server]) -> None:
    """Find out whether each address is that of a ComfyUI server, as far as they can be reached.

    Raises:
        UsageError: one is not.
    """
    wrong: list[str] = []

    async def identify(server: Server) -> None:
        try:
            with anyio.move_on_after(QUICK_SECONDS):
                await server.identify()
        except WrongServer as error:
            wrong.append(str(error))

    await ask(servers, identify)  # one that is down is asked again before its first submission
    if wrong:
        raise UsageError(tr("{problem}; nothing was sent", problem=wrong[0]))


class Pool:
    """The servers, and how many submissions each is being sent."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.servers = list(servers)
        self._choosing = anyio.Lock()

    async def take(self, tried: Collection[Server]) -> Server:
        """Return the server with the fewest tasks of those that can be reached, but not `tried`.

        The caller must lower its `sending` again.

        Raises:
            ApiError: none can be reached.
        """
        left = [server for server in self.servers if server not in tried]
        async with self._choosing:
            chosen = left[0]
            if len(self.servers) > 1:
                found, errors = await ask(left, Server.load)
                if not found:
                    raise errors[0]
                chosen = min(found, key=lambda pair: pair[1])[0]
            chosen.sending += 1
            return chosen

    async def bring_upload(self, server: Server, value: str) -> None:
        """Copy an uploaded file to a server that does not have it, from another one."""
        if len(self.servers) == 1 or value in server.names:
            return
        subfolder, _, name = value.rpartition("/")
        file = File(name, subfolder, "input")
        if await server.has(file):
            server.names[value] = value
            return
        others = [other for other in self.servers if other is not server]
        found, errors = await ask(others, lambda other: other.has(file))
        for other, has in found:
            if has:
                server.names[value] = await server.upload(name, await other.read(file))
                return
        if errors:
            raise errors[0]
        raise ApiError(
            f"no server has the uploaded file {value} any more; "
            "with uploads.reuse_for: 1s it is uploaded again",
            failure=Failure.REJECTED,
        )


@contextmanager
def nothing_sent() -> Iterator[None]:
    """Say of a failure in this block that no submission was sent."""
    try:
        yield
    except ApiError as error:
        error.failure = _NOT_SENT.get(error.failure, error.failure)
        raise
