"""What the service did: the record by which a test or a user checks a client.

The ledger is the result of its events. Each method makes one event, writes it to the state file
(if there is one) and applies it. A restart reads the file and applies the same events again, so
there is no other way to change the ledger.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

from batch_runner.simulator.tasks import Outcome, Task, WorkQueue

Event = dict[str, Any]
TOTALS = ("submissions", "polls", "results", "downloads", "limited", "rejected", "uploads")


class Log(Protocol):
    """Where events are kept for a restart."""

    def write(self, event: Event) -> None:
        """Append one event; the system has it when this returns."""


@dataclass(slots=True)
class Ledger:
    """Every submission with its state, every rejection, every upload, and misplaced keys.

    Each of `submissions` is paid, whether or not its response arrived. The module docstring of
    `batch_runner.simulator` describes the JSON form.
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
        """Return every task in the order of submission."""
        return list(self.tasks.values())

    def submit(
        self,
        *,
        time: float,
        task_id: str,
        seconds: float,
        outcome: Outcome,
        content: Any,
        body: str,
    ) -> Task:
        """Record a task of `seconds`; it is paid when this returns."""
        self._record(
            kind="submit",
            time=time,
            task_id=task_id,
            seconds=seconds,
            outcome=outcome.value,
            workflow=content["workflowId"],
            params=content["params"],
            body=body,
        )
        return self.tasks[task_id]

    def spoil_response(self, task: Task, fault: str, time: float) -> None:
        """Record that a fault changed or withheld the response to the submission of `task`."""
        self._record(kind="response", time=time, task_id=task.id, how=fault)

    def count(self, kind: str, task: Task, time: float) -> None:
        """Count one of the `polls`, `results` or `downloads` of `task`."""
        self._record(kind=kind, time=time, task_id=task.id)

    def reject(self, call: str, status: int, message: str, time: float, *, key_ok: bool) -> None:
        """Record a rejected request: no work was done, nothing is paid."""
        self._record(
            kind="reject", time=time, call=call, status=status, message=message, key_ok=key_ok
        )

    def upload(self, *, time: float, name: str, size: int, sha256: str, path: str) -> None:
        """Record a stored file of `size` bytes."""
        self._record(kind="upload", time=time, name=name, size=size, sha256=sha256, path=path)

    def leak(self, *, time: float, origin: str, path: str, where: str) -> None:
        """Record that a key was sent where none belongs; the key itself is not kept."""
        self._record(kind="leak", time=time, origin=origin, path=path, where=where)

    def redirect(self, *, time: float, method: str, path: str, key: bool, size: int) -> None:
        """Record a request, with a body of `size` bytes, that followed a redirect to the trap."""
        self._record(kind="redirect", time=time, method=method, path=path, key=key, size=size)

    def reset(self, time: float) -> None:
        """Delete everything."""
        self._record(kind="reset", time=time)

    def as_json(self, now: float) -> dict[str, Any]:
        """Return the ledger as plain data, with the states that tasks have at `now`."""
        self.queue.advance(now)
        return {
            "time": round(now, 6),
            "submissions": [task.entry(now) for task in self.tasks.values()],
            "rejected": self.rejected,
            "uploads": self.uploads,
            "leaks": self.leaks,
            "redirected": self.redirected,
            "totals": {name: self.totals[name] for name in TOTALS},
        }

    def _record(self, **event: Any) -> None:
        if self.log is not None:
            self.log.write(event)
        self.apply(event)

    def apply(self, event: Event) -> None:
        """Change the ledger by one event, a new one or one from the state file."""
        event = dict(event)
        match event.pop("kind"):
            case "submit":
                self._add_task(event)
            case "response":
                self.tasks[event["task_id"]].response = event["how"]
            case "polls" | "results" | "downloads" as name:
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
                self._clear()

    def _add_task(self, event: Event) -> None:
        task = Task(
            n=len(self.tasks) + 1,
            id=event["task_id"],
            submitted_at=event["time"],
            seconds=event["seconds"],
            outcome=Outcome(event["outcome"]),
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

    def _clear(self) -> None:
        for part in (self.rejected, self.uploads, self.leaks, self.redirected):
            part.clear()
        self.tasks.clear()
        self.totals.clear()
        self._repeats.clear()
        self.queue = WorkQueue(self.queue.workers, self.queue.order, self.queue.seed)
