"""The service's tasks, and the queue in which they wait for a worker.

There are no timers: before a state is read, `WorkQueue.advance` moves the queue to the service's
time. So a million tasks cost nothing while they run, and the same submissions always
give the same history.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How a task ends."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    MODERATED = "MODERATED"  #: fails because its content is not allowed
    WITHHELD = "WITHHELD"  #: fails because its result is not allowed
    NEVER = "NEVER"  #: stays RUNNING
    LOST = "LOST"  #: the service does not know the task any more


@dataclass(slots=True, kw_only=True)
class Task:
    """One accepted submission, which is paid. Times are in seconds of the service's clock.

    `request_id` is the id or the idempotency key that the client chose, None if there is none.
    `text` is what is written on the picture, None for the longest text of the params.
    """

    n: int
    id: str
    submitted_at: float
    seconds: float
    outcome: Outcome
    workflow: str
    params: dict[str, Any]
    body: str
    seed: str
    started_at: float | None = None
    finished_at: float | None = None
    response: str = "ok"
    polls: int = 0
    results: int = 0
    downloads: int = 0
    repeats: int = 0
    request_id: str | None = None
    text: str | None = None
    file_type: str = "png"
    graph: dict[str, Any] | None = None  # of ComfyUI: the workflow, and its nodes that make files
    output_nodes: list[str] = field(default_factory=list)
    same_as: int | None = None  # the number of the task from which the files are taken
    cancelled: bool = False
    forgotten: bool = False

    @property
    def lost(self) -> bool:
        """Return whether the service answers that there is no such task."""
        return self.forgotten or self.outcome is Outcome.LOST

    def forget(self, now: float) -> None:
        """Lose the task: one that has not ended never will."""
        if self.state(now) in ("PENDING", "RUNNING"):
            self.outcome = Outcome.LOST
        self.forgotten = True

    def state(self, now: float) -> str:
        """Return the state of the task at `now`: PENDING, RUNNING or its outcome."""
        if self.outcome is Outcome.LOST:
            return "LOST"
        if self.started_at is None or self.started_at > now:
            return "PENDING"
        if self.outcome is Outcome.NEVER or self.finished_at is None or self.finished_at > now:
            return "RUNNING"
        return self.outcome.value

    def progress(self, now: float) -> float:
        """Return the share of the work that is done, 0 to 1."""
        if self.started_at is None or self.started_at > now:
            return 0.0
        return min(1.0, (now - self.started_at) / self.seconds) if self.seconds else 1.0

    @property
    def prompt(self) -> str:
        """Return the text from which the picture is drawn."""
        if self.text is not None:
            return self.text
        return max(_texts(self.params), key=len, default=self.workflow)

    def entry(self, now: float) -> dict[str, Any]:
        """Return the task as the ledger's JSON shows it."""
        state = self.state(now)
        return {
            "n": self.n,
            "time": round(self.submitted_at, 6),
            "task_id": self.id,
            "workflowId": self.workflow,
            "params": self.params,
            "body": self.body,
            "request_id": self.request_id,
            "response": self.response,
            "polls": self.polls,
            "results": self.results,
            "downloads": self.downloads,
            "repeats": self.repeats,
            "cancelled": self.cancelled,
            "finished_at": self.finished_at if state not in ("PENDING", "RUNNING") else None,
            "state": state,
        }


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        # Not the URL of an uploaded file: on a card it would mean nothing.
        return [] if value.startswith(("http://", "https://", "/")) else [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for part in value for text in _texts(part)] if isinstance(value, list) else []


@dataclass(slots=True)
class WorkQueue:
    """Assigns tasks to workers; 0 workers means one for every task. `order`: fifo or random."""

    workers: int
    order: str = "fifo"
    seed: int = 0
    _running: list[tuple[float, int]] = field(default_factory=list)
    _waiting: deque[Task] = field(default_factory=deque)
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def submit(self, task: Task) -> None:
        """Add `task` at its time of submission, which must not be before the last advance."""
        self.advance(task.submitted_at)
        if self.workers and len(self._running) >= self.workers:
            self._waiting.append(task)
        else:
            self._start(task, task.submitted_at)

    def advance(self, now: float) -> None:
        """Finish and start every task that is due by `now`."""
        while self._running and self._running[0][0] <= now:
            freed, _ = heapq.heappop(self._running)
            if self._waiting:
                self._start(self._next(), freed)

    def cancel(self, task: Task, now: float) -> None:
        """End a task that has not ended, and give its worker to the next one."""
        self.advance(now)
        task.outcome, task.cancelled = Outcome.CANCELED, True
        if task in self._waiting:
            self._waiting.remove(task)
            task.started_at = now
        else:
            others = [each for each in self._running if each[1] != task.n]
            if len(others) < len(self._running):
                self._running = others
                heapq.heapify(self._running)
                if self._waiting:
                    self._start(self._next(), now)
        task.finished_at = now

    def emptied(self) -> WorkQueue:
        """Return an empty queue with the same workers."""
        return WorkQueue(self.workers, self.order, self.seed)

    def _next(self) -> Task:
        if self.order == "random":
            self._waiting.rotate(-self._rng.randrange(len(self._waiting)))
        return self._waiting.popleft()

    def _start(self, task: Task, at: float) -> None:
        task.started_at = at
        task.finished_at = at + task.seconds
        if self.workers:
            heapq.heappush(self._running, (task.finished_at, task.n))
