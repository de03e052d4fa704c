"""A service in memory whose answers a test writes down: a `Provider` with a ledger."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from batch_runner.errors import ApiError, Failure
from batch_runner.models import Received, TaskReport, TaskState
from batch_runner.providers.base import Capabilities, Receiver, RequestIds, Submitted
from tests.crash.images import png_with_text


@dataclass(frozen=True, slots=True)
class Answer:
    """How a submission is answered. `failure` None: with the task's id."""

    failure: Failure | None = None
    accepted: bool = True
    urls: tuple[str, ...] = ()
    candidate: str | None = None  # a task id that the error names


OK = Answer()
LOST = Answer(Failure.NO_RESPONSE)
NEVER_ARRIVED = Answer(Failure.NO_RESPONSE, accepted=False)


class FakeService:
    """Answers submissions and polls as told, by default with success.

    `paid` are the request ids of the payments, `sent` those of all submissions.
    """

    def __init__(self, request_ids: RequestIds = RequestIds.NONE, **capabilities: Any) -> None:
        self.capabilities = Capabilities(
            request_ids=request_ids, version="1", **{"repeat_within": 86400.0, **capabilities}
        )
        self.answers: deque[Answer] = deque()
        self.states: deque[TaskState] = deque()
        self.questions: deque[Failure] = deque()  # how `exists` fails
        self.results: deque[Failure] = deque()  # how `result` fails
        self.gone: set[str] = set()  # URLs that are not there
        self.paid: list[str | None] = []
        self.sent: list[str | None] = []
        self.params: list[dict[str, Any]] = []
        self.calls: Counter[str] = Counter()
        self.canceled: list[str] = []
        self.uploads = "v1"
        self.most_in_flight = 0
        self._in_flight: set[str] = set()
        self._by_key: dict[str, str] = {}
        self._tasks: set[str] = set()

    async def submit(
        self, workflow: str, params: dict[str, Any], request_id: str | None = None
    ) -> Submitted:
        answer = self.answers.popleft() if self.answers else OK
        self.sent.append(request_id)
        self.params.append(params)
        task_id = self._accept(request_id) if answer.accepted else ""
        if answer.failure is not None:
            message = f"submit: {answer.failure}"
            raise ApiError(message, failure=answer.failure, candidate=answer.candidate)
        return Submitted(task_id=task_id, urls=answer.urls)

    def _accept(self, request_id: str | None) -> str:
        ids = self.capabilities.request_ids
        if ids is RequestIds.IDEMPOTENCY_KEY and request_id in self._by_key:
            return self._by_key[str(request_id)]
        self.paid.append(request_id)
        task_id = str(request_id) if ids is RequestIds.TASK_ID else f"task-{len(self.paid)}"
        self._by_key[str(request_id)] = task_id
        self._tasks.add(task_id)
        self._in_flight.add(task_id)
        self.most_in_flight = max(self.most_in_flight, len(self._in_flight))
        return task_id

    async def exists(self, task_id: str) -> bool:
        self.calls["exists"] += 1
        if self.questions:
            raise ApiError("exists: failed", failure=self.questions.popleft())
        return task_id in self._tasks

    async def cancel(self, task_id: str) -> None:
        self.canceled.append(task_id)

    async def status(self, task_id: str) -> TaskReport:
        self.calls["status"] += 1
        state = self.states.popleft() if self.states else TaskState.COMPLETED
        if state is not TaskState.RUNNING:
            self._in_flight.discard(task_id)
        return TaskReport(state=state, word=state.value)

    async def result(self, task_id: str) -> list[str]:
        self.calls["result"] += 1
        if self.results:
            raise ApiError("result: the task has failed", failure=self.results.popleft())
        return [f"http://files/{task_id}"]

    async def upload(self, name: str, content: bytes) -> str:
        return f"uploads/{self.uploads}/{name}"

    async def download(self, url: str, receive: Receiver) -> Received:
        self.calls[url] += 1
        if url in self.gone:
            raise ApiError("download: HTTP 404", failure=Failure.NOT_FOUND, status=404)
        if (writing := receive(png_with_text(url))) is not None:
            await writing
        return Received(length_known=True, types=(".png",))
