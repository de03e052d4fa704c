"""What the service did: the record by which a test or a user checks a client.

The ledger is the result of its events. Each method makes one event, writes it to the state file
(if there is one) and applies it. A restart reads the file and applies the same events again, so
there is no other way to change the ledger.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

from batch_runner.simulator.responses import Answer, Rejection
from batch_runner.simulator.tasks import Outcome, Task, WorkQueue

Event = dict[str, Any]
TOTALS = (
    "submissions",
    "polls",
    "results",
    "downloads",
    "limited",
    "rejected",
    "uploads",
    "repeats",
    "cancelled",
)


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
    #: By id; the latest one if a client has chosen the same id twice.
    tasks: dict[str, Task] = field(default_factory=dict)
    by_request_id: dict[str, Task] = field(default_factory=dict)
    rejected: list[Event] = field(default_factory=list)
    uploads: list[Event] = field(default_factory=list)
    leaks: list[Event] = field(default_factory=list)
    redirected: list[Event] = field(default_factory=list)
    totals: Counter[str] = field(default_factory=Counter)
    _submissions: list[Task] = field(default_factory=list)
    _repeats: Counter[str] = field(default_factory=Counter)

    @property
    def submissions(self) -> list[Task]:
        """Return every task in the order of submission."""
        return list(self._submissions)

    def submit(
        self,
        *,
        time: float,
        task_id: str,
        seconds: float,
        outcome: Outcome,
        workflow: str,
        params: dict[str, Any],
        body: str,
        **details: Any,
    ) -> Task:
        """Record a task of `seconds`; it is paid when this returns.

        `details` are other fields of `Task`.
        """
        self._record(
            kind="submit",
            time=time,
            task_id=task_id,
            seconds=seconds,
            outcome=outcome.value,
            workflow=workflow,
            params=params,
            body=body,
            **details,
        )
        return self.tasks[task_id]

    def cancel(self, task: Task, time: float) -> None:
        """Record that a client cancelled a task that had not ended."""
        self._record(kind="cancelled", time=time, task_id=task.id)

    def forget(self, time: float, task: Task | None = None) -> None:
        """Record that the service has lost a task, or all; the files of those that ended stay."""
        self._record(kind="forget", time=time, **({} if task is None else {"task_id": task.id}))

    def spoil_response(self, task: Task, fault: str, time: float) -> None:
        """Record that a fault changed or withheld the response to the submission of `task`."""
        self._record(kind="response", time=time, task_id=task.id, how=fault)

    def count(self, kind: str, task: Task, time: float) -> None:
        """Count one of the `polls`, `results`, `downloads` or `repeats` of `task`."""
        self._record(kind=kind, time=time, task_id=task.id)

    def reject(self, call: str, answer: Answer, message: str, time: float) -> None:
        """Record a rejected request: no work was done, nothing is paid."""
        key_ok = answer.rejected is not Rejection.KEY
        event = {"time": time, "call": call, "status": answer.status, "message": message}
        if answer.rejected is Rejection.BUSY and answer.status != 429:
            event["limited"] = True
        self._record(kind="reject", **event, key_ok=key_ok)

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
            "submissions": [task.entry(now) for task in self._submissions],
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
            case "polls" | "results" | "downloads" | "repeats" as name:
                task = self.tasks[event["task_id"]]
                setattr(task, name, getattr(task, name) + 1)
                self.totals[name] += 1
            case "reject":
                self.rejected.append(event)
                limited = event["status"] == 429 or event.get("limited", False)
                self.totals["limited" if limited else "rejected"] += 1
            case "cancelled":
                self.queue.cancel(self.tasks[event["task_id"]], event["time"])
                self.totals["cancelled"] += 1
            case "forget":
                self._forget(event["time"], event.get("task_id"))
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
            n=len(self._submissions) + 1,
            id=event.pop("task_id"),
            submitted_at=event.pop("time"),
            outcome=Outcome(event.pop("outcome")),
            # The same prompt again gives another picture, as from a real service.
            seed=str(self._repeats[event["body"]]),
            **event,
        )
        self._repeats[task.body] += 1
        self.tasks[task.id] = task
        if task.request_id is not None:
            self.by_request_id[task.request_id] = task
        self._submissions.append(task)
        self.totals["submissions"] += 1
        self.queue.submit(task)

    def _forget(self, now: float, task_id: str | None) -> None:
        self.queue.advance(now)
        if task_id is not None:
            self.tasks[task_id].forget(now)
            return
        for task in self._submissions:
            task.forget(now)
        self.queue = self.queue.emptied()

    def _clear(self) -> None:
        for part in (self.rejected, self.uploads, self.leaks, self.redirected, self._submissions):
            part.clear()
        self.tasks.clear()
        self.by_request_id.clear()
        self.totals.clear()
        self._repeats.clear()
        self.queue = self.queue.emptied()
