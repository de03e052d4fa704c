"""The protocol of a provider."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from batch_runner.models import Received, TaskReport

Receiver = Callable[[bytes], Awaitable[None] | None]


class RequestIds(StrEnum):
    """What the id is for that a run chooses, and records, before each attempt at a submission."""

    NONE = "none"  #: the service takes none: a submission without a response cannot be resolved
    TASK_ID = "task_id"  #: it becomes the task's id, so the service can be asked for the task
    IDEMPOTENCY_KEY = "idempotency_key"  #: the same request sent again with it is not paid again


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a provider can do beside submitting, polling and downloading.

    `repeat_within` is how many seconds after an attempt's first request its idempotency key is
    known to protect from paying again. `free`: a submission costs nothing unless the manifest says
    a price, as on one's own server. `asks`: a task can be asked for later. `max_in_flight` is how
    many tasks make sense at a time, None without a limit. `version` changes with whatever builds
    the requests: another version may build another body of the same params.
    """

    request_ids: RequestIds = RequestIds.NONE
    repeat_within: float = 0.0
    free: bool = False
    cancel: bool = False
    upload: bool = True
    asks: bool = True
    max_in_flight: int | None = None
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """An accepted submission; `urls` are those of its files if the response has the result."""

    task_id: str
    urls: tuple[str, ...] = ()


class Provider(Protocol):
    """The calls of one service. Each call sends one request and raises `ApiError` when it fails.

    No call retries: whether a request may be sent again is decided only in the retry policy.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    async def submit(
        self, workflow: str, params: dict[str, Any], request_id: str | None = None
    ) -> Submitted:
        """Send at most one submission.

        `request_id` is the attempt's id as `Capabilities.request_ids` says, a lower-case UUID with
        hyphens; None if the service takes none.

        Raises:
            ApiError: its `failure` says whether the submission may have been accepted.
        """
        ...

    async def exists(self, task_id: str) -> bool:
        """Return whether the service has a task whose id a run chose.

        False only if the service could be asked, and it is certain that it has never accepted the
        task. Called only with `RequestIds.TASK_ID`.

        Raises:
            ApiError: that cannot be said now.
        """
        ...

    async def cancel(self, task_id: str) -> None:
        """Ask the service to cancel a task; return if it did, or if the task has ended.

        Called only with `Capabilities.cancel`.
        """
        ...

    async def status(self, task_id: str) -> TaskReport:
        """Return the task's status as the service reports it now."""
        ...

    async def result(self, task_id: str) -> list[str]:
        """Return the URLs of a finished task's files: absolute, no duplicates, at least one.

        A file that the response itself holds is a `data:` URL.
        """
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
