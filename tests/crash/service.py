"""The service, simulated in memory: a `Provider` with a ledger that fails as the seed decides.

Every call has random numbers of its own, made from the seed, the kind of call, its subject and how
often it was made. So what happens to one call does not depend on the order of the others, and a
change in the runner changes as little of a simulated job as possible.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import anyio

from batch_runner.errors import ApiError, Failure, FileRejected
from batch_runner.models import Received, TaskReport, TaskState
from batch_runner.providers.base import Capabilities, Receiver, RequestIds, Submitted
from tests.crash.clock import SharedTime
from tests.crash.crash import CrashPoint
from tests.crash.images import png_with_text

_STATUS = {
    Failure.AMBIGUOUS: 503,
    Failure.LIMITED: 429,
    Failure.REJECTED: 400,
    Failure.NOT_FOUND: 404,
    Failure.FORBIDDEN: 403,
    Failure.REDIRECTED: 307,
}
#: How a submission can fail although it was accepted: the response was lost, or unclear.
_AFTER_PAYMENT = (Failure.NO_RESPONSE, Failure.AMBIGUOUS)
_STRANGE = (TaskState.UNKNOWN_WORD, TaskState.PENDING, TaskState.RUNNING)
_FAILED = TaskState.FAILED


@dataclass(slots=True, kw_only=True)
class PaidTask:
    """One row of the ledger: an accepted submission."""

    id: str
    item: str
    known_at: float  # until then its status is 404
    finished_at: float
    end: TaskState
    files: tuple[bytes, ...]
    request_id: str | None = None  # the idempotency key, or the id that the client chose
    accepted_at: float = 0.0
    lost_at: float = math.inf  # from then on the service has nothing of it
    answered: bool = False  # the client has read the task id in the current run
    promised: bool = False  # and that run was not killed: the task id must never be lost
    told_failed: bool = False  # the client has received that status

    def is_lost(self, now: float) -> bool:
        """Return whether the service has lost it."""
        return now >= self.lost_at

    @property
    def hashes(self) -> set[str]:
        """Return the SHA-256 of each of its files."""
        return {hashlib.sha256(data).hexdigest() for data in self.files}


class Kind(StrEnum):
    """Whose ids a service's tasks have, and what the client's ids are for."""

    THEIRS = "theirs"
    OURS = "ours"  # the client chooses the task's id
    OURS_FREE = "ours-free"  # and a submission costs nothing
    KEY = "key"  # the client's id is an idempotency key


_IDS = {
    Kind.THEIRS: RequestIds.NONE,
    Kind.OURS: RequestIds.TASK_ID,
    Kind.OURS_FREE: RequestIds.TASK_ID,
    Kind.KEY: RequestIds.IDEMPOTENCY_KEY,
}


def kind_of(seed: int | str) -> Kind:
    """Return the kind of service that a seed has."""
    return random.Random(f"{seed} kind").choice(list(Kind))


class SimulatedService:
    """The service of one simulated job; it outlives the client's processes."""

    def __init__(
        self,
        seed: int | str,
        time: SharedTime,
        note: Callable[[str], None],
        *,
        kind: Kind = Kind.THEIRS,
        tasks: list[PaidTask] | None = None,
    ) -> None:
        """`tasks` are those of all jobs that share the service; None: no other job does."""
        rates = random.Random(f"{seed} fault rates")
        self._seed = seed
        self._time = time
        self._note = note
        self._fault_rates = {
            call: rates.choice((0.0, 0.05, 0.15, 0.4))
            for call in ("submit", "status", "result", "download", "upload")
        }
        self._failing = rates.choice((0.0, 0.1, 0.3))
        self._losing = rates.choice((0.0, 0.1, 0.3)) if kind is Kind.OURS_FREE else 0.0
        self._immediate = rates.random() < 0.25  # the response to a submission has the result
        self._keeps_keys = rates.choice((200.0, 3600.0, 86400.0))
        self._new_upload_names = rates.random() < 0.5
        self.kind = kind
        self._sending: set[str] = set()  # request ids of submissions that the client waits for
        self._requests: dict[str, tuple[str, str]] = {}  # what each request id was sent with first
        self.broken: list[str] = []  # rules of request ids that the client broke
        self._calls: Counter[tuple[str, str]] = Counter()
        self._expiry: dict[str, float] = {}
        self.faultless = False  # True: no call fails any more
        self.faults = 0
        self.ledger: list[PaidTask] = []
        self.tasks = [] if tasks is None else tasks
        self.sent_at: list[float] = []  # times of the submissions of this run
        self.crash: CrashPoint

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            request_ids=_IDS[self.kind],
            repeat_within=self._keeps_keys if self.kind is Kind.KEY else 0.0,
            free=self.kind is Kind.OURS_FREE,
            version="1",
        )

    async def submit(
        self, workflow: str, params: dict[str, Any], request_id: str | None = None
    ) -> Submitted:
        """Accept a submission, or fail before or after accepting it."""
        item = params["6"]["text"]
        self.sent_at.append(self._time.now)
        dice = self._dice("submit", item)
        self._check_request_id(request_id, workflow, params)
        try:
            return await self._answer(item, request_id, dice)
        finally:
            self._sending.discard(request_id or "")

    def _check_request_id(
        self, request_id: str | None, workflow: str, params: dict[str, Any]
    ) -> None:
        if (request_id is None) != (self.kind is Kind.THEIRS):
            self.broken.append(f"a submission has the request id {request_id}")
        if request_id is None:
            return
        if request_id in self._sending:
            self.broken.append(f"two requests at a time have the id {request_id}")
        self._sending.add(request_id)
        request = (workflow, json.dumps(params, sort_keys=True))
        if self._requests.setdefault(request_id, request) != request:
            self.broken.append(f"another request has the id {request_id}")

    async def _answer(self, item: str, request_id: str | None, dice: random.Random) -> Submitted:
        await self._travel("submission being sent", dice)
        fault = self._fault("submit", dice)
        paid = fault is None or (fault in _AFTER_PAYMENT and dice.random() < 0.5)
        task = self._accept(item, request_id, dice) if paid else None
        await self._travel("response to a submission being sent", dice)
        if fault is not None:
            self._note(f"submit {item}: {fault}, {'paid' if paid else 'not paid'}")
            candidate = task.id if task and dice.random() < 0.3 else None
            raise self._error("submit", fault, dice, candidate=candidate)
        assert task is not None
        task.answered = True
        self._note(f"submit {item}: {task.id}")
        return Submitted(
            task_id=task.id, urls=tuple(self._urls(task, dice)) if self._immediate else ()
        )

    async def exists(self, task_id: str) -> bool:
        """Return whether there is a task of this id."""
        dice = self._dice("exists", task_id)
        await self._travel("question for a task", dice)
        self._raise_fault("status", dice)
        now = self._time.now
        exists = any(task.id == task_id and not task.is_lost(now) for task in self.tasks)
        await self._travel("answer whether a task exists", dice)
        self._note(f"exists {task_id}: {exists}")
        return exists

    async def cancel(self, task_id: str) -> None:
        raise NotImplementedError(task_id)

    async def status(self, task_id: str) -> TaskReport:
        """Return the status of a task."""
        dice = self._dice("status", task_id)
        await self._travel("status", dice)
        task = self._task(task_id)
        self._raise_fault("status", dice)
        if self._time.now < task.known_at and not self.faultless:
            raise self._error("status", Failure.NOT_FOUND, dice)
        if task.is_lost(self._time.now):
            return TaskReport(state=TaskState.LOST)
        early = self._time.now < task.finished_at or self._fails("status", dice)
        state = dice.choice(_STRANGE) if early else task.end
        if state in (TaskState.FAILED, TaskState.CANCELED):
            # Tasks that were given one id cannot be told apart by the client.
            for one in self.tasks:
                one.told_failed |= one.id == task_id
        progress = dice.choice((None, None, dice.random()))
        self._note(f"status {task.item}: {state}")
        return TaskReport(state=state, progress=progress, word=state.value.upper())

    async def result(self, task_id: str) -> list[str]:
        """Return the URLs of a task's files; some expire soon."""
        dice = self._dice("result", task_id)
        await self._travel("result", dice)
        task = self._task(task_id)
        if self._fails("result", dice) and dice.random() < 0.1 and task.end is not _FAILED:
            task.end, task.told_failed = _FAILED, True
            self._note(f"result {task.item}: it has failed")
            raise self._error("result", Failure.TASK_FAILED, dice)
        self._raise_fault("result", dice)
        return self._urls(task, dice)

    def _urls(self, task: PaidTask, dice: random.Random) -> list[str]:
        urls = []
        for index in range(len(task.files)):
            url = f"{task.id}/{index}/{len(self._expiry)}"
            expires = self._fails("result", dice)
            self._expiry[url] = self._time.now + dice.uniform(0, 2) if expires else math.inf
            urls.append(url)
        return urls

    async def download(self, url: str, receive: Receiver) -> Received:
        """Send a file: complete, cut off, damaged, or not at all."""
        dice = self._dice("download", url)
        await self._travel("download", dice)
        if self._time.now > self._expiry[url]:
            raise self._error("download", dice.choice((Failure.NOT_FOUND, Failure.FORBIDDEN)), dice)
        task_id, index, _ = url.split("/")
        data = self._task(task_id).files[int(index)]
        if not self._fails("download", dice):
            await _send(data, receive)
            return Received(length_known=True, types=(".png",))
        self.faults += 1
        fault = dice.choice(("cut", "silently cut", "damaged", "not allowed", *Failure))
        self._note(f"download {url}: {fault}")
        if fault == "not allowed":
            raise FileRejected("the URL is not allowed")
        if isinstance(fault, Failure):
            raise self._error("download", fault, dice)
        at = dice.randrange(len(data))
        await _send(data[:at], receive)
        if fault == "cut":
            raise self._error("download", Failure.NO_RESPONSE, dice)
        if fault == "damaged":
            await _send(bytes([data[at] ^ 0x55]) + data[at + 1 :], receive)
        return Received(length_known=fault == "damaged", types=(".png",))

    def run_ended(self, *, killed: bool) -> None:
        """Record which task ids the client had time to store."""
        self._sending.clear()
        for task in self.ledger:
            task.promised |= task.answered and not killed
            task.answered = False

    async def upload(self, name: str, content: bytes) -> str:
        """Accept a file, or fail; an upload is never paid for."""
        dice = self._dice("upload", name)
        await self._travel("upload", dice)
        self._raise_fault("upload", dice)
        await self._travel("response to an upload", dice)
        number = self._calls["upload", name] if self._new_upload_names else 0
        return f"/uploads/{hashlib.sha256(content).hexdigest()}/{number}"

    def _accept(self, item: str, request_id: str | None, dice: random.Random) -> PaidTask:
        """Return the task of an idempotency key that is known, else of a new payment."""
        if self.kind is Kind.KEY:
            for task in self.tasks:
                kept = self._time.now - task.accepted_at <= self._keeps_keys
                if task.request_id == request_id and kept:
                    return task
        return self._pay(item, request_id, dice)

    def _pay(self, item: str, request_id: str | None, dice: random.Random) -> PaidTask:
        task_id = f"{dice.getrandbits(128):032x}"
        if self.kind in (Kind.OURS, Kind.OURS_FREE):
            task_id = request_id or task_id
        elif self.ledger and not self.faultless and dice.random() < 0.01:
            task_id = dice.choice(self.ledger).id  # the service gives one id to two tasks
        ends = TaskState.COMPLETED
        if not (self.faultless or self._immediate) and dice.random() < self._failing:
            ends = dice.choice((TaskState.FAILED, TaskState.CANCELED))
        now, lost_at = self._time.now, math.inf
        if not self.faultless and dice.random() < self._losing:
            lost_at = now + dice.choice((0.0, 20.0, 20000.0))
        task = PaidTask(
            id=task_id,
            item=item,
            known_at=now + dice.choice((0.0, 0.0, 0.0, 5.0, 500.0)),
            finished_at=now + dice.choice((0.0, 3.0, 20.0, 60.0, 60.0, 1000.0)) * dice.random(),
            end=ends,
            files=tuple(png_with_text(f"{task_id} {n}") for n in range(dice.choice((1, 1, 1, 2)))),
            request_id=request_id,
            accepted_at=now,
            lost_at=lost_at,
        )
        self.ledger.append(task)
        self.tasks.append(task)
        return task

    def _task(self, task_id: str) -> PaidTask:
        return next(task for task in self.tasks if task.id == task_id)

    def _dice(self, call: str, subject: str) -> random.Random:
        self._calls[call, subject] += 1
        return random.Random(f"{self._seed} {call} {subject} {self._calls[call, subject]}")

    async def _travel(self, what: str, dice: random.Random) -> None:
        """Wait for the network; the client's process may be killed meanwhile."""
        await anyio.sleep(dice.choice((0.01, 0.1, 0.1, 10.0)) * dice.random())
        await self.crash.arrive(what)

    def _fails(self, call: str, dice: random.Random) -> bool:
        return not self.faultless and dice.random() < self._fault_rates[call]

    def _fault(self, call: str, dice: random.Random) -> Failure | None:
        if not self._fails(call, dice):
            return None
        self.faults += 1
        return dice.choice([one for one in Failure if one is not Failure.TASK_FAILED])

    def _raise_fault(self, call: str, dice: random.Random) -> None:
        if (fault := self._fault(call, dice)) is not None:
            self._note(f"{call}: {fault}")
            raise self._error(call, fault, dice)

    def _error(
        self, call: str, failure: Failure, dice: random.Random, *, candidate: str | None = None
    ) -> ApiError:
        limited = failure is Failure.LIMITED
        return ApiError(
            f"{call}: {failure}",
            failure=failure,
            status=_STATUS.get(failure),
            retry_after=dice.choice((None, 1.0, 20.0, 900.0)) if limited else None,
            candidate=candidate,
        )


async def _send(data: bytes, receive: Receiver) -> None:
    if data and (writing := receive(data)) is not None:
        await writing
