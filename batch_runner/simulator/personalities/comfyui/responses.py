"""The answers of a ComfyUI server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from batch_runner.simulator.personalities.comfyui.graph import Checked, problem
from batch_runner.simulator.responses import Answer, Path, Responses
from batch_runner.simulator.tasks import Task


class ComfyUIResponses(Responses):
    """Errors with type, message and details; jobs, queue and history."""

    places: ClassVar[Mapping[str, Path]] = {"task_id": ("prompt_id",), "state": ("status",)}
    words: ClassVar[Mapping[str, str]] = {
        "PENDING": "pending",
        "RUNNING": "in_progress",
        "COMPLETED": "completed",
        "FAILED": "failed",
        "MODERATED": "failed",
        "WITHHELD": "failed",
        "CANCELED": "cancelled",
    }

    def error(self, status: int, message: str, *, code: int | None = None) -> Answer:
        kind = "error" if code is None else f"error_{code}"
        return Answer(status, {"error": problem(kind, message), "node_errors": {}})

    def http_error(self, status: int, reason: str) -> Answer:
        text = f"{status}: {reason}" if status < 500 else f"{status} {reason}"
        return Answer(status, content=text.encode(), content_type="text/plain")

    def invalid(self, checked: Checked) -> Answer:
        """Return the response to a workflow that cannot be executed."""
        return Answer(400, {"error": checked.error, "node_errors": checked.node_errors})

    def unknown_task(self) -> Answer:
        return Answer(404, {"error": "Job not found"})

    def message(self, answer: Answer) -> str:
        error = answer.body.get("error") if isinstance(answer.body, dict) else ""
        return str(error.get("message", "")) if isinstance(error, dict) else str(error)

    def submitted(self, task_id: str) -> Answer:
        return Answer(body={"prompt_id": task_id, "number": 0, "node_errors": {}})

    def put(self, answer: Answer, place: str, value: Any) -> None:
        # Queue and history have no such field, and unlike a job no other place for it.
        if self.get(answer, place) is not None:
            super().put(answer, place, value)

    def change_urls(self, answer: Answer, change: Callable[[list[Any]], list[Any]]) -> None:
        for images in _images(answer.body):
            files = {f"http://files/{image['filename']}": image for image in images}
            changed = change(list(files))
            base = {"subfolder": "", "type": "output"}
            images[:] = [
                files[url] if isinstance(url, str) and url in files else {"filename": url, **base}
                for url in changed
            ]

    def job(self, task: Task, state: str, outputs: dict[str, Any]) -> dict[str, Any]:
        """Return a task as /api/jobs shows it."""
        job: dict[str, Any] = {
            "id": task.id,
            "status": self.word(state),
            "priority": task.n,
            "create_time": milliseconds(task.submitted_at),
            "outputs_count": sum(len(each["images"]) for each in outputs.values()),
        }
        if state in ("PENDING", "RUNNING"):
            return job
        if self.word(state) == "failed":
            job["execution_error"] = _execution_error(task)
        job["outputs"] = outputs
        job["execution_status"] = history_status(task, state)
        return job

    def history(self, task: Task, state: str, outputs: dict[str, Any]) -> dict[str, Any]:
        """Return a task that has ended as /history shows it."""
        return {
            "prompt": queue_entry(task),
            "outputs": outputs,
            "status": history_status(task, state),
            "meta": {},
        }


def queue_entry(task: Task) -> list[Any]:
    """Return a task as /queue shows it: number, id, workflow, extra data, nodes to execute."""
    extra = {"create_time": milliseconds(task.submitted_at)}
    return [task.n, task.id, task.graph or {}, extra, list(task.output_nodes)]


def history_status(task: Task, state: str) -> dict[str, Any]:
    """Return how a task has ended, with its messages."""
    start = {"prompt_id": task.id, "timestamp": milliseconds(task.started_at)}
    end = {"prompt_id": task.id, "timestamp": milliseconds(task.finished_at)}
    messages: list[list[Any]] = [["execution_start", start]]
    match state:
        case "COMPLETED":
            messages.append(["execution_success", end])
        case "CANCELED":
            messages.append(["execution_interrupted", end])
        case _:
            messages.append(["execution_error", _execution_error(task)])
    good = state == "COMPLETED"
    return {"status_str": "success" if good else "error", "completed": good, "messages": messages}


def milliseconds(seconds: float | None) -> int:
    return round(1000 * (seconds or 0.0))


def _execution_error(task: Task) -> dict[str, Any]:
    return {
        "prompt_id": task.id,
        "node_id": next(iter(task.output_nodes), ""),
        "node_type": "KSampler",
        "exception_message": "CUDA out of memory",
        "exception_type": "torch.OutOfMemoryError",
        "traceback": [],
        "timestamp": milliseconds(task.finished_at),
    }


def _images(body: Any) -> Iterator[list[Any]]:
    """Yield the lists of files in a job, or in the history."""
    entries = (
        [body] if isinstance(body, dict) and "outputs" in body else list((body or {}).values())
    )
    for entry in entries:
        outputs = entry.get("outputs") if isinstance(entry, dict) else None
        for node in outputs.values() if isinstance(outputs, dict) else ():
            yield node["images"]
