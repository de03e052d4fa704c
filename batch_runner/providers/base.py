"""What a provider must do, and must not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from batch_runner.models import TaskReport

Receiver = Callable[[bytes], Awaitable[None] | None]


class Provider(Protocol):
    """One service, as its calls. Every call is one request and raises `ApiError` when it fails.

    Nothing in here tries again: whether a request may be sent again is decided in `retry`, once.
    """

    async def submit(self, workflow: str, params: dict[str, Any]) -> str:
        """Send one create request, at most, and return the id of the task.

        Raises:
            ApiError: `failure` says whether it may have been accepted.
        """
        ...

    async def status(self, task_id: str) -> TaskReport:
        """Ask where a task stands."""
        ...

    async def result(self, task_id: str) -> list[str]:
        """Ask for the addresses of a finished task's files: absolute, each once, at least one."""
        ...

    async def upload(self, name: str, content: bytes) -> str:
        """Send a file and return what stands for it in params."""
        ...

    async def download(self, url: str, receive: Receiver) -> bool:
        """Pass the bytes at `url` to `receive`, whole or raise; without the key.

        Returns whether the answer said where the file ends: without that, one that was cut off
        may look whole.

        Raises:
            ApiError: it could not be had.
            FileRejected: the address may not be asked.
        """
        ...
