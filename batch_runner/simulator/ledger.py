"""What the service did and what it is owed: the side of the story a client cannot embellish.

The ledger is a fold over events. Each verb makes one event, writes it to the state file (if there
is one) and applies it; a restart reads the file and applies the same events again. So there is no
second way for anything to get in.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

from batch_runner.simulator.tasks import Outcome, Task, WorkQueue

Event = dict[str, Any]


class Log(Protocol):
    """Where events go to outlive the process."""

    def write(self, event: Event) -> None:
        """Append one event; it is out of this process when this returns."""


@dataclass(slots=True)
class Ledger:
    """Creates with what became of them, refusals, uploads, and keys seen where none belong.

    `submissions` are the tasks in order: each is paid, whether or not its answer arrived.
    """

    queue: WorkQueue
    log: Log | None = None
    tasks: dict[str, Task] = field(default_factory=dict)
    rejected: list[Event] = field(default_factory=list)
    uploads: list[Event] = field(default_factory=list)
    leaks: list[Event] = field(default_factory=list)
    redirected: list[Event] = field(default_factory=list)
    totals: Counter[str] = field(default_factory=Counter)
    _repeats: Counter[str] = field(default_factory=Counter)

    @property
    def submissions(self) -> list[Task]:
        """Return every task in the order of creation."""
        return list(self.tasks.values())

    def create(
        self, *, time: float, task_id: str, service: float, fate: Outcome, content: Any, body: str
    ) -> Task:
        """Take a task in; from here on it is paid."""
        self._happen(
            kind="create",
            time=time,
            task_id=task_id,
            service=service,
            fate=fate.value,
            workflow=content["workflowId"],
            params=content["params"],
            body=body,
        )
        return self.tasks[task_id]

    def answered(self, task: Task, how: str, time: float) -> None:
        """Note that the create of `task` was not answered as the contract says."""
        self._happen(kind="answered", time=time, task_id=task.id, how=how)

    def looked(self, kind: str, task: Task, time: float) -> None:
        """Count a poll, a result or a fetch of `task`."""
        self._happen(kind=kind, time=time, task_id=task.id)

    def reject(self, call: str, status: int, message: str, time: float, *, key_ok: bool) -> None:
        """Note a request that was refused: nothing was done, nothing is paid."""
        self._happen(
            kind="reject", time=time, call=call, status=status, message=message, key_ok=key_ok
        )

    def upload(self, *, time: float, name: str, size: int, sha256: str, path: str) -> None:
        """Note a stored file."""
        self._happen(kind="upload", time=time, name=name, size=size, sha256=sha256, path=path)

    def leak(self, *, time: float, origin: str, path: str, where: str) -> None:
        """Note that a key was seen where it does not belong; the key itself is not kept."""
        self._happen(kind="leak", time=time, origin=origin, path=path, where=where)

    def redirect(self, *, time: float, method: str, path: str, key: bool, size: int) -> None:
        """Note a request that followed a redirect to the decoy; `size` is that of its body."""
        self._happen(kind="redirect", time=time, method=method, path=path, key=key, size=size)

    def reset(self, time: float) -> None:
        """Forget everything."""
        self._happen(kind="reset", time=time)

    def as_json(self, now: float) -> dict[str, Any]:
        """Return all of it as plain data, with the states of `now`."""
        self.queue.advance(now)
        counted = ("submissions", "polls", "results", "fetches", "limited", "rejected", "uploads")
        return {
            "time": round(now, 6),
            "submissions": [task.entry(now) for task in self.tasks.values()],
            "rejected": self.rejected,
            "uploads": self.uploads,
            "leaks": self.leaks,
            "redirected": self.redirected,
            "totals": {name: self.totals[name] for name in counted},
        }

    def _happen(self, **event: Any) -> None:
        if self.log is not None:
            self.log.write(event)
        self.apply(event)

    def apply(self, event: Event) -> None:
        """Let one event happen, now or again after a restart."""
        event = dict(event)
        match event.pop("kind"):
            case "create":
                self._take_in(event)
            case "answered":
                self.tasks[event["task_id"]].answered = event["how"]
            case "polls" | "results" | "fetches" as name:
                task = self.tasks[event["task_id"]]
                setattr(task, name, getattr(task, name) + 1)
                self.totals[name] += 1
            case "reject":
                self.rejected.append(event)
                self.totals["limited" if event["status"] == 429 else "rejected"] += 1
            case "upload":
                self.uploads.append(event)
                self.totals["uploads"] += 1
            case "leak":
                self.leaks.append(event)
            case "redirect":
                self.redirected.append(event)
            case "reset":
                self._forget()

    def _take_in(self, event: Event) -> None:
        task = Task(
            n=len(self.tasks) + 1,
            id=event["task_id"],
            created=event["time"],
            service=event["service"],
            fate=Outcome(event["fate"]),
            workflow=event["workflow"],
            params=event["params"],
            body=event["body"],
            # The same prompt again gives another picture, as from a real service.
            seed=str(self._repeats[event["body"]]),
        )
        self._repeats[event["body"]] += 1
        self.tasks[task.id] = task
        self.totals["submissions"] += 1
        self.queue.submit(task)

    def _forget(self) -> None:
        for part in (self.rejected, self.uploads, self.leaks, self.redirected):
            part.clear()
        self.tasks.clear()
        self.totals.clear()
        self._repeats.clear()
        self.queue = WorkQueue(self.queue.workers, self.queue.order, self.queue.seed)
