"""The protocol of a provider."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from batch_runner.models import Received, TaskReport

Receiver = Callable[[bytes], Awaitable[None] | None]


class Provider(Protocol):
    """The calls of one service. Each call sends one request and raises `ApiError` when it fails.

    No call retries: whether a request may be sent again is decided only in the retry policy.
    """

    async def submit(self, workflow: str, params: dict[str, Any]) -> str:
        """Send at most one submission and return the task id.

        Raises:
            ApiError: its `failure` says whether the submission may have been accepted.
        """
        ...

    async def status(self, task_id: str) -> TaskReport:
        """Return the task's status as the service reports it now."""
        ...

    async def result(self, task_id: str) -> list[str]:
        """Return the URLs of a finished task's files: absolute, no duplicates, at least one."""
        ...

    async def upload(self, name: str, content: bytes) -> str:
        """Upload a file and return the value that stands for it in params."""
        ...

    async def download(self, url: str, receive: Receiver) -> Received:
        """Pass all bytes at `url` to `receive`. The request does not carry the key.

        Raises:
            ApiError: the download failed.
            FileRejected: the URL is not allowed, or the response is no file.
            FileNotAccepted: the settings do not allow its address or its size.
        """
        ...
