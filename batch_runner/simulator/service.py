"""The service without HTTP, the same for every personality: keys, limits, tasks and results.

Every call is one synchronous step, so nothing can happen between the acceptance of a submission
and its entry in the ledger.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from batch_runner.simulator.ledger import Ledger, Log
from batch_runner.simulator.limiter import Limiter
from batch_runner.simulator.parsing import parse_distribution, parse_rate
from batch_runner.simulator.settings import SimulatorSettings
from batch_runner.simulator.tasks import Outcome, Task, WorkQueue

if TYPE_CHECKING:
    from batch_runner.simulator.exchange import Exchange
    from batch_runner.simulator.personalities.uploads import UploadedFile

# As in the example of the service's documents.
STUCK_PROGRESS = "37"


class Service:
    """The state of the service. `now` returns the service's time in seconds.

    `workers` is the number of tasks that run at a time, None for that of the settings.
    """

    def __init__(
        self,
        settings: SimulatorSettings,
        now: Callable[[], float],
        log: Log | None = None,
        *,
        workers: int | None = None,
    ) -> None:
        self.settings = settings
        self.now = now
        self.rng = random.Random(f"{settings.seed}:answers")
        count = settings.workers if workers is None else workers
        self.ledger = Ledger(WorkQueue(count, settings.order, settings.seed), log)
        self.keys_seen: set[str] = set()
        self._service_time = parse_distribution(settings.service_time)
        self._limiter: Limiter | None = None
        self.reset()

    def reset(self) -> None:
        """Delete every task and restart the rate limit."""
        limit = self.settings.submit_limit
        self._limiter = None if limit is None else Limiter(parse_rate(limit))
        if self.ledger.totals:
            self.ledger.reset(self.now())

    def accepts(self, key: str) -> bool:
        """Return whether a key is one of those in the settings, and remember it."""
        self.keys_seen.add(key)
        return not self.settings.keys or key in self.settings.keys

    def wait_for_limit(self) -> float:
        """Count a submission and return 0.0, or the seconds until one would be accepted."""
        return 0.0 if self._limiter is None else self._limiter.admit(self.now())

    def submit(
        self,
        exchange: Exchange,
        *,
        task_id: str,
        workflow: str,
        params: dict[str, Any],
        body: str,
        seconds: float | None = None,
        **details: Any,
    ) -> Task:
        """Accept a submission, which is paid when this returns.

        `seconds` None draws the duration. `details` are fields of `Task`.
        """
        duration = self._service_seconds() * exchange.slowness if seconds is None else seconds
        return self.ledger.submit(
            time=self.now(),
            task_id=task_id,
            seconds=duration,
            outcome=exchange.outcome,
            workflow=workflow,
            params=params,
            body=body,
            **details,
        )

    def find(self, task_id: str) -> Task | None:
        """Return a task that the service knows, None if it never did or has lost it."""
        task = self.ledger.tasks.get(task_id)
        return None if task is None or task.lost else task

    def count(self, kind: str, task: Task) -> None:
        """Count one of the `polls`, `results`, `downloads` or `repeats` of `task`."""
        self.ledger.count(kind, task, self.now())

    def store(self, file: UploadedFile, path: str) -> None:
        """Record an uploaded file, without its bytes."""
        self.ledger.upload(
            time=self.now(), name=file.name, size=file.size, sha256=file.sha256, path=path
        )

    def state(self, task: Task) -> str:
        """Return the state of `task` now."""
        now = self.now()
        self.ledger.queue.advance(now)
        return task.state(now)

    def cancel(self, task: Task) -> bool:
        """Cancel a task that has not ended; return whether it had not."""
        if self.state(task) not in ("PENDING", "RUNNING"):
            return False
        self.ledger.cancel(task, self.now())
        return True

    def url_is_valid(self, expires: str | None) -> bool:
        """Return whether a file URL with this `expires` has not expired; None never expires."""
        if expires is None:
            return True
        try:
            return self.now() < float(expires)
        except ValueError:
            return False

    def urls(self, task: Task, files_url: str, life: float | None = None) -> list[str]:
        """Return the URLs of a task's files, which live `life` seconds if the settings say none."""
        life = life if self.settings.url_life is None else self.settings.url_life
        query = "" if life is None else f"?expires={self.now() + life:.6f}"
        numbers = range(1, self.settings.outputs + 1)
        ending = task.file_type
        return [f"{files_url}/outputs/{task.id}/{number}.{ending}{query}" for number in numbers]

    def progress(self, task: Task, state: str) -> int | str | None:
        """Return the progress in percent as the settings let it be shown; None for none."""
        if self.settings.progress == "none":
            return None
        if state == Outcome.COMPLETED:
            return 100
        if self.settings.progress == "stuck":
            return STUCK_PROGRESS
        progress = task.progress(self.now())
        if self.settings.progress == "lying":
            rate = random.Random(task.id).choice((0.1, 0.4, 2.5, 8.0))
            progress = min(1.0, progress * rate)
        return min(99, int(100 * progress))

    def _service_seconds(self) -> float:
        n = self.ledger.totals["submissions"] + 1
        # By number, not from one stream, so that a restart changes nothing.
        return self._service_time.sample(random.Random(f"{self.settings.seed}:service:{n}"))
