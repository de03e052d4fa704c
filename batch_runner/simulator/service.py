"""The service without HTTP: keys, limits, tasks and results.

Every call is one synchronous step, so nothing can happen between the acceptance of a submission
and its entry in the ledger.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable
from typing import Any

from batch_runner.simulator.ledger import Ledger, Log
from batch_runner.simulator.limiter import Limiter
from batch_runner.simulator.parsing import parse_distribution, parse_rate
from batch_runner.simulator.responses import Answer, ResponseBuilder
from batch_runner.simulator.settings import SimulatorSettings
from batch_runner.simulator.tasks import Outcome, Task, WorkQueue

# As in the example of the service's documents.
STUCK_PROGRESS = "37"


class Service:
    """The state of the service. `now` returns the service's time in seconds."""

    def __init__(
        self, settings: SimulatorSettings, now: Callable[[], float], log: Log | None = None
    ) -> None:
        self.settings = settings
        self.now = now
        self.rng = random.Random(f"{settings.seed}:answers")
        self.responses = ResponseBuilder(settings.variants, self.rng)
        self.ledger = Ledger(WorkQueue(settings.workers, settings.order, settings.seed), log)
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

    def check_key(self, authorization: str | None) -> Answer | None:
        """Return the error for this `Authorization` header, None if its key is accepted."""
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.startswith("sk-"):
            return self.responses.error(401, "未授权: 缺少有效的 API Key")
        self.keys_seen.add(key)
        if self.settings.keys and key not in self.settings.keys:
            return self.responses.error(401, "未授权: API Key 无效")
        return None

    def submit(
        self, raw: bytes, *, outcome: Outcome = Outcome.COMPLETED, slowness: float = 1.0
    ) -> tuple[Answer, Task | None]:
        """Accept or reject a submission; return the answer and the task, None if rejected."""
        now = self.now()
        if self._limiter is not None and (wait := self._limiter.admit(now)):
            answer = self.responses.error(429, "请求过于频繁, 请稍后再试")
            answer.headers["Retry-After"] = str(max(1, round(wait + 0.5)))
            return answer, None
        content = _read_submission(raw)
        if isinstance(content, str):
            return self.responses.error(400, f"参数错误: {content}"), None
        accepted = self.settings.workflows
        if accepted and content["workflowId"] not in accepted:
            return self.responses.error(404, f"工作流不存在: {content['workflowId']}"), None
        task = self.ledger.submit(
            time=now,
            # Not by seed: a new simulator must not repeat the ids of an earlier one.
            task_id=secrets.token_hex(16),
            seconds=self._service_seconds() * slowness,
            outcome=outcome,
            content=content,
            body=raw.decode(),
        )
        return self.responses.submitted(task.id), task

    def status(self, task_id: str) -> Answer:
        """Return the answer to a status request."""
        task = self.ledger.tasks.get(task_id)
        if task is None:
            return self._unknown_task()
        now = self.now()
        self.ledger.count("polls", task, now)
        state = self.state(task)
        progress = None if self.settings.progress == "none" else str(self._progress(task, state))
        return self.responses.status(state, progress)

    def result(self, task_id: str, files_url: str) -> Answer:
        """Return the answer to a result request, with the URLs of the pictures at `files_url`."""
        task = self.ledger.tasks.get(task_id)
        if task is None:
            return self._unknown_task()
        self.ledger.count("results", task, self.now())
        state = self.state(task)
        if state != Outcome.COMPLETED:
            return self.responses.error(400, f"任务未完成: {state}")
        return self.responses.result(self._urls(task, files_url))

    def upload(self, *, name: str, size: int, sha256: str, files_url: str) -> Answer:
        """Record an uploaded file, without its bytes, and return the answer."""
        extension = name.rpartition(".")[2] if "." in name else "bin"
        path = f"/uploads/{sha256[:32]}.{extension}"
        self.ledger.upload(time=self.now(), name=name, size=size, sha256=sha256, path=path)
        return self.responses.uploaded(files_url + path, path)

    def state(self, task: Task) -> str:
        """Return the service's word for the state of `task` now."""
        now = self.now()
        self.ledger.queue.advance(now)
        return task.state(now)

    def url_is_valid(self, expires: str | None) -> bool:
        """Return whether a file URL with this `expires` has not expired; None never expires."""
        if expires is None:
            return True
        try:
            return self.now() < float(expires)
        except ValueError:
            return False

    def _urls(self, task: Task, files_url: str) -> list[str]:
        url_life = self.settings.url_life
        query = "" if url_life is None else f"?expires={self.now() + url_life:.6f}"
        numbers = range(1, self.settings.outputs + 1)
        return [f"{files_url}/outputs/{task.id}/{number}.png{query}" for number in numbers]

    def _unknown_task(self) -> Answer:
        return self.responses.error(404, "任务不存在")

    def _service_seconds(self) -> float:
        n = self.ledger.totals["submissions"] + 1
        # By number, not from one stream, so that a restart changes nothing.
        return self._service_time.sample(random.Random(f"{self.settings.seed}:service:{n}"))

    def _progress(self, task: Task, state: str) -> int | str:
        if state == "COMPLETED":
            return 100
        if self.settings.progress == "stuck":
            return STUCK_PROGRESS
        progress = task.progress(self.now())
        if self.settings.progress == "lying":
            rate = random.Random(task.id).choice((0.1, 0.4, 2.5, 8.0))
            progress = min(1.0, progress * rate)
        return min(99, int(100 * progress))


def _read_submission(raw: bytes) -> dict[str, Any] | str:
    """Return the content of a submission, or the error message for it."""
    try:
        content = json.loads(raw.decode())
    except ValueError:
        return "请求体不是 JSON"
    if not isinstance(content, dict):
        return "请求体不是对象"
    workflow, params = content.get("workflowId"), content.get("params")
    if not isinstance(workflow, str) or not workflow:
        return "workflowId"
    if not isinstance(params, dict) or not all(isinstance(node, dict) for node in params.values()):
        return "params"
    return content
