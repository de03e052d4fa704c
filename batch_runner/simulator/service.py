"""The service without its HTTP: keys, limits, tasks and results, in the contract's words.

Every call is one synchronous step, so nothing can come between accepting a create and writing it
into the ledger.
"""

from __future__ import annotations

import json
import random
import secrets
from typing import TYPE_CHECKING, Any

from batch_runner.simulator.ledger import Ledger
from batch_runner.simulator.limiter import Limiter
from batch_runner.simulator.parsing import parse_distribution, parse_rate
from batch_runner.simulator.responses import Answer, ResponseBuilder
from batch_runner.simulator.tasks import Outcome, Task, WorkQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.simulator.ledger import Log
    from batch_runner.simulator.settings import SimulatorSettings

# What a progress that means nothing keeps saying.
STUCK_PROGRESS = "37"


class Service:
    """Knows what the real service would know. `now` gives the service's time in seconds."""

    def __init__(
        self, settings: SimulatorSettings, now: Callable[[], float], log: Log | None = None
    ) -> None:
        self.settings = settings
        self.now = now
        self.draw = random.Random(f"{settings.seed}:answers")
        self.voice = ResponseBuilder(settings.variants, self.draw)
        self.ledger = Ledger(WorkQueue(settings.workers, settings.order, settings.seed), log)
        self.keys_seen: set[str] = set()
        self._service_time = parse_distribution(settings.service_time)
        self._limiter: Limiter | None = None
        self.reset()

    def reset(self) -> None:
        """Forget every task and grant a fresh burst."""
        limit = self.settings.create_limit
        self._limiter = None if limit is None else Limiter(parse_rate(limit))
        if self.ledger.totals:
            self.ledger.reset(self.now())

    def refuse_key(self, authorization: str | None) -> Answer | None:
        """Return the refusal of a bad `Authorization` header, None for a good one."""
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.startswith("sk-"):
            return self.voice.refusal(401, "未授权: 缺少有效的 API Key")
        self.keys_seen.add(key)
        if self.settings.keys and key not in self.settings.keys:
            return self.voice.refusal(401, "未授权: API Key 无效")
        return None

    def create(
        self, raw: bytes, *, fate: Outcome = Outcome.COMPLETED, slowness: float = 1.0
    ) -> tuple[Answer, Task | None]:
        """Take a create: the answer, and the task unless it was refused."""
        now = self.now()
        if self._limiter is not None and (wait := self._limiter.admit(now)):
            answer = self.voice.refusal(429, "请求过于频繁, 请稍后再试")
            answer.headers["Retry-After"] = str(max(1, round(wait + 0.5)))
            return answer, None
        content = _read_create(raw)
        if isinstance(content, str):
            return self.voice.refusal(400, f"参数错误: {content}"), None
        known = self.settings.workflows
        if known and content["workflowId"] not in known:
            return self.voice.refusal(404, f"工作流不存在: {content['workflowId']}"), None
        task = self.ledger.create(
            time=now,
            # Never drawn by seed: a fresh simulator must not repeat ids of an earlier one.
            task_id=secrets.token_hex(16),
            service=self._service_seconds() * slowness,
            fate=fate,
            content=content,
            body=raw.decode(),
        )
        return self.voice.created(task.id), task

    def status(self, task_id: str) -> Answer:
        """Answer a status request."""
        task = self.ledger.tasks.get(task_id)
        if task is None:
            return self._unknown_task()
        now = self.now()
        self.ledger.looked("polls", task, now)
        state = self.state(task)
        progress = None if self.settings.progress == "none" else str(self._progress(task, state))
        return self.voice.status(state, progress)

    def result(self, task_id: str, files_url: str) -> Answer:
        """Answer a result request with the URLs of the pictures below `files_url`."""
        task = self.ledger.tasks.get(task_id)
        if task is None:
            return self._unknown_task()
        self.ledger.looked("results", task, self.now())
        state = self.state(task)
        if state != Outcome.COMPLETED:
            return self.voice.refusal(400, f"任务未完成: {state}")
        return self.voice.result(self._urls(task, files_url))

    def upload(self, *, name: str, size: int, sha256: str, files_url: str) -> Answer:
        """Store a file (what it was, not its bytes)."""
        extension = name.rpartition(".")[2] if "." in name else "bin"
        path = f"/uploads/{sha256[:32]}.{extension}"
        self.ledger.upload(time=self.now(), name=name, size=size, sha256=sha256, path=path)
        return self.voice.uploaded(files_url + path, path)

    def state(self, task: Task) -> str:
        """Return the service's word for where `task` stands now."""
        now = self.now()
        self.ledger.queue.advance(now)
        return task.state(now)

    def url_is_valid(self, expires: str | None) -> bool:
        """Say whether a file URL with this expiry may still be used."""
        if expires is None:
            return True
        try:
            return self.now() < float(expires)
        except ValueError:
            return False

    def _urls(self, task: Task, files_url: str) -> list[str]:
        life = self.settings.url_life
        query = "" if life is None else f"?expires={self.now() + life:.6f}"
        numbers = range(1, self.settings.outputs + 1)
        return [f"{files_url}/outputs/{task.id}/{number}.png{query}" for number in numbers]

    def _unknown_task(self) -> Answer:
        return self.voice.refusal(404, "任务不存在")

    def _service_seconds(self) -> float:
        n = self.ledger.totals["submissions"] + 1
        # By number, not from one stream: a restart goes on as if nothing had happened.
        return self._service_time.sample(random.Random(f"{self.settings.seed}:service:{n}"))

    def _progress(self, task: Task, state: str) -> int | str:
        if state == "COMPLETED":
            return 100
        if self.settings.progress == "stuck":
            return STUCK_PROGRESS
        share = task.share(self.now())
        if self.settings.progress == "lying":
            rate = random.Random(task.id).choice((0.1, 0.4, 2.5, 8.0))
            share = min(1.0, share * rate)
        return min(99, int(100 * share))


def _read_create(raw: bytes) -> dict[str, Any] | str:
    """Return the content of a create, or what is wrong with it."""
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
