"""The service's tasks, and the queue they wait in.

Nothing here runs by itself: whoever asks for a state first calls `WorkQueue.advance` with the
service's time, and what should have happened by then happens. So a million tasks cost no timers,
and replaying the same creates gives the same history.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How a task ends. The values but the last are the service's words."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    NEVER = "NEVER"  #: shown as RUNNING for ever


@dataclass(slots=True, kw_only=True)
class Task:
    """One create that was carried out, so one that is paid. Times are seconds of the service."""

    n: int
    id: str
    created: float
    service: float
    fate: Outcome
    workflow: str
    params: dict[str, Any]
    body: str
    seed: str
    started: float | None = None
    finished: float | None = None
    answered: str = "ok"
    key_ok: bool = True
    polls: int = 0
    results: int = 0
    fetches: int = 0

    def state(self, now: float) -> str:
        """Return the service's word for where the task stands."""
        if self.started is None or self.started > now:
            return "PENDING"
        if self.fate is Outcome.NEVER or self.finished is None or self.finished > now:
            return "RUNNING"
        return self.fate.value

    def share(self, now: float) -> float:
        """Return how much of the work is done, 0 to 1."""
        if self.started is None or self.started > now:
            return 0.0
        return min(1.0, (now - self.started) / self.service) if self.service else 1.0

    @property
    def prompt(self) -> str:
        """Return the longest text of the parameters: what a picture is drawn from."""
        return max(_texts(self.params), key=len, default=self.workflow)

    def entry(self, now: float) -> dict[str, Any]:
        """Return the task as the ledger shows it."""
        state = self.state(now)
        return {
            "n": self.n,
            "time": round(self.created, 6),
            "task_id": self.id,
            "workflowId": self.workflow,
            "params": self.params,
            "body": self.body,
            "answered": self.answered,
            "key_ok": self.key_ok,
            "polls": self.polls,
            "results": self.results,
            "fetches": self.fetches,
            "finished_at": self.finished if state not in ("PENDING", "RUNNING") else None,
            "state": state,
        }


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        # An uploaded file's address is long, and nobody wants it written on a card.
        return [] if value.startswith(("http://", "https://", "/")) else [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for part in value for text in _texts(part)] if isinstance(value, list) else []


@dataclass(slots=True)
class WorkQueue:
    """Workers that take tasks; `workers` 0 means one for every task. `order`: fifo or random."""

    workers: int
    order: str = "fifo"
    seed: int = 0
    _running: list[tuple[float, int]] = field(default_factory=list)
    _waiting: deque[Task] = field(default_factory=deque)
    _draw: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)

    def submit(self, task: Task) -> None:
        """Take `task` in at its time of creation, which must not lie before the last advance."""
        self.advance(task.created)
        if self.workers and len(self._running) >= self.workers:
            self._waiting.append(task)
        else:
            self._start(task, task.created)

    def advance(self, now: float) -> None:
        """Let everything happen that is due by `now`."""
        while self._running and self._running[0][0] <= now:
            freed, _ = heapq.heappop(self._running)
            if self._waiting:
                self._start(self._next(), freed)

    def _next(self) -> Task:
        if self.order == "random":
            self._waiting.rotate(-self._draw.randrange(len(self._waiting)))
        return self._waiting.popleft()

    def _start(self, task: Task, at: float) -> None:
        task.started = at
        task.finished = at + task.service
        if self.workers:
            heapq.heappush(self._running, (task.finished, task.n))
